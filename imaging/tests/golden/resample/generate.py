"""Resampled arrays from nnU-Net's resample_data_or_seg_to_shape, on seeded noise.

Made with nnunetv2 2.8.1, batchgenerators as it pins it, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6, seed 7:
`python generate.py` beside this file writes `cases.json`. Regenerate after any change and expect no difference.
"""

import json
import pathlib

import numpy as np
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

# name, shape [z, y, x], new shape, spacing, new spacing
GRIDS = [
    ("enlarge", (4, 5, 6), (7, 8, 6), (1.6, 1.5, 1.0), (1.0, 1.0, 1.0)),
    ("shrink", (7, 6, 9), (4, 6, 4), (1.0, 1.0, 1.0), (1.8, 1.0, 2.25)),
    ("double", (3, 3, 4), (6, 6, 8), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0)),
    ("thick_slices", (4, 7, 6), (7, 5, 8), (5.0, 1.0, 1.0), (2.9, 1.5, 0.73)),
    ("thick_slices_in_plane_only", (4, 7, 6), (4, 5, 8), (5.0, 1.0, 1.0), (5.0, 1.5, 0.73)),
    ("thick_slices_last_axis", (6, 7, 4), (4, 7, 3), (1.0, 1.0, 6.0), (1.33, 1.0, 8.0)),
    ("thick_target_middle_axis", (6, 9, 7), (6, 2, 6), (1.0, 1.0, 1.0), (1.0, 4.5, 1.17)),
    ("one_slice", (1, 12, 10), (1, 17, 6), (999.0, 1.0, 1.0), (999.0, 0.7, 1.67)),
    ("single_voxels", (1, 1, 2), (3, 2, 5), (1.0, 1.0, 1.0), (0.33, 0.5, 0.4)),
]


def main():
    random = np.random.default_rng(7)
    cases = []
    for name, shape, new_shape, spacing, new_spacing in GRIDS:
        image = random.normal(size=(2, *shape)).round(2).astype(np.float32)
        labels = random.integers(-1, 4, size=shape).astype(np.float32)
        # Larger blobs beside the noise: most voxels agree with their neighbors, as in real labels.
        labels[: (shape[0] + 1) // 2, : (shape[1] + 1) // 2] = 2

        def resample(data, **more):
            resampled = resample_data_or_seg_to_shape(
                data, new_shape, spacing, new_spacing, order_z=0, force_separate_z=None, **more)
            return resampled.astype(np.float32)

        cases.append({
            "name": name, "from": shape, "to": new_shape, "current": spacing, "target": new_spacing,
            "image": [round(float(v), 2) for v in image.ravel()],
            "labels": [int(v) for v in labels.ravel()],
            "cubic": [round(float(v), 6) for v in resample(image, is_seg=False, order=3).ravel()],
            "linear": [round(float(v), 6) for v in resample(image, is_seg=False, order=1).ravel()],
            "nearest": [round(float(v), 6) for v in resample(image, is_seg=False, order=0).ravel()],
            "voted": [int(v) for v in resample(labels[None], is_seg=True, order=1).ravel()],
        })
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
