#!/usr/bin/env python3
"""Writes per-checkpoint folders of probabilities, as nnU-Net does: compressed, f32, [class, z, y, x] (seed 1).

usage: score_cases.py OUTPUT_FOLDER MEMBERS CASES Z,Y,X CLASSES
"""
import pathlib
import sys

import numpy as np
from scipy import ndimage

output, n_members, n_cases = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
shape, n_classes = tuple(int(extent) for extent in sys.argv[4].split(",")), int(sys.argv[5])
rng = np.random.default_rng(1)
z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]

for case in range(n_cases):
    # Background is 0; every class is a cylinder, its logit the distance to the wall in pixels.
    logits = [np.zeros(shape)]
    for _ in range(1, n_classes):
        radius = shape[1] * rng.uniform(0.1, 0.25)
        center = rng.uniform(0.3, 0.7, 2) * shape[1:]
        logits.append(radius - np.hypot(y - center[0], x - center[1]))
    logits = np.stack(logits)
    for member in range(n_members):
        # Members disagree smoothly: noise of three pixels' width and about half a logit.
        noise = ndimage.gaussian_filter(rng.normal(0, 1, logits.shape), (0, 1, 3, 3)) * 8
        e = logits * rng.uniform(1.0, 1.1) + noise
        e = np.exp(e - e.max(0))
        folder = output / f"checkpoint_{member:02}"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / f"case_{case:03}.npz", probabilities=(e / e.sum(0)).astype(np.float32))
