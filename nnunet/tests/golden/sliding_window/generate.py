#!/usr/bin/env python3
"""Writes golden.json: patch positions and importance maps of nnunetv2 2.8.1 (no randomness).

usage: generate.py > golden.json
"""
import json

import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

positions = []
for extent, patch in [(40, 40), (41, 40), (63, 56), (110, 64), (97, 32), (33, 7), (500, 48), (12, 5), (9, 2), (1000, 128)]:
    for step in (0.25, 0.3, 0.5, 0.75, 1.0):
        origins = compute_steps_for_sliding_window((extent,), (patch,), step)[0]
        positions.append({"extent": extent, "patch": patch, "step": step, "origins": origins})

weights = []
for patch in [(4, 5, 6), (8, 3, 7)]:
    values = compute_gaussian(patch, value_scaling_factor=10, dtype=torch.float32, device=torch.device("cpu"))
    weights.append({"patch": patch, "values": values.flatten().tolist()})

print(json.dumps({"positions": positions, "weights": weights}))
