"""Axis codes of random affines as nibabel sees them: rotated, scaled, sheared, mirrored.

Writes codes.json beside itself. Made with nibabel 5.4.2 and NumPy 2.4.6 under Python 3.11; run as `python generate.py`.
"""

import json
from pathlib import Path

import nibabel
import numpy as np

SEED = 48
N_RANDOM = 150

rng = np.random.default_rng(SEED)
cases = []


def add(linear):
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = rng.normal(size=3) * 50
    codes = "".join(nibabel.aff2axcodes(affine))
    cases.append({"affine": affine.tolist(), "codes": codes})


for _ in range(N_RANDOM):
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    scales = np.exp(rng.normal(size=3))
    shear = np.eye(3) + np.triu(rng.normal(size=(3, 3)) * rng.choice([0, 0.3, 1.5]), 1)
    add(rotation @ shear @ np.diag(scales))
for order in ([0, 1, 2], [2, 0, 1], [1, 0, 2]):
    for signs in ([1, 1, 1], [-1, 1, -1], [-1, -1, -1]):
        add(np.eye(3)[order] * np.array(signs) * np.array([0.5, 2, 3]))

text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
Path(__file__).with_name("codes.json").write_text(text)
