"""nnU-Net's resampling of one volume: python peer_resample.py IN.f32 OUT.f32 FROM TO CURRENT TARGET.

Shapes and spacings are `z,y,x`. IN holds little-endian 32-bit reals in C order; OUT holds what another program made of
it, and is compared. Prints one line of JSON: seconds, and the largest difference.
"""

import json
import os
import sys
import time

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import numpy as np  # noqa: E402
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape  # noqa: E402


def main():
    source, ours, *numbers = sys.argv[1:]
    shape, target = ([int(n) for n in text.split(",")] for text in numbers[:2])
    current, wanted = ([float(n) for n in text.split(",")] for text in numbers[2:])
    voxels = np.fromfile(source, "<f4").reshape(1, *shape)
    start = time.perf_counter()
    resampled = resample_data_or_seg_to_shape(voxels, target, current, wanted, is_seg=False, order=3, order_z=0,
                                              force_separate_z=None)
    seconds = time.perf_counter() - start
    found = np.fromfile(ours, "<f4").reshape(resampled.shape)
    print(json.dumps({"seconds": seconds, "difference": float(np.abs(resampled - found).max())}))


if __name__ == "__main__":
    main()
