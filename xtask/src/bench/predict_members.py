"""Copies nnU-Net's final checkpoint of one fold as checkpoints of many epochs, so that an ensemble of any size can be timed.

    python predict_members.py MODEL_FOLDER FOLD NUMBER OUTPUT_FOLDER

The weights differ by a little noise, since equal ones could be noticed.
"""

import pathlib
import shutil
import sys

import torch

source, fold, number, target = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[4])
folder = target / f"fold_{fold}"
folder.mkdir(parents=True, exist_ok=True)
for name in ("plans.json", "dataset.json"):
    shutil.copyfile(source / name, target / name)
checkpoint = torch.load(source / f"fold_{fold}" / "checkpoint_final.pth", map_location="cpu", weights_only=False)
torch.manual_seed(1)
for epoch in range(number):
    noisy, of_storage = {}, {}
    for name, value in checkpoint["network_weights"].items():
        # One tensor under several names stays one.
        noisy[name] = of_storage.setdefault(value.data_ptr(), value + 1e-4 * torch.randn_like(value))
    copy = {**checkpoint, "network_weights": noisy, "current_epoch": epoch + 1}
    torch.save(copy, folder / f"checkpoint_{epoch}.pth")
