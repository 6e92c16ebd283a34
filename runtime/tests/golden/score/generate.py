#!/usr/bin/env python3
"""Makes the golden folders of per-checkpoint probabilities, and what the reference program scores them (seed 11).

The reference is `scores.py`, which states DESIGN.md's section on uncertainty in float64 NumPy. Made with Python 3.11,
numpy 2.4.6, scipy 1.17.1.

usage: generate.py SCORES_PY OUTPUT_FOLDER
"""
import pathlib
import subprocess
import sys

import numpy as np

rng = np.random.default_rng(11)
scores_py, output = sys.argv[1], pathlib.Path(sys.argv[2])


def balls(shape, n_classes):
    """Logits [class, z, y, x]: background is 0, every class a ball."""
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    logits = [np.zeros(shape)]
    for label in range(1, n_classes):
        center = [(extent - 1) * (0.3 + 0.15 * label) for extent in shape]
        distance = np.sqrt((z - center[0]) ** 2 + (y - center[1]) ** 2 + (x - center[2]) ** 2)
        logits.append(0.3 * min(shape[1:]) - distance)
    return np.stack(logits)


def softmax(logits):
    e = np.exp(logits - logits.max(0))
    return (e / e.sum(0)).astype(np.float32)


def write(name, n_members, cases):
    for member in range(n_members):
        folder = output / name / f"checkpoint_{member:02}"
        folder.mkdir(parents=True, exist_ok=True)
        for case, probabilities in cases.items():
            # nnU-Net compresses; a file that does not must be read as well.
            save = np.savez if member == 0 else np.savez_compressed
            save(folder / f"{case}.npz", probabilities=probabilities(member))
    command = [sys.executable, scores_py, output / name, "--out", output / f"{name}.csv"]
    subprocess.run(command, check=True)


def noisy(logits, spread):
    return lambda _: softmax(logits + rng.normal(0, spread, logits.shape))


def certain(shape, label):
    """Every member is sure of one label, each a little less."""
    return lambda member: softmax(np.stack([np.full(shape, 9.0 + member * (1 - 2 * c)) * (c == label) for c in (0, 1)]))


def coin(logits):
    """As the logits say, but for one voxel at which every member says one half."""
    def probabilities(_):
        p = softmax(logits + rng.normal(0, 1, logits.shape))
        p[:, 0, 0, 0] = 0.5
        return p
    return probabilities


flat = balls((1, 17, 14), 2)
write("two_classes", 8, {"ball": noisy(flat, 1.0), "coin": coin(flat), "empty": certain((1, 17, 14), 0),
                         "full": certain((1, 17, 14), 1)})
write("volume", 4, {"balls": noisy(balls((4, 11, 9), 4), 1.5), "quiet": noisy(balls((3, 8, 10), 4), 0.1)})
write("many", 60, {"ball": noisy(balls((1, 9, 8), 3), 2.0)})
