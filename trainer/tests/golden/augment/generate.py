"""nnU-Net's training transforms on one patch: exact results of given parameters, and statistics of random ones.

Made with nnunetv2 2.8.1, batchgeneratorsv2 as it requires, torch on the CPU, seed 11: `python generate.py` beside this
file writes `golden.json`. `exact` holds outputs of `_apply_to_image` for parameters that stand beside them;
`statistics` the mean and standard deviation over RUNS runs of the whole list of `get_training_transforms`, and of each
random transform in it, of: whether any value changed, mean, deviation and mean cube of the output, and mean absolute
difference of voxels that are neighbors along x.
"""

import json
import os
import pathlib
import random

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform  # noqa: E402
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform  # noqa: E402
from batchgeneratorsv2.transforms.noise.gaussian_blur import blur_dimension  # noqa: E402
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform  # noqa: E402
from batchgeneratorsv2.transforms.utils.random import RandomTransform  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

SHAPE = (8, 9, 10)
RUNS = 3000
torch.set_num_threads(1)
random.seed(11), np.random.seed(11), torch.manual_seed(11)


def patch():
    image = np.random.gamma(2.0, 0.5, (2, *SHAPE)) - 0.5
    image[:, 2:6, 2:7, 3:8] += 1.0
    return torch.from_numpy(image.round(3).astype(np.float32))


def numbers(tensor):
    return [round(float(value), 5) for value in tensor.ravel()]


def exact(image):
    channel = image[:1]
    for sigmas in ([0.5, 0.7, 1.0], [0.95, 0.58, 0.62]):
        blurred = channel
        for axis, sigma in enumerate(sigmas):
            blurred = blur_dimension(blurred, sigma, axis, force_use_fft=False)
        yield {"transform": "blur", "parameters": sigmas, "output": numbers(blurred)}
    one = torch.tensor([0])
    for factor in (0.75, 1.25):
        output = ContrastTransform((1, 1), True, False)._apply_to_image(
            channel.clone(), apply_to_channel=one, multipliers=torch.tensor([factor]))
        yield {"transform": "contrast", "parameters": [factor], "output": numbers(output)}
    for inverted in (True, False):
        for exponent in (0.7, 1.5):
            output = GammaTransform((1, 1), 1, False, 1, 1)._apply_to_image(
                channel.clone(), apply_to_channel=one, retain_stats=torch.tensor([True]),
                invert_image=torch.tensor([inverted]), gamma=torch.tensor([exponent]))
            yield {"transform": "inverted gamma" if inverted else "gamma", "parameters": [exponent],
                   "output": numbers(output)}
    for coarse in ([4, 5, 5], [7, 8, 9], [8, 6, 7]):
        scales = torch.tensor([[c / n for c, n in zip(coarse, SHAPE)]])
        output = SimulateLowResolutionTransform((1, 1), False, True, None)._apply_to_image(
            channel.clone(), apply_to_channel=[0], scales=scales)
        yield {"transform": "low resolution", "parameters": coarse, "output": numbers(output)}


def summary(output, image):
    return [float((output != image).any()), float(output.mean()), float(output.std()), float((output**3).mean()),
            float((output[..., 1:] - output[..., :-1]).abs().mean())]


def statistics(image):
    transforms = nnUNetTrainer.get_training_transforms(
        np.array(SHAPE), (-np.pi / 6, np.pi / 6), None, (0, 1, 2), False, use_mask_for_norm=[False, False]).transforms
    segmentation = torch.zeros((1, *SHAPE), dtype=torch.int16)
    named = {f"{i} {type(t.transform).__name__}": [t] for i, t in enumerate(transforms) if isinstance(t, RandomTransform)}
    named["spatial"] = transforms[:1]
    named["all"] = transforms
    for name, several in named.items():
        rows = []
        for _ in range(RUNS):
            data = {"image": image.clone(), "segmentation": segmentation.clone()}
            for transform in several:
                data = transform(**data)
            rows.append(summary(data["image"], image))
        rows = np.array(rows)
        yield {"transform": name, "runs": RUNS, "mean": rows.mean(0).tolist(), "std": rows.std(0).tolist()}


def main():
    image = patch()
    golden = {"shape": SHAPE, "image": numbers(image), "exact": list(exact(image)), "statistics": list(statistics(image))}
    pathlib.Path(__file__).with_name("golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
