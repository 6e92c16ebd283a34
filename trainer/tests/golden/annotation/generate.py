"""Losses, gradients and pseudo-Dice of nnU-Net for classes, regions and an ignore label, and its poly schedule.

Made with nnunetv2 2.8.1, batchgeneratorsv2 0.3.6, torch 2.13.0 on the CPU: `python generate.py` beside this file writes
`losses.json` and `rates.json`. Seeds are fixed below. The loss is the one that nnU-Net's trainer builds, deep
supervision included; targets come from label maps through its own transforms; pseudo-Dice from its validation step.
"""

import json
import pathlib
from types import SimpleNamespace

import torch
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from batchgeneratorsv2.transforms.utils.seg_to_regions import ConvertSegmentationToRegionsTransform
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import LabelManager

HERE = pathlib.Path(__file__).parent
SCALES = [[1, 1, 1], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
SHAPE = (4, 4, 4)
LABELS = {
    "classes": ({"background": 0, "a": 1, "b": 2}, None),
    "classes-ignore": ({"background": 0, "a": 1, "b": 2, "ignore": 3}, None),
    "regions": ({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3}, [1, 2, 3]),
    "regions-ignore": ({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3, "ignore": 4}, [1, 2, 3]),
}


def label_map(manager, all_ignored):
    n_labels = max(manager.all_labels) + 1 + manager.has_ignore_label
    labels = torch.randint(0, n_labels, (2, *SHAPE))
    labels[0][labels[0] == 2] = 0  # a structure that one image lacks
    if all_ignored:
        labels[:] = manager.ignore_label
    return labels


def targets(manager, labels):
    samples = []
    for one in labels:
        map_ = one[None].to(torch.int16)
        if manager.has_regions:
            regions = list(manager.foreground_regions)
            regions += [manager.ignore_label] if manager.has_ignore_label else []
            map_ = ConvertSegmentationToRegionsTransform(regions)._apply_to_segmentation(map_)
        samples.append(DownsampleSegForDSTransform(SCALES)._apply_to_segmentation(map_))
    return [torch.stack([sample[i] for sample in samples]) for i in range(len(SCALES))]


def trainer(manager, batch_dice):
    stub = SimpleNamespace(
        label_manager=manager, configuration_manager=SimpleNamespace(batch_dice=batch_dice), is_ddp=False,
        enable_deep_supervision=True, _do_i_compile=lambda: False, _get_deep_supervision_scales=lambda: SCALES,
        device=torch.device("cpu"), logged={}, current_epoch=0)
    stub.logger = SimpleNamespace(log=lambda key, value, _: stub.logged.__setitem__(key, value))
    stub.loss = nnUNetTrainer._build_loss(stub)
    return stub


def case(name, batch_dice, all_ignored=False):
    labels, order = LABELS[name]
    manager = LabelManager(labels, order)
    torch.manual_seed(list(LABELS).index(name) + 10 * all_ignored)
    map_ = label_map(manager, all_ignored)
    logits = [torch.randn(2, manager.num_segmentation_heads, *(n >> i for n in SHAPE)) * 2 for i in range(len(SCALES))]
    stub = trainer(manager, batch_dice)
    inputs = [a.clone().requires_grad_() for a in logits]
    loss = stub.loss(inputs, targets(manager, map_))
    loss.backward()
    stub.network = lambda _: [a.clone() for a in logits]
    step = nnUNetTrainer.validation_step(stub, {"data": torch.zeros(1), "target": targets(manager, map_)})
    nnUNetTrainer.on_validation_epoch_end(stub, [step])
    dice = [None if d != d else float(d) for d in stub.logged["dice_per_class_or_region"]]
    flat = lambda a, digits: [float(f"{x:.{digits}g}") for x in a.flatten().tolist()]
    n_used = len(SCALES) - 1  # the coarsest has weight 0
    return {
        "labels": {"labels": labels, "regions_class_order": order}, "batch_dice": batch_dice,
        "map": map_.flatten().tolist(), "logits": [flat(a, 9) for a in logits[:n_used]],
        "loss": float(f"{loss.item():.9g}"), "gradients": [flat(a.grad, 6) for a in inputs[:n_used]], "pseudo_dice": dice,
    }


def rates(n_epochs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.01)
    scheduler = PolyLRScheduler(optimizer, 0.01, n_epochs)
    found = []
    for epoch in range(n_epochs):
        scheduler.step(epoch)  # as `on_train_epoch_start`
        found.append(optimizer.param_groups[0]["lr"])
    return found


cases = [case(name, batch_dice) for name in LABELS for batch_dice in (False, True)]
cases += [case(name, True, all_ignored=True) for name in ("classes-ignore", "regions-ignore")]
(HERE / "losses.json").write_text(json.dumps({"shape": SHAPE, "cases": cases}, separators=(",", ":")) + "\n")
(HERE / "rates.json").write_text(json.dumps({n: rates(n) for n in (1, 7, 250)}, separators=(",", ":")) + "\n")
