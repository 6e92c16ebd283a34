"""Draws pairs of overlapping blobs and measures their surfaces with SciPy.

usage: python generate.py > cases.json     (SciPy 1.17.1, NumPy 2.4.6, seed 7)

Surface: mask and not its erosion by the face neighbors; an axis of one voxel is squeezed away. Distances: SciPy's
exact transform of the complement of the other surface, with the spacing as sampling. HD95: the larger of both
directed 95th percentiles; ASSD and NSD: over the voxels of both surfaces.
"""
import json
import sys

import numpy as np
from scipy import ndimage

GRIDS = [
    ([12, 14, 16], [1.0, 1.0, 1.0], 1.0),
    ([12, 14, 16], [1.0, 1.0, 1.0], 2.0),
    ([6, 20, 18], [5.0, 0.9, 1.1], 1.0),
    ([9, 9, 21], [0.4, 2.5, 1.3], 1.5),
    ([1, 24, 20], [1.0, 1.4, 1.4], 1.0),
    ([1, 24, 20], [1.0, 0.7, 1.9], 0.5),
    ([16, 1, 16], [2.0, 3.0, 0.5], 1.0),
    ([5, 5, 5], [3.0, 2.0, 1.0], 0.0),
]


def blob(shape, rng):
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), [1.5 if n > 1 else 0 for n in shape])
    return noise > np.quantile(noise, rng.uniform(0.5, 0.85))


def surface(mask):
    eroded = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1), border_value=0)
    return mask & ~eroded


def measure(reference, prediction, spacing, tolerance):
    axes = [axis for axis, n in enumerate(reference.shape) if n > 1]
    sampling = [spacing[axis] for axis in axes]
    one, other = surface(np.squeeze(reference)), surface(np.squeeze(prediction))
    there = ndimage.distance_transform_edt(~other, sampling=sampling)[one]
    back = ndimage.distance_transform_edt(~one, sampling=sampling)[other]
    both = np.concatenate([there, back])
    return {
        "hd95": float(max(np.percentile(there, 95), np.percentile(back, 95))),
        "assd": float(both.mean()),
        "nsd": float((both <= tolerance * (1 + 1e-9)).mean()),
    }


rng = np.random.default_rng(7)
cases = []
for shape, spacing, tolerance in GRIDS:
    reference, prediction = blob(shape, rng), blob(shape, rng)
    bits = lambda mask: "".join("1" if inside else "0" for inside in mask.ravel())
    case = {"shape": shape, "spacing": spacing, "tolerance_mm": tolerance}
    case |= {"reference": bits(reference), "prediction": bits(prediction)}
    cases.append(case | measure(reference, prediction, spacing, tolerance))
json.dump(cases, sys.stdout, indent=1)
print()
