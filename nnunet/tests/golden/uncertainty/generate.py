#!/usr/bin/env python3
"""Writes golden.json: the reference program's scores of three members on a small random case (seed 7).

The reference is `scores.py`, which states DESIGN.md's section on uncertainty in float64 NumPy. Made with numpy 2.4.6,
scipy 1.17.1.

usage: generate.py FOLDER_OF_SCORES_PY > golden.json
"""
import json
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
from scores import case_scores  # noqa: E402

rng = np.random.default_rng(7)
z, y, x = np.mgrid[:3, :9, :8]
logits = np.stack([np.full((3, 9, 8), 1.5), 4 - np.hypot(y - 3, x - 3) * 1.5, 4 - np.hypot(y - 5, x - 4) * 1.2])
members = logits + rng.normal(0, 1.2, (3, 3, 3, 9, 8))
members = np.exp(members) / np.exp(members).sum(1, keepdims=True)
members = members.astype(np.float32)
scores, _ = case_scores(members.astype(np.float64))
numbers = [[float(f"{v:.9g}") for v in member.ravel()] for member in members]
print(json.dumps({"shape": members.shape[1:], "members": numbers, "scores": scores}))
