"""Golden values of a cascade's one-hot channels and what training does to them.

Run with Python 3.11, nnunetv2 2.8.1, batchgeneratorsv2 0.3.6, torch, numpy and scikit-image as in the environment of
the reference; seed below:

    python generate.py        # writes golden.json beside itself

`labels` is a segmentation of a previous stage, one digit per voxel. `balls` and `disks` count the voxels of every slice
or row of a structuring element. `exact` are operators on the channel of label 1, the masks as 0 and 1 packed eight to a
byte. `components` are the sizes of the components of every channel, and which of them may be removed. `statistics`, of
`lumps`, are mean and deviation over runs of: whether anything changed, then the voxels and the steps along x of every channel.
"""

import json
from pathlib import Path

import numpy as np
import torch
from batchgeneratorsv2.transforms.nnunet.random_binary_operator import (
    ApplyRandomBinaryOperatorTransform,
    binary_closing_torch,
    binary_dilation_torch,
    binary_erosion_torch,
    binary_opening_torch,
)
from batchgeneratorsv2.transforms.nnunet.remove_connected_components import (
    RemoveRandomConnectedComponentFromOneHotEncodingTransform,
)
from batchgeneratorsv2.transforms.nnunet.seg_to_onehot import MoveSegAsOneHotToDataTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from acvl_utils.morphology.morphology_helper import label_with_component_sizes
from skimage.morphology import ball, disk

SEED = 20261124
SHAPE = (14, 18, 22)
PLANE = (30, 41)
RUNS = 3000
OPERATORS = {
    "dilation": binary_dilation_torch,
    "erosion": binary_erosion_torch,
    "closing": binary_closing_torch,
    "opening": binary_opening_torch,
}


def segmentation(shape, random, speck):
    """Lumps of three labels, and specks with this probability."""
    grids = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    labels = np.zeros(shape, dtype=np.int16)
    for label, radius in [(1, 0.36), (2, 0.22), (3, 0.2), (1, 0.14), (2, 0.1)]:
        center = [random.uniform(0.2, 0.8) * n for n in shape]
        distance = sum(((g - c) / n) ** 2 for g, c, n in zip(grids, center, shape))
        labels[distance < radius**2] = label
    specks = random.random(shape)
    labels[specks < speck] = 1
    labels[specks > 1 - speck] = 0
    return labels


def digits(labels):
    return "".join(str(int(v)) for v in labels.ravel())


def packed(mask):
    return np.packbits(np.asarray(mask, dtype=np.uint8).ravel()).tobytes().hex()


def exact(labels, radii, element):
    mask = torch.from_numpy(labels == 1)
    cases = []
    for radius in radii:
        footprint = torch.from_numpy(element(radius, dtype=bool))
        for name, operator in OPERATORS.items():
            cases.append({"operator": name, "radius": radius, "mask": packed(operator(mask, footprint).numpy())})
    return cases


def components(labels):
    rows = []
    for label in [1, 2, 3]:
        _, sizes = label_with_component_sizes(labels == label)
        removable = [i for i, n in sizes.items() if n < np.uint64(labels.size) * 0.15]
        rows.append({"sizes": [int(n) for n in sizes.values()], "removable": [int(sizes[i]) for i in removable]})
    return rows


def transforms():
    channels = [-3, -2, -1]
    return {
        "operator": RandomTransform(
            ApplyRandomBinaryOperatorTransform(channel_idx=list(channels), strel_size=(1, 8), p_per_label=0.5),
            apply_probability=0.4,
        ),
        "removal": RandomTransform(
            RemoveRandomConnectedComponentFromOneHotEncodingTransform(
                channel_idx=list(channels),
                fill_with_other_class_p=0,
                dont_do_if_covers_more_than_x_percent=0.15,
                p_per_label=0.5,
            ),
            apply_probability=0.2,
        ),
    }


def one_hot(labels):
    move = MoveSegAsOneHotToDataTransform(1, [1, 2, 3], remove_channel_from_source=True)
    both = torch.from_numpy(np.stack([np.zeros_like(labels), labels]))
    moved = move(image=torch.zeros((1, *labels.shape)), segmentation=both)
    assert moved["segmentation"].shape[0] == 1
    return moved["image"]


def summary(image, before):
    steps = (image[1:, ..., 1:] - image[1:, ..., :-1]).abs().flatten(1).sum(1)
    voxels = image[1:].flatten(1).sum(1)
    return [float(not torch.equal(image, before)), *voxels.tolist(), *steps.tolist()]


def statistics(labels):
    rows = []
    for name, transform in [*transforms().items(), ("both", None)]:
        chain = list(transforms().values()) if transform is None else [transform]
        before = one_hot(labels)
        runs = []
        for _ in range(RUNS):
            image = before.clone()
            for step in chain:
                image = step(image=image)["image"]
            runs.append(summary(image, before))
        runs = np.array(runs)
        rows.append(
            {
                "transform": name,
                "runs": RUNS,
                "mean": [round(v, 5) for v in runs.mean(0)],
                "std": [round(v, 5) for v in runs.std(0)],
            }
        )
    return rows


def main():
    torch.set_num_threads(1)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    labels, plane, lumps = [segmentation(*of) for of in [(SHAPE, random, 0.01), (PLANE, random, 0.01), (SHAPE, random, 0)]]
    radii = [1.0, 1.3, 1.75, 2.2, 2.6, 3.4, 4.5, 5.9, 7.99]
    sizes = [round(float(r), 3) for r in random.uniform(1, 8, 120)] + [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.5, 7.0]
    golden = {
        "shape": SHAPE,
        "labels": digits(labels),
        "plane_shape": PLANE,
        "plane_labels": digits(plane),
        "balls": [{"radius": r, "voxels": ball(r, dtype=int).sum((1, 2)).tolist()} for r in sizes],
        "disks": [{"radius": r, "voxels": disk(r, dtype=int).sum(1).tolist()} for r in sizes],
        "exact": exact(labels, radii, ball),
        "plane_exact": exact(plane, radii, disk),
        "one_hot": [packed(channel) for channel in one_hot(labels)[1:]],
        "components": components(labels),
        "plane_components": components(plane),
        "lumps": digits(lumps),
        "statistics": statistics(lumps),
    }
    Path(__file__).with_name("golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
