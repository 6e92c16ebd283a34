"""Compares fingerprints and plans of `unnunet-train` with those of nnU-Net v2, field by field, on raw data sets.

For every data set below `--raw`, nnU-Net extracts the fingerprint and plans it with each planner, in a folder of its
own; the files of `--ours` are compared with what it writes. One line is printed per file: equal or not, the largest
relative difference of the intensity statistics, and whether nnU-Net accepts our file (the plans are loaded with its
PlansManager and every network is built). Fields, their order and all values but the statistics must be equal.

Needs an environment with nnunetv2 2.8.1; nothing else of this project is needed to repeat it:

    for planner in ExperimentPlanner nnUNetPlannerResEncM nnUNetPlannerResEncL nnUNetPlannerResEncXL; do
        unnunet-train plan-and-preprocess -d 4 --raw RAW --preprocessed OURS --no-preprocess --planner $planner
    done
    python tests/parity/plans.py --raw RAW --ours OURS

`--reference DIR` keeps nnU-Net's files, and takes those that are there already. Exit status 1 if anything differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PLANNERS = {
    "ExperimentPlanner": "nnUNetPlans", "ResEncUNetPlanner": "nnUNetResEncUNetPlans",
    "nnUNetPlannerResEncM": "nnUNetResEncUNetMPlans", "nnUNetPlannerResEncL": "nnUNetResEncUNetLPlans",
    "nnUNetPlannerResEncXL": "nnUNetResEncUNetXLPlans",
}
STATISTICS = "foreground_intensity_properties_per_channel"
# Statistics are sums of 10**8 values, which nnU-Net adds up in single precision.
TOLERANCE = 1e-6


def differences(ours, theirs, path=""):
    """Paths at which two JSON values differ, the order of fields included, and the largest difference of statistics."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [] if list(ours) == list(theirs) else [f"{path}: fields {list(ours)}, nnU-Net's {list(theirs)}"]
        parts = [differences(ours[key], theirs[key], f"{path}/{key}") for key in ours if key in theirs]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        found, parts = [], [differences(a, b, f"{path}/{i}") for i, (a, b) in enumerate(zip(ours, theirs))]
    elif STATISTICS in path and isinstance(ours, float) and isinstance(theirs, float):
        relative = abs(ours - theirs) / max(abs(theirs), 1e-300) if ours != theirs else 0.0
        return ([f"{path}: {ours}, nnU-Net's {theirs}"] if relative > TOLERANCE else []), relative
    else:
        return ([] if ours == theirs else [f"{path}: {ours}, nnU-Net's {theirs}"]), 0.0
    return found + [line for part, _ in parts for line in part], max((part[1] for part in parts), default=0.0)


def compare(ours, theirs):
    return differences(json.loads(ours.read_text()), json.loads(theirs.read_text()))


def run(program, *arguments):
    done = subprocess.run([str(pathlib.Path(sys.executable).parent / program), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{program} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def reference(raw, folder, number, processes):
    """Lets nnU-Net write what is missing in its folder of a data set."""
    os.environ.update(nnUNet_raw=str(raw), nnUNet_preprocessed=str(folder.parent), nnUNet_results=str(folder.parent))
    if not (folder / "dataset_fingerprint.json").is_file():
        run("nnUNetv2_extract_fingerprint", "-d", number, "-np", str(processes), "--no_pbar")
    for planner, plans in PLANNERS.items():
        if not (folder / f"{plans}.json").is_file():
            run("nnUNetv2_plan_experiment", "-d", number, "-pl", planner)


def accepted(plans_file, dataset_json):
    """Whether nnU-Net loads our plans and builds the network of every configuration; else why not."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    try:
        manager = PlansManager(str(plans_file))
        labels = manager.get_label_manager(dataset_json)
        for name in manager.available_configurations:
            configuration = manager.get_configuration(name)
            configuration.preprocessor_class, configuration.resampling_fn_data, manager.image_reader_writer_class
            with torch.device("meta"):
                get_network_from_plans(
                    configuration.network_arch_class_name, configuration.network_arch_init_kwargs,
                    configuration.network_arch_init_kwargs_req_import, len(dataset_json["channel_names"]),
                    labels.num_segmentation_heads, allow_init=False, deep_supervision=True)
    except Exception as error:  # Whatever it is, it is the answer.
        return f"no: {error!r}"
    return "yes"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=pathlib.Path, required=True, help="folder of raw data sets")
    parser.add_argument("--ours", type=pathlib.Path, required=True, help="what unnunet-train wrote from them")
    parser.add_argument("--reference", type=pathlib.Path, help="folder for nnU-Net's files [default: a temporary one]")
    parser.add_argument("--processes", type=int, default=2, help="processes for nnU-Net")
    arguments = parser.parse_args()
    references = arguments.reference or pathlib.Path(tempfile.mkdtemp())
    all_equal = True
    print("data set | file | equal | statistics differ by | nnU-Net accepts ours")
    print("---|---|---|---:|---")
    for raw in sorted(path.parent for path in arguments.raw.glob("Dataset*/dataset.json")):
        ours, theirs = arguments.ours / raw.name, references / raw.name
        if not ours.is_dir():
            continue
        reference(arguments.raw, theirs, str(int(raw.name[7:10])), arguments.processes)
        dataset_json = json.loads((raw / "dataset.json").read_text())
        for file in ["dataset_fingerprint", *PLANNERS.values()]:
            path = ours / f"{file}.json"
            if not path.is_file():
                print(f"{raw.name} | {file} | not planned | |")
                continue
            found, relative = compare(path, theirs / path.name)
            accepts = accepted(path, dataset_json) if file in PLANNERS.values() else ""
            print(f"{raw.name} | {file} | {'no' if found else 'yes'} | {relative:.1e} | {accepts}")
            for line in found:
                print(f"  {line}", file=sys.stderr)
            all_equal &= not found and not accepts.startswith("no")
    sys.exit(0 if all_equal else 1)


if __name__ == "__main__":
    main()
