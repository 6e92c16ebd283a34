"""Fingerprints that nnU-Net extracts from small synthetic training sets, and the voxels they were made of.

Made with nnunetv2 2.8.1, numpy 2.4.6, SimpleITK 2.5: `python generate.py` beside this file writes `cases.json`. Voxels
come from RandomState(7). The sets: two channels with a margin of zeros and an ignore label; one channel where a case
has no foreground; 2D files.
"""

import json
import os
import pathlib
import tempfile

import numpy as np
import SimpleITK

ROOT = tempfile.mkdtemp()
for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ[variable] = ROOT + "/" + variable

import nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor as extractor  # noqa: E402

RANDOM = np.random.RandomState(7)


def case(shape, channels, spacing, n_labels):
    """Voxels [channel, (z,) y, x] with a margin, labels, and spacing in array order."""
    voxels = np.zeros((channels, *shape), np.float32)
    inside = tuple(slice(1, extent - 1) if extent > 2 else slice(None) for extent in shape)
    voxels[(slice(None), *inside)] = RANDOM.normal(300, 150, voxels[(slice(None), *inside)].shape).round(2)
    labels = RANDOM.randint(0, n_labels + 1, shape).astype(np.uint8) if n_labels else np.zeros(shape, np.uint8)
    return {"voxels": voxels, "labels": labels, "spacing": spacing}


def sets():
    yield "two_channels_with_ignore", {"background": 0, "a": 1, "ignore": 2}, [
        case((4, 6, 7), 2, [2.5, 0.75, 0.8], 2), case((5, 5, 6), 2, [2.0, 1.0, 1.0], 2)]
    yield "one_case_without_foreground", {"background": 0, "a": 1}, [
        case((5, 6, 6), 1, [1.0, 1.0, 1.0], 1), case((3, 4, 8), 1, [1.5, 0.5, 0.5], 0),
        case((4, 6, 5), 1, [1.25, 1.0, 1.0], 1)]
    yield "flat_files", {"background": 0, "a": 1}, [
        case((9, 8), 1, [0.5, 0.25], 1), case((7, 12), 1, [0.5, 0.75], 1)]


def write(array, spacing, path):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    SimpleITK.WriteImage(image, path)


def main():
    written = []
    for number, (name, labels, cases) in enumerate(sets(), 1):
        dataset = f"Dataset{number:03}_Case"
        folder = pathlib.Path(os.environ["nnUNet_raw"]) / dataset
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir(parents=True)
        for i, made in enumerate(cases):
            for channel, voxels in enumerate(made["voxels"]):
                write(voxels, made["spacing"], str(folder / f"imagesTr/c{i}_{channel:04}.nii.gz"))
            write(made["labels"], made["spacing"], str(folder / f"labelsTr/c{i}.nii.gz"))
        description = {"channel_names": {str(i): "MRI" for i in range(len(cases[0]["voxels"]))}, "labels": labels,
                       "numTraining": len(cases), "file_ending": ".nii.gz"}
        (folder / "dataset.json").write_text(json.dumps(description))
        extractor.DatasetFingerprintExtractor(number, 1).run(True)
        found = pathlib.Path(os.environ["nnUNet_preprocessed"]) / dataset / "dataset_fingerprint.json"
        for made in cases:
            made["shape"] = list(made["labels"].shape)
            made["voxels"] = [float(str(value)) for value in made["voxels"].ravel()]
            made["labels"] = made["labels"].ravel().tolist()
        written.append({"name": name, "cases": cases, "fingerprint": json.loads(found.read_text())})
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
