"""Foreground voxels that nnU-Net's DefaultPreprocessor remembers of formula-made labels.

Made with nnunetv2 2.8.1, numpy 2.4.6: `python generate.py` beside this file writes `cases.json`. The only seed is
nnU-Net's own (1234). Regenerate after any change and expect no difference. A draw is summarized by its number of
voxels, the sum and the sum of squares of their flat indices modulo 2**32, and the five lowest indices.
"""

import json
import pathlib

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

HERE = pathlib.Path(__file__).parent
# Classes; regions; classes with everything annotated, as for an ignore label.
CASES = [
    ((30, 40, 50), [[1], [2], [3], [4]]),
    ((30, 40, 50), [[1, 2, 3], [3, 2], [3]]),
    ((60, 130, 140), [[1], [2], [3], [-1, 0, 1, 2, 3]]),
]


def labels(shape):
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    value = (z * 31 + y * 17 + x * 7) % 100
    return np.select([value < 40, value < 90, value < 98, value == 98], [0, 1, 2, 3], -1)


def summary(voxels, shape):
    flat = np.sort(np.ravel_multi_index(np.asarray(voxels)[:, 1:].T, shape)) if len(voxels) else np.empty(0, int)
    flat = [int(index) for index in flat]
    return [len(flat), sum(flat) % 2**32, sum(index**2 for index in flat) % 2**32, flat[:5]]


def main():
    cases = []
    for shape, structures in CASES:
        asked = [tuple(s) if len(s) > 1 else s[0] for s in structures]
        found = DefaultPreprocessor._sample_foreground_locations(labels(shape)[None], asked)
        drawn = [summary(found[key], shape) for key in asked]
        cases.append({"shape": shape, "structures": structures, "drawn": drawn})
    (HERE / "cases.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
