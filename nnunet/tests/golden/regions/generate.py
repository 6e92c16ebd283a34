"""Label maps that nnU-Net makes of region probabilities, and their agreement with a partly annotated reference.

Made with nnunetv2 2.8.1, numpy 2.4.6: `python generate.py` beside this file writes `cases.json`. The seed is fixed
below. Probabilities are multiples of 1/64, so that some are exactly one half.
"""

import json
import pathlib
from types import SimpleNamespace

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_metrics
from nnunetv2.utilities.label_handling.label_handling import LabelManager

HERE = pathlib.Path(__file__).parent
SHAPE = (3, 4, 5)
NESTED = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3, "ignore": 4}
CROSSING = {"background": 0, "left": [1, 2], "right": [2, 3], "both": 2}
CASES = [(NESTED, [1, 2, 3]), (NESTED, [3, 1, 2]), (CROSSING, [1, 3, 2])]


def case(number, labels, order):
    random = np.random.default_rng(number)
    manager = LabelManager(labels, order)
    probabilities = random.integers(0, 65, (len(manager.foreground_regions), *SHAPE)) / 64
    segmentation = manager.convert_probabilities_to_segmentation(probabilities.astype(np.float32))
    reference = random.integers(0, max(manager.all_labels) + 1 + manager.has_ignore_label, SHAPE)
    maps = {"reference": reference, "prediction": segmentation}
    reader = SimpleNamespace(read_seg=lambda name: (maps[name], {}))
    regions = manager.foreground_regions
    metrics = compute_metrics("reference", "prediction", reader, regions, manager.ignore_label)["metrics"]
    rows = [[int(metrics[r][k]) for k in ("TP", "FP", "FN", "TN")] + [float(metrics[r]["Dice"])] for r in regions]
    return {
        "labels": labels, "regions_class_order": order, "probabilities": probabilities.flatten().tolist(),
        "reference": reference.flatten().tolist(), "segmentation": segmentation.flatten().tolist(), "metrics": rows,
    }


cases = [case(number, *one) for number, one in enumerate(CASES)]
(HERE / "cases.json").write_text(json.dumps({"shape": SHAPE, "cases": cases}, separators=(",", ":")) + "\n")
