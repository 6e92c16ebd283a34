"""Compares imported networks with nnU-Net's own: logits of a patch, and labels of whole images.

A model folder of nnU-Net v2 is imported and exported with `unnunet-train`, signed, and self-tested with `unnunet`. Then

- nnU-Net loads every checkpoint itself and runs the bundle's probe patch; the largest difference to the logits in the
  bundle (libtorch's) is printed over their range and must be at most 1e-4, and so must ONNX Runtime's by the self-test;
- with `--images DIR`, nnU-Net and `unnunet predict` segment the images with `fold_<f>/checkpoint_final.pth` of one
  fold, with mirroring; at least 99.99 % of all voxels must have the same label.

`--residual` first makes a model folder with a residual encoder out of the plans of `--model`: the same stages, random
weights, saved by nnU-Net's trainer. Its labels are counted but not judged: logits of an untrained network lie close
together, and nnU-Net adds the patches up in half precision. Needs an environment with nnunetv2 2.8.1:

    python tests/parity/import.py --model nnUNet_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres \\
        --programs target/release --images imagesTs

Exit status 1 if anything differs.
"""

import argparse
import json
import os
import pathlib
import struct
import sys
import tempfile
import zipfile

SCRATCH = tempfile.TemporaryDirectory()
os.environ |= {name: SCRATCH.name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
os.environ["nnUNet_compile"] = "f"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from programs import bundle, run  # noqa: E402

# Single precision in another order of sums; some thirty layers lie between patch and logits.
TOLERANCE = 1e-4
MIN_EQUAL = 0.9999


def tensors(content):
    """The tensors of a safetensors file."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    read = lambda begin, end: np.frombuffer(content[8 + length + begin:8 + length + end], "<f4")
    return {name: read(*one["data_offsets"]).reshape(one["shape"]) for name, one in header.items() if name[0] != "_"}


def residual(model, work):
    """Writes a model folder with a residual encoder and returns it."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    configuration = model.name.split("__")[2]
    plans = json.loads((model / "plans.json").read_text())
    chain = [configuration]
    while (parent := plans["configurations"][chain[-1]].get("inherits_from")) is not None:
        chain.append(parent)
    one = {}
    for name in reversed(chain):
        one |= plans["configurations"][name]
    one.pop("inherits_from", None)
    one["architecture"]["network_class_name"] = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    arguments = one["architecture"]["arch_kwargs"]
    depth = len(arguments.pop("n_conv_per_stage"))
    arguments |= {"n_blocks_per_stage": ([1, 3, 4] + [6] * depth)[:depth], "n_conv_per_stage_decoder": [1] * (depth - 1)}
    plans["configurations"] = {configuration: one}
    dataset = json.loads((model / "dataset.json").read_text())
    cases = pathlib.Path(SCRATCH.name) / plans["dataset_name"] / one["data_identifier"]
    cases.mkdir(parents=True)
    (cases / "case.b2nd").touch()  # the trainer only looks how cases are stored
    torch.manual_seed(3)
    trainer = nnUNetTrainer(plans | {"continue_training": False}, configuration, 0, dataset, device=torch.device("cpu"))
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    with torch.no_grad():
        for name, parameter in trainer.network.named_parameters():
            if name.endswith("norm.weight"):  # those of residual blocks start at zero, which would hide the blocks
                parameter.copy_(torch.rand_like(parameter) + 0.5)
    trainer.current_epoch = 9
    folder = work / plans["dataset_name"] / f"nnUNetTrainer__ResidualPlans__{configuration}"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    trainer.save_checkpoint(str(folder / "fold_0/checkpoint_final.pth"))
    return folder


def predictor(model, fold, checkpoint):
    one = nnUNetPredictor(tile_step_size=0.5, use_gaussian=True, use_mirroring=True, device=torch.device("cpu"),
                          allow_tqdm=False, perform_everything_on_device=False)
    one.initialize_from_trained_model_folder(str(model), (fold,), f"checkpoint_{checkpoint}.pth")
    one.network.load_state_dict(one.list_of_parameters[0])
    one.network.eval()
    return one


def compare_logits(args, model, work):
    file, folder = bundle(args.programs, model, work, [])
    entries = zipfile.ZipFile(file)
    patch = tensors(entries.read("selftest/input.bin"))["image"]
    expected = tensors(entries.read("selftest/expected.bin"))
    stride = json.loads(entries.read("config/pipeline.json"))["probe_stride"]
    report = json.loads(run(args.programs / "unnunet", "self-test", "--bundle", file, "--public-key", work / "pub.pem",
                            "--device", "cpu", "--precision", "f32", "--json"))
    onnx = {member["id"] if "id" in member else member["member"]: member["relative"] for member in report["members"]}
    good = True
    for fold in sorted(folder.glob("fold_*")):
        record = json.loads((fold / "import.json").read_text())
        for one in record["checkpoints"]:
            network = predictor(model, record["fold"], one["name"]).network
            with torch.no_grad():
                logits = network(torch.from_numpy(patch.copy())[None])[0].numpy().ravel()
            member = f"{fold.name}/checkpoint_{one['epoch']}"
            relative = np.abs(logits[::stride] - expected[member]).max() / np.ptp(logits)
            good &= bool(relative <= TOLERANCE) and onnx[member] <= TOLERANCE
            print(f"{fold.name}/checkpoint_{one['name']}.pth\t{member}\tlibtorch {relative:.2e}\tONNX {onnx[member]:.2e}")
    return good


def compare_labels(args, model, work):
    import SimpleITK
    fold = min(int(folder.name[5:]) for folder in model.glob("fold_*") if folder.name[5:].isdigit())
    file, _ = bundle(args.programs, model, work, ["--folds", fold, "--checkpoints", "final"])
    ours, theirs = work / "ours", work / "theirs"
    theirs.mkdir()
    run(args.programs / "unnunet", "predict", "--bundle", file, "--public-key", work / "pub.pem", "--input", args.images,
        "--output", ours, "--device", "cpu", "--precision", "f32")
    one = predictor(model, fold, "final")
    one.predict_from_files_sequential(str(args.images), str(theirs), save_probabilities=False, overwrite=True)
    read = lambda path: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    n_equal = n = n_foreground = 0
    for path in sorted(theirs.glob("*.nii.gz")):
        a, b = read(path), read(ours / path.name)
        n_equal, n, n_foreground = n_equal + (a == b).sum(), n + a.size, n_foreground + (a > 0).sum()
    print(f"labels\t{n_equal} of {n} equal ({n_equal / n:.6f}), {n_foreground} foreground")
    return n > 0 and (args.residual or n_equal / n >= MIN_EQUAL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--residual", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        model = residual(args.model.resolve(), work / "made") if args.residual else args.model.resolve()
        for name in ("logits", "labels"):
            (work / name).mkdir()
        good = compare_logits(args, model, work / "logits")
        if args.images:
            good &= compare_labels(args, model, work / "labels")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
