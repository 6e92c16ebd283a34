"""Lets nnU-Net determine the postprocessing of drawn segmentations, and apply it.

usage: python generate.py PLANS_JSON > postprocessing.json   (nnunetv2 2.8.1, NumPy 2, seeds 0 to 7)

PLANS_JSON is any plans file whose reader is SimpleITKIO; only the reader is used. A volume is written as its labels in
C order, a mean that is not a number as null. Every set has four cases of blocks; predictions have specks in addition.
"""
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunetv2.postprocessing.remove_connected_components import apply_postprocessing, determine_postprocessing

SHAPE = (4, 8, 9)
CLASSES = {"background": 0, "a": 1, "b": 2, "c": 3}
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "tip": 3}


def block(rng, volume, label, size):
    low = [rng.integers(0, n - s + 1) for n, s in zip(volume.shape, size)]
    volume[tuple(slice(l, l + s) for l, s in zip(low, size))] = label


def case(rng, n_specks, n_blocks):
    reference = np.zeros(SHAPE, np.uint8)
    for label in (1, 2, 3):
        for _ in range(n_blocks[label - 1]):
            block(rng, reference, label, (2, 3, 3) if label == 1 else (1, 2, 2))
    prediction = reference.copy()
    for label in (1, 2, 3):
        for _ in range(n_specks[label - 1]):
            block(rng, prediction, label, (1, 1, int(rng.integers(1, 3))))
    return reference, prediction


def text(volume):
    return "".join(str(v) for v in volume.ravel())


def main(plans_path):
    plans = json.load(open(plans_path))
    sets = []
    # Specks per structure, blocks per structure, labels.
    designs = [
        ((2, 0, 0), (1, 0, 0), CLASSES), ((3, 2, 2), (1, 1, 1), CLASSES), ((1, 3, 0), (2, 1, 2), CLASSES),
        ((0, 0, 0), (1, 1, 1), CLASSES), ((0, 2, 3), (3, 2, 1), CLASSES), ((2, 2, 2), (1, 1, 1), REGIONS),
        ((0, 2, 3), (2, 1, 1), REGIONS), ((4, 0, 0), (1, 1, 1), REGIONS),
    ]
    for seed, (specks, blocks, labels) in enumerate(designs):
        rng = np.random.default_rng(seed)
        dataset = {"channel_names": {"0": "MRI"}, "labels": labels, "numTraining": 4, "file_ending": ".nii.gz"}
        if labels is REGIONS:
            dataset["regions_class_order"] = [1, 2, 3]
        with tempfile.TemporaryDirectory() as folder:
            references, predictions = Path(folder, "references"), Path(folder, "predictions")
            references.mkdir()
            predictions.mkdir()
            drawn = [case(rng, specks, blocks) for _ in range(4)]
            for i, (reference, prediction) in enumerate(drawn):
                for where, volume in ((references, reference), (predictions, prediction)):
                    sitk.WriteImage(sitk.GetImageFromArray(volume), str(where / f"case_{i}.nii.gz"))
            with contextlib.redirect_stdout(sys.stderr):
                functions, arguments = determine_postprocessing(
                    str(predictions), str(references), plans, dataset, 2, keep_postprocessed_files=False
                )
            found = json.load(open(predictions / "postprocessing.json"))
        results = [apply_postprocessing(p.copy(), functions, arguments) for _, p in drawn]
        cases = [
            {"reference": text(r), "prediction": text(p), "result": text(q)} for (r, p), q in zip(drawn, results)
        ]
        sets.append({"dataset": dataset, "cases": cases, "postprocessing": found})
    print(json.dumps({"shape": SHAPE, "sets": sets}).replace("NaN", "null"))


if __name__ == "__main__":
    main(sys.argv[1])
