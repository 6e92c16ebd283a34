"""Compares whole predictions with nnU-Net's: the same weights and images, voxel by voxel, on the kinds of data there are.

Phantoms of every kind are drawn, planned by `unnunet-train`, and preprocessed and shortly trained by nnU-Net itself. Its
checkpoints are then imported, exported and signed, and both programs predict images whose spacing is not the plans':

- `channels`: thick slices of two channels, several classes, two folds, with mirroring;
- `regions`: overlapping regions in isotropic volumes with air around them, a step of 0.75, without mirroring;
- `slices`: a 2D configuration on volumes, two channels;
- `cascade`: the second stage of a cascade, which sees what nnU-Net's first stage has predicted; and what the first
  stage's validation leaves for the second, of either program.

The mean of logits over the folds is taken, as nnU-Net does. At least 99.99 % of all voxels must have the same label, and
origin, spacing, direction, extents and type of the files must be the same. Needs an environment with nnunetv2 2.8.1:

    python tests/parity/predict.py --programs target/release --kinds channels,regions,slices,cascade

Exit status 1 if anything differs by more.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

SCRATCH = tempfile.TemporaryDirectory()
ROOT = pathlib.Path(SCRATCH.name)
FOLDERS = {name: str(ROOT / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
os.environ |= FOLDERS | {"nnUNet_compile": "f", "nnUNet_n_proc_DA": "1"}

import numpy as np  # noqa: E402
import SimpleITK  # noqa: E402
import torch  # noqa: E402
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from programs import bundle, run  # noqa: E402

MIN_EQUAL = 0.9999
DEVICE = torch.device("cpu")
FIRST, SECOND = "3d_lowres", "3d_cascade_fullres"

# Extents and spacings [z, y, x] of training and of predicted cases.
ISOTROPIC = {"shape": (40, 48, 44), "spacing": (1.0, 1.0, 1.0),
             "test_shape": (36, 56, 50), "test_spacing": (1.2, 0.9, 0.95)}
THICK = {"shape": (12, 64, 60), "spacing": (5.0, 1.0, 1.0),
         "test_shape": (15, 56, 70), "test_spacing": (4.0, 1.15, 0.9)}
KINDS = {
    "channels": THICK | {"channels": 2, "configuration": "3d_fullres", "patch": "8,40,40", "folds": [0, 1],
                         "labels": {"background": 0, "large": 1, "small": 2}, "step": 0.5, "mirroring": True},
    "regions": ISOTROPIC | {"channels": 1, "configuration": "3d_fullres", "patch": "32,32,32", "folds": [0],
                            "labels": {"background": 0, "whole": [1, 2], "core": 2}, "order": [1, 2], "step": 0.75,
                            "mirroring": False},
    "slices": THICK | {"channels": 2, "configuration": "2d", "patch": "48,48", "folds": [0],
                       "labels": {"background": 0, "large": 1, "small": 2}, "step": 0.5, "mirroring": True},
    "cascade": ISOTROPIC | {"channels": 1, "configuration": SECOND, "patch": "32,32,32", "folds": [0],
                            "labels": {"background": 0, "large": 1, "small": 2}, "step": 0.5, "mirroring": True},
}


def draw(random, shape, spacing, n_channels):
    """Channels and labels of a case: a small ellipsoid in a large one, in a body with air around it."""
    grid = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing)), indexing="ij")
    size = np.array(shape) * spacing
    center = size * random.uniform(0.42, 0.58, 3)
    inside = lambda at, radii: sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, at, radii)) < 1
    body = inside(size / 2, size * 0.48)
    large = inside(center, size * random.uniform(0.2, 0.28, 3))
    small = inside(center, size * random.uniform(0.09, 0.13, 3))
    labels = (large.astype(np.uint8) + small) * body
    channels = []
    for index in range(n_channels):
        contrast = [1.0, 2.0, 3.2] if index == 0 else [2.0, 1.4, 2.6]
        image = np.choose(labels, contrast) + random.normal(0, 0.25, shape)
        channels.append(np.where(body, np.maximum(image, 0.05), 0).astype(np.float32))
    return channels, labels


def write(path, array, spacing):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing([float(mm) for mm in reversed(spacing)])
    image.SetOrigin((3.0, -7.5, 11.25))
    SimpleITK.WriteImage(image, str(path))


def raw(kind, name, seed):
    """Draws the raw data set; returns the folder of the images that are to be predicted."""
    random, folder = np.random.default_rng(seed), ROOT / "nnUNet_raw" / name
    cases = [("Tr", index, kind["shape"], kind["spacing"]) for index in range(6)]
    cases += [("Ts", index, kind["test_shape"], kind["test_spacing"]) for index in range(6, 9)]
    for part, index, shape, spacing in cases:
        channels, labels = draw(random, shape, spacing, kind["channels"])
        for channel, image in enumerate(channels):
            write(folder / f"images{part}/case_{index}_{channel:04}.nii.gz", image, spacing)
        write(folder / f"labels{part}/case_{index}.nii.gz", labels, spacing)
    dataset = {"channel_names": {str(i): f"modality {i}" for i in range(kind["channels"])}, "labels": kind["labels"],
               "numTraining": 6, "file_ending": ".nii.gz"}
    if "order" in kind:
        dataset["regions_class_order"] = kind["order"]
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder / "imagesTs"


def plan(args, kind, name):
    """Plans as ours, with a cascade where one is asked for; preprocessed by nnU-Net."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    configuration = "2d" if kind["configuration"] == "2d" else "3d_fullres"
    ours, folder = ROOT / "planned", ROOT / "nnUNet_preprocessed" / name
    run(args.programs / "unnunet-train", "plan-and-preprocess", "-d", name, "-c", configuration, "--features", 8,
        "--batch-size", 2, "--patch-size", kind["patch"], "--raw", FOLDERS["nnUNet_raw"], "--preprocessed", ours)
    folder.mkdir(parents=True)
    for file in ("nnUNetPlans.json", "dataset.json", "dataset_fingerprint.json"):
        (folder / file).write_bytes((ours / name / file).read_bytes())
    cases = [f"case_{index}" for index in range(6)]
    splits = [{"train": cases[2:], "val": cases[:2]}, {"train": cases[:4], "val": cases[4:]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    path = folder / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    configurations = [configuration]
    if kind["configuration"] == SECOND:
        plans["configurations"][FIRST] = {"inherits_from": "3d_fullres", "data_identifier": "nnUNetPlans_3d_lowres",
                                          "spacing": [1.5, 1.4, 1.6], "next_stage": SECOND}
        plans["configurations"][SECOND] = {"inherits_from": "3d_fullres", "previous_stage": FIRST}
        path.write_text(json.dumps(plans))
        configurations.append(FIRST)
    for one in configurations:
        DefaultPreprocessor(verbose=False).run(int(name[7:10]), one, "nnUNetPlans", num_processes=1)
    gold = folder / "gt_segmentations"
    gold.mkdir(exist_ok=True)
    for file in (ROOT / "nnUNet_raw" / name / "labelsTr").iterdir():
        (gold / file.name).write_bytes(file.read_bytes())
    return plans


def train(args, name, plans, configuration, fold):
    """A short training; returns the model folder."""
    dataset = json.loads((ROOT / "nnUNet_preprocessed" / name / "dataset.json").read_text())
    torch.manual_seed(fold)
    trainer = nnUNetTrainer(plans | {"continue_training": False}, configuration, fold, dataset, device=DEVICE)
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, args.iterations, 1
    trainer.run_training()
    if plans["configurations"][configuration].get("next_stage"):
        trainer.perform_actual_validation()
    return pathlib.Path(trainer.output_folder).parent


def all_for_next_stage(name, plans):
    """The first stage's segmentations of all cases for the second: of those that no fold left out, the reference."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    cases = ROOT / "nnUNet_preprocessed" / name / plans["configurations"]["3d_fullres"]["data_identifier"]
    folder = ROOT / "nnUNet_results" / name / f"nnUNetTrainer__nnUNetPlans__{FIRST}" / "predicted_next_stage" / SECOND
    loader = infer_dataset_class(str(cases))(str(cases), None)
    for case in (f"case_{index}" for index in range(6)):
        if not any(folder.glob(f"{case}.*")):
            loader.save_seg(np.maximum(loader.load_case(case)[1][0], 0).astype(np.uint8), str(folder / case))


def compare_next_stage(args, name, plans, model):
    """What the first stage's network of fold 0 leaves for the second: nnU-Net's validation beside ours."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    planned, imported = ROOT / "planned", ROOT / "imported"
    splits = "splits_final.json"
    (planned / name / splits).write_bytes((ROOT / "nnUNet_preprocessed" / name / splits).read_bytes())
    train = args.programs / "unnunet-train"
    line = run(train, "import", model, "--results", imported, "--checkpoints", "final").splitlines()[-1]
    ours = pathlib.Path(line.split("\t")[1]) / "predicted_next_stage" / SECOND
    run(train, "validate", name, FIRST, "--raw", FOLDERS["nnUNet_raw"], "--preprocessed", planned, "--results", imported,
        "--temperature", 1, "--device", "cpu")
    cases = ROOT / "nnUNet_preprocessed" / name / plans["configurations"]["3d_fullres"]["data_identifier"]
    loader = infer_dataset_class(str(cases))(str(cases), None, str(model / "predicted_next_stage" / SECOND))
    n_equal = n = n_foreground = 0
    for case in ("case_0", "case_1"):
        shape = json.loads((ours / f"{case}.json").read_text())["shape"]
        b = np.fromfile(ours / f"{case}.labels", np.uint8).reshape(shape)
        a = np.asarray(loader.load_case(case)[2]).reshape(shape)
        n_equal, n, n_foreground = n_equal + int((a == b).sum()), n + a.size, n_foreground + int((a > 0).sum())
    good = n_foreground > 0 and n_equal / n >= MIN_EQUAL
    print(f"next stage\t{n - n_equal} of {n} voxels differ ({n_equal / n:.6f} equal), {n_foreground} foreground\t"
          f"{'good' if good else 'NOT GOOD'}", flush=True)
    return good


def predict_theirs(kind, model, images, output, previous=None):
    output.mkdir(parents=True)
    one = nnUNetPredictor(tile_step_size=kind["step"], use_gaussian=True, use_mirroring=kind["mirroring"],
                          device=DEVICE, allow_tqdm=False, perform_everything_on_device=False)
    one.initialize_from_trained_model_folder(str(model), tuple(kind["folds"]), "checkpoint_final.pth")
    one.predict_from_files(str(images), str(output), save_probabilities=False, overwrite=True,
                           num_processes_preprocessing=1, num_processes_segmentation_export=1,
                           folder_with_segs_from_prev_stage=previous and str(previous))


def predict_ours(args, kind, model, images, output, previous=None):
    work, folds = output.parent, ",".join(map(str, kind["folds"]))
    file, _ = bundle(args.programs, model, work, ["--checkpoints", "final", "--folds", folds])
    more = ["--previous-stage", previous] if previous else []
    run(args.programs / "unnunet", "predict", "--bundle", file, "--public-key", work / "pub.pem", "--input", images,
        "--output", output, "--precision", "f32", "--select", "mean", "--average", "logits", "--step", kind["step"],
        "--mirroring", "on" if kind["mirroring"] else "off", "--device", args.device, *more)


def compare(name, theirs, ours):
    n_equal = n = n_foreground = 0
    same_grid = True
    for path in sorted(theirs.glob("*.nii.gz")):
        a, b = (SimpleITK.ReadImage(str(one)) for one in (path, ours / path.name))
        facts = lambda i: np.array([*i.GetOrigin(), *i.GetSpacing(), *i.GetDirection()])
        same_grid &= a.GetSize() == b.GetSize() and a.GetPixelID() == b.GetPixelID() and np.allclose(facts(a), facts(b))
        a, b = SimpleITK.GetArrayFromImage(a), SimpleITK.GetArrayFromImage(b)
        n_equal, n, n_foreground = n_equal + int((a == b).sum()), n + a.size, n_foreground + int((a > 0).sum())
    good = n > 0 and n_foreground > 0 and same_grid and n_equal / n >= MIN_EQUAL
    print(f"{name}\t{n - n_equal} of {n} voxels differ ({n_equal / n:.6f} equal), {n_foreground} foreground\t"
          f"{'same grids and types' if same_grid else 'OTHER GRIDS'}\t{'good' if good else 'NOT GOOD'}", flush=True)
    return good


def check(args, kind_name, number):
    kind, name = KINDS[kind_name], f"Dataset{number}_{kind_name.capitalize()}"
    images = raw(kind, name, number)
    plans = plan(args, kind, name)
    work, previous, good = ROOT / "work" / kind_name, None, True
    if kind["configuration"] == SECOND:
        first = train(args, name, plans, FIRST, 0)
        good = compare_next_stage(args, name, plans, first)
        all_for_next_stage(name, plans)
        previous = work / "first"
        predict_theirs(kind, first, images, previous)
    for fold in kind["folds"]:
        model = train(args, name, plans, kind["configuration"], fold)
    predict_theirs(kind, model, images, work / "theirs", previous)
    predict_ours(args, kind, model, images, work / "ours", previous)
    return compare(kind_name, work / "theirs", work / "ours") and good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=lambda path: pathlib.Path(path).resolve(), required=True)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--iterations", type=int, default=40, help="of each of two epochs of training")
    parser.add_argument("--device", default="cpu", help="provider of `unnunet predict`")
    args = parser.parse_args()
    good = [check(args, kind, 700 + index) for index, kind in enumerate(args.kinds)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
