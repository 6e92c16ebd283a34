"""nnU-Net's training samples of one phantom in memory: python peer_augment.py Z,Y,X N [KIND] (or Y,X N [KIND]).

Cuts the box that nnU-Net's loader would cut and runs `get_training_transforms` of its default trainer on it, after
enough samples for its blur to have measured which convolution is faster. Prints the seconds of N samples. KIND `cascade`
adds the segmentation of a previous stage to every sample, `one-hot` makes and augments only its channels.
"""

import os
import sys
import time

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd  # noqa: E402
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

torch.set_num_threads(1)
np.random.seed(0), torch.manual_seed(0)


def phantom(patch):
    shape = [extent + extent // 2 for extent in patch]
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    texture = ((z * 7919 + y * 104729 + x * 1299) % 1013) / 1013
    image = np.sin(z / 9) + np.sin(y / 31) + np.cos(x / 23) + texture
    distance = sum(((at + 0.5) / n - 0.5) ** 2 for at, n in zip((z, y, x), shape))
    labels = (distance < 0.09).astype(np.int16) + (distance < 0.03)
    return image[None].astype(np.float32), labels[None].astype(np.int16)


def main():
    patch = [int(n) for n in sys.argv[1].split(",")]
    flat = len(patch) == 2
    whole = [1, *patch] if flat else patch
    image, labels = phantom(whole)
    dummy = not flat and max(patch) / patch[0] > 3
    angle = np.pi if flat or dummy else np.pi / 6
    rotation = (-angle, angle)
    still = (0, 0)
    angles = (rotation, still, still) if flat or dummy else (rotation,) * 3
    box = get_patch_size(patch, *angles, (0.85, 1.25))
    if dummy:
        box[0] = patch[0]
    box = [1, *box] if flat else list(box)
    scales = [[1 / 2**stage] * len(patch) for stage in range(5)]
    kind = sys.argv[3] if len(sys.argv) > 3 else "plain"
    transforms = nnUNetTrainer.get_training_transforms(
        np.array(patch), rotation, scales, tuple(range(len(patch))), dummy, use_mask_for_norm=[False],
        is_cascaded=kind != "plain", foreground_labels=[1, 2])
    if kind == "one-hot":
        transforms.transforms = transforms.transforms[-4:-1]
        middle = [slice(n // 4, n // 4 + n) for n in whole]
        inner = torch.from_numpy(np.concatenate([labels, labels])[(slice(None), *middle)])
        inner = inner[:, 0] if flat else inner

    def sample():
        if kind == "one-hot":
            return transforms(image=torch.empty((0, *inner.shape[1:])), segmentation=inner)
        first = [np.random.randint(-((b - p + 1) // 2), s + (b - p + 1) // 2 - b + 1)
                 for b, p, s in zip(box, whole, image.shape[1:])]
        bounds = [[low, low + extent] for low, extent in zip(first, box)]
        voxels = torch.from_numpy(crop_and_pad_nd(image, bounds, 0)).float()
        classes = torch.from_numpy(crop_and_pad_nd(labels, bounds, -1, cast_cropped_to=np.int16)).to(torch.int16)
        if kind == "cascade":
            # The loader cuts both segmentations.
            previous = torch.from_numpy(crop_and_pad_nd(labels, bounds, -1, cast_cropped_to=np.int16)).to(torch.int16)
            classes = torch.cat((classes, previous))
        if flat:
            voxels, classes = voxels[:, 0], classes[:, 0]
        return transforms(image=voxels, segmentation=classes)

    with torch.no_grad():
        for _ in range(40):
            sample()
        start = time.perf_counter()
        for _ in range(int(sys.argv[2])):
            sample()
        print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
