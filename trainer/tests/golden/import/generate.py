"""Two tiny model folders as nnU-Net v2.8.1 leaves them, and the logits of their networks.

nnU-Net's own trainer builds the network of the plans, takes two steps on noise and saves its checkpoint; nothing is
trained. Beside the folders lies `logits_<model>.safetensors` with an image and the logits of every decoder stage.

Run in an environment with nnunetv2==2.8.1 (the committed files: torch 2.13.0, seed 11):
    python generate.py [FOLDER [SEED]]
"""
import json
import os
import struct
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
OUTPUT = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else 11
SCRATCH = tempfile.TemporaryDirectory()
os.environ |= {name: SCRATCH.name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}

import numpy as np  # noqa: E402
import torch  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

DATASET = {"channel_names": {"0": "MRI", "1": "T2"}, "labels": {"background": 0, "a": 1, "b": 2}, "numTraining": 5,
           "file_ending": ".nii.gz"}
PLANS = HERE.parents[3] / "nnunet/tests/golden/plans/hippocampus.json"


def save(path, tensors):
    header, content = {}, b""
    for key in sorted(tensors):
        value = np.ascontiguousarray(tensors[key].detach().numpy(), dtype="<f4")
        begin = len(content)
        content += value.tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [begin, len(content)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def plans(configuration, patch, change):
    whole = json.loads(PLANS.read_text())
    whole["dataset_name"] = "Dataset001_Tiny"
    one = whole["configurations"][configuration]
    axes = len(patch)
    one |= {"patch_size": patch, "batch_size": 2}
    arguments = one["architecture"]["arch_kwargs"]
    arguments |= {"n_stages": 3, "features_per_stage": [2, 3, 4], "kernel_sizes": [[3] * axes] * 3,
                  "strides": [[1] * axes, [2] * axes, [2] * axes], "n_conv_per_stage": [1, 2, 1],
                  "n_conv_per_stage_decoder": [1, 1]}
    change(one["architecture"])
    whole["configurations"] = {configuration: one}
    whole["foreground_intensity_properties_per_channel"]["1"] = whole["foreground_intensity_properties_per_channel"]["0"]
    one["normalization_schemes"] *= 2
    one["use_mask_for_norm"] *= 2
    return whole


def residual(architecture):
    architecture["network_class_name"] = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    del architecture["arch_kwargs"]["n_conv_per_stage"]
    architecture["arch_kwargs"]["n_blocks_per_stage"] = [1, 2, 1]


def model(name, configuration, patch, change):
    torch.manual_seed(SEED)
    whole = plans(configuration, patch, change)
    trainer = nnUNetTrainer(whole | {"continue_training": False}, configuration, 0, DATASET, device=torch.device("cpu"))
    # The trainer looks into the preprocessed cases only to see how they are stored.
    cases = Path(SCRATCH.name) / whole["dataset_name"] / whole["configurations"][configuration]["data_identifier"]
    cases.mkdir(parents=True)
    (cases / "case.b2nd").touch()
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    network = getattr(trainer.network, "_orig_mod", trainer.network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    for _ in range(2):
        heads = network(torch.randn(2, 2, *patch))
        sum(head.square().mean() for head in heads).backward()
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        trainer.current_epoch += 1
    trainer.logger.log("ema_fg_dice", np.float64(0.25), 0)
    trainer.current_epoch -= 1
    folder = OUTPUT / f"Dataset001_Tiny/{name}__nnUNetPlans__{configuration}"
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(whole, indent=1) + "\n")
    (folder / "dataset.json").write_text(json.dumps(DATASET, indent=1) + "\n")
    trainer.save_checkpoint(str(folder / "fold_0/checkpoint_final.pth"))
    image = torch.randn(2, 2, *patch)
    with torch.no_grad():
        heads = network(image)
    save(OUTPUT / f"logits_{name}.safetensors", {"image": image} | {f"logits.{i}": h for i, h in enumerate(heads)})


model("Plain", "2d", [8, 12], lambda architecture: None)
model("Residual", "3d_fullres", [4, 8, 8], residual)
