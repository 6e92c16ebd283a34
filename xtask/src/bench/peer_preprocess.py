"""nnU-Net's preprocessing of a raw data set by given plans: seconds of every case, and how far our arrays are from its.

    python peer_preprocess.py RAW_DATASET PLANS_JSON CONFIGURATION OUTPUT [--cases N]   -> time, one process
    python peer_preprocess.py RAW_DATASET PLANS_JSON CONFIGURATION OUTPUT --ours DIR    -> compare with a store of ours

Prints one line of JSON. Calls nnU-Net's own classes; starting Python and importing it are not part of the time.
"""

import argparse
import json
import os
import pathlib
import sys
import time

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, "/nonexistent")

import numpy as np  # noqa: E402
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=pathlib.Path)
    parser.add_argument("plans", type=pathlib.Path)
    parser.add_argument("configuration")
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--ours", type=pathlib.Path)
    return parser.parse_args()


def cases_of(args, dataset):
    ending = dataset["file_ending"]
    images = sorted((args.raw / "imagesTr").glob(f"*_0000{ending}"))
    names = [image.name[: -len(f"_0000{ending}")] for image in images]
    return names[: args.cases]


def preprocess(args):
    dataset = json.loads((args.raw / "dataset.json").read_text())
    plans = PlansManager(str(args.plans))
    configuration = plans.get_configuration(args.configuration)
    preprocessor = configuration.preprocessor_class(verbose=False)
    args.output.mkdir(parents=True, exist_ok=True)
    seconds = {}
    for case in cases_of(args, dataset):
        ending = dataset["file_ending"]
        channels = [str(args.raw / "imagesTr" / f"{case}_{i:04d}{ending}") for i in range(len(dataset["channel_names"]))]
        labels = str(args.raw / "labelsTr" / f"{case}{ending}")
        start = time.perf_counter()
        preprocessor.run_case_save(str(args.output / case), channels, labels, plans, configuration, dataset)
        seconds[case] = time.perf_counter() - start
    return {"n": len(seconds), "seconds": sum(seconds.values())}


def compare(args):
    """Largest difference of intensities, voxels with another label, remembered voxels that differ."""
    difference, labels, n_voxels, locations = 0.0, 0, 0, 0
    records = sorted(args.ours.glob("*.json"))
    peer = nnUNetDatasetBlosc2(str(args.output))
    n = 0
    for path in records:
        case = path.stem
        if case not in peer.identifiers:
            continue
        n += 1
        record = json.loads(path.read_text())
        image, segmentation, _, properties = peer.load_case(case)
        shape = record["shape"]
        ours = np.fromfile(path.with_suffix(".image"), "<f4").reshape(record["n_channels"], *shape)
        ours_labels = np.fromfile(path.with_suffix(".labels"), "<i2").reshape(shape)
        if ours.shape != image.shape:
            sys.exit(f"{case}: shape {ours.shape}, nnU-Net has {image.shape}")
        difference = max(difference, float(np.abs(np.asarray(image) - ours).max()))
        labels += int((np.asarray(segmentation)[0] != ours_labels).sum())
        n_voxels += ours_labels.size
        voxels = np.fromfile(path.with_suffix(".locations"), "<u4").reshape(-1, 3)
        for of, key in zip(record["remembered"], properties["class_locations"]):
            mine, voxels = voxels[: of["n_voxels"]], voxels[of["n_voxels"] :]
            theirs = properties["class_locations"][key]
            theirs = np.asarray(theirs)[:, 1:] if len(theirs) else np.empty((0, 3))
            locations += len(set(map(tuple, mine.tolist())) ^ set(map(tuple, theirs.tolist())))
    return {"n": n, "difference": difference, "labels": labels, "voxels": n_voxels, "locations": locations}


def main():
    args = arguments()
    print(json.dumps(compare(args) if args.ours else preprocess(args)))


if __name__ == "__main__":
    main()
