"""nnU-Net's training transforms where `augment/generate.py` does not look: labels, slices, and volumes turned in their
plane.

Made with nnunetv2 2.8.1, batchgeneratorsv2 0.3.6, torch on the CPU, seed 12: `python generate.py` beside this file writes
`golden.json`. `turned` holds boxes, the affine matrix of a turn and a scale about their center, and the patch that
`SpatialTransform` makes of image and labels (no place lies exactly between two voxels, where the nearest would depend on
how a half is rounded); `targets` labels and what `DownsampleSegForDSTransform` makes of them;
`statistics` the mean and standard deviation over RUNS runs of the whole list of `get_training_transforms` of what
`summary` counts. The second channel is masked.
"""

import json
import os
import pathlib
import random

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform  # noqa: E402
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

RUNS = 3000
torch.set_num_threads(1)
random.seed(12), np.random.seed(12), torch.manual_seed(12)


def case(shape):
    """Two channels, and labels -1 to 3 in lumps."""
    image = torch.from_numpy(np.random.normal(0, 1, (2, *shape)).round(3).astype(np.float32))
    places = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    wave = sum(np.sin((i + 2) * 0.5 * place) for i, place in enumerate(places))
    labels = torch.from_numpy(np.clip(np.floor(2 * wave), -1, 3).astype(np.int16))[None]
    image += labels
    image[1][labels[0] < 0] = 0
    return image, labels


def numbers(tensor, digits=5):
    return [round(float(value), digits) for value in tensor.ravel()]


def turned():
    for box, patch, angles, scale in [
        ((8, 11, 13), (6, 7, 8), (0.5, 0.0, 0.0), 1.0),
        ((9, 11, 13), (6, 7, 8), (0.3, -0.4, 0.2), 0.8),
        ((9, 11, 13), (7, 8, 9), (-0.5, 0.25, 0.5), 1.4),
        ((14, 12), (9, 8), (0.0, 2.5), 1.0),
        ((14, 12), (9, 8), (0.0, -0.7), 1.3),
        ((13, 13), (10, 9), (0.0, 0.0), 0.7),
    ]:
        image, labels = case(box)
        transform = SpatialTransform(
            patch, 0, False, p_rotation=1, rotation=lambda image, dim: angles[dim], p_scaling=1, scaling=(scale, scale),
            p_synchronize_scaling_across_axes=1, border_mode_seg="constant", padding_value_seg=-1)
        parameters = transform.get_parameters(image=image, segmentation=labels)
        yield {"box": box, "patch": patch, "affine": parameters["affine"].tolist(), "image": numbers(image, 3),
               "labels": labels.ravel().tolist(),
               "patch_image": numbers(transform._apply_to_image(image.clone(), **parameters)),
               "patch_labels": transform._apply_to_segmentation(labels.clone(), **parameters).ravel().tolist()}


def targets():
    for shape, scales in [((8, 12, 8), [(1, 1, 1), (1, 0.5, 0.5), (0.5, 0.25, 0.25)]), ((12, 8), [(1, 1), (0.5, 0.5)])]:
        labels = case(shape)[1].clip(0)
        coarse = DownsampleSegForDSTransform(scales)._apply_to_segmentation(labels)
        yield {"shape": shape, "labels": labels.ravel().tolist(),
               "coarse": [{"shape": one.shape[1:], "labels": one.ravel().tolist()} for one in coarse]}


def summary(image, labels):
    """Mean, deviation and neighbors' difference of the first channel, share of zeros in the second, share of every
    label, and the mean place of label 2 along the last axis where there is any, else -1."""
    first, columns = image[0], torch.arange(labels.shape[-1]).expand(labels[0].shape)[labels[0] == 2]
    shares = [float((labels == label).float().mean()) for label in range(4)]
    return [float(first.mean()), float(first.std()), float((first[..., 1:] - first[..., :-1]).abs().mean()),
            float((image[1] == 0).float().mean()), *shares, float(columns.float().mean()) if len(columns) else -1.0]


def statistics():
    for name, shape, degrees, in_plane in [("2d", (12, 14), 180, False), ("elongated 2d", (16, 10), 15, False),
                                           ("dummy 2d", (4, 14, 12), 180, True), ("3d", (8, 9, 10), 30, False)]:
        limit = degrees / 360 * 2 * np.pi
        axes = tuple(range(len(shape)))
        transform = nnUNetTrainer.get_training_transforms(
            np.array(shape), (-limit, limit), None, axes, in_plane, use_mask_for_norm=[False, True])
        image, labels = case(shape)
        rows = []
        for _ in range(RUNS):
            data = transform(image=image.clone(), segmentation=labels.clone())
            rows.append(summary(data["image"], data["segmentation"]))
        rows = np.array(rows)
        yield {"name": name, "shape": shape, "image": numbers(image, 3), "labels": labels.ravel().tolist(), "runs": RUNS,
               "mean": rows.mean(0).tolist(), "std": rows.std(0).tolist()}


def main():
    golden = {"turned": list(turned()), "targets": list(targets()), "statistics": list(statistics())}
    pathlib.Path(__file__).with_name("golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
