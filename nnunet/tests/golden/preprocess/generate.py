"""Cases through nnU-Net's DefaultPreprocessor and back through its export, on seeded noise.

Made with nnunetv2 2.8.1, batchgenerators as it pins it, scikit-image 0.26.0, scipy 1.17.1, torch 2.13, numpy 2.4.6,
seed 11: `python generate.py` beside this file writes `cases.json`. Regenerate after any change and expect no
difference. The plans are those of `../plans/hippocampus.json` with the fields below replaced.
"""

import copy
import json
import pathlib

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

HERE = pathlib.Path(__file__).parent
PLANS = json.loads((HERE.parent / "plans" / "hippocampus.json").read_text())
CLASSES = {"background": 0, "a": 1, "b": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2]}

# name, configuration, shape [z, y, x], spacing, target spacing, transpose_forward, schemes, mask, labels
CASES = [
    ("isotropic", "3d_fullres", (9, 10, 8), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), [0, 1, 2],
     ["ZScoreNormalization"], [False], CLASSES),
    ("finer", "3d_fullres", (7, 6, 8), (1.2, 1.5, 0.9), (1.0, 1.0, 1.0), [0, 1, 2],
     ["ZScoreNormalization", "CTNormalization"], [True, False], CLASSES),
    ("thick_slices_last", "3d_fullres", (10, 9, 6), (0.7, 0.8, 5.0), (4.0, 1.0, 1.0), [2, 0, 1],
     ["RescaleTo01Normalization", "ZScoreNormalization"], [False, True], REGIONS),
    ("slices_of_a_volume", "2d", (4, 9, 10), (3.0, 0.8, 1.3), (1.0, 1.0), [0, 1, 2],
     ["ZScoreNormalization"], [True], CLASSES),
    ("slices_across_the_file", "2d", (9, 4, 10), (0.8, 3.0, 1.3), (1.0, 1.0), [1, 0, 2],
     ["NoNormalization"], [False], CLASSES),
    ("flat", "2d", (1, 14, 12), (1.5 * 999, 1.5, 1.25), (1.0, 1.0), [0, 1, 2],
     ["ZScoreNormalization"], [False], CLASSES),
]


def plans_of(configuration, spacing, transpose_forward, schemes, mask):
    plans = copy.deepcopy(PLANS)
    plans["transpose_forward"] = transpose_forward
    plans["transpose_backward"] = [transpose_forward.index(axis) for axis in range(3)]
    properties = plans["foreground_intensity_properties_per_channel"]
    properties["0"] = properties["1"] = {
        "max": 9.0, "mean": 1.5, "median": 1.25, "min": -2.0,
        "percentile_00_5": -0.5, "percentile_99_5": 3.75, "std": 1.75,
    }
    plans["configurations"][configuration].update(
        spacing=list(spacing), normalization_schemes=schemes, use_mask_for_norm=mask)
    return plans


def case_of(random, name, configuration, shape, spacing, target, forward, schemes, mask, labels):
    image = random.normal(2, 2, size=(len(schemes), *shape)).round(2).astype(np.float32)
    margin = tuple(slice(1, -1) if extent > 5 else slice(None) for extent in shape)
    cut = np.zeros(shape, bool)
    cut[margin] = True
    # A hole that is enclosed, and zeros that are open to the margin.
    center = tuple(extent // 2 for extent in shape)
    cut[center] = False
    cut[:, :3, :4] = False
    image[:, ~cut] = 0
    segmentation = random.integers(0, 3, size=shape).astype(np.uint8)
    segmentation[:, :, : shape[2] // 2] = 1
    segmentation[:, : shape[1] // 2] = 0

    plans = plans_of(configuration, target, forward, schemes, mask)
    manager = PlansManager(plans)
    config = manager.get_configuration(configuration)
    dataset = {"labels": labels, "regions_class_order": [1, 2], "channel_names": {}}
    properties = {"spacing": list(spacing)}
    data, seg, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        image, segmentation[None].astype(np.float32), properties, manager, config, dataset)
    label_manager = manager.get_label_manager(dataset)
    logits = random.normal(0, 2, size=(label_manager.num_segmentation_heads, *data.shape[1:])).round(2)
    _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
        torch.from_numpy(logits.astype(np.float32)), manager, config, label_manager, properties,
        return_probabilities=True)
    flat = lambda array, digits: [round(float(v), digits) for v in array.ravel()]
    return {
        "name": name, "configuration": configuration, "shape": shape, "flat": shape[0] == 1, "spacing": spacing,
        "target": target, "transpose_forward": forward, "schemes": schemes, "mask": mask,
        "statistics": plans["foreground_intensity_properties_per_channel"]["0"],
        "regions": label_manager.has_regions,
        "image": flat(image, 2), "labels": [int(v) for v in segmentation.ravel()],
        "preprocessed_shape": data.shape, "preprocessed_image": flat(data, 5),
        "preprocessed_labels": [int(v) for v in seg.ravel()],
        "logits": flat(logits, 2), "probabilities_shape": probabilities.shape,
        "probabilities": flat(probabilities, 5),
    }


def main():
    random = np.random.default_rng(11)
    cases = [case_of(random, *case) for case in CASES]
    (HERE / "cases.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
