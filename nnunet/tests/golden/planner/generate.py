"""Plans that nnU-Net's ExperimentPlanner makes of synthetic fingerprints, one per branch of its rules.

Made with nnunetv2 2.8.1, torch 2.13, numpy 2.4.6: `python generate.py` beside this file writes `cases.json`.
No seed: nothing here is random. Regenerate after any change and expect no difference.
"""

import json
import pathlib

import nnunetv2.experiment_planning.experiment_planners.default_experiment_planner as planner_module
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

INTENSITIES = {
    "max": 900.0, "mean": 100.5, "median": 90.0, "min": -20.0,
    "percentile_00_5": -10.0, "percentile_99_5": 800.25, "std": 60.125,
}


class Planner(planner_module.ExperimentPlanner):
    """The planner without its folders: fingerprint and dataset.json are handed in, plans handed out."""

    def __init__(self, case):
        planner_module.maybe_convert_to_dataset_name = lambda name: name
        planner_module.load_json = lambda path: (
            case["fingerprint"] if path.endswith("dataset_fingerprint.json") else case["dataset"]
        )
        planner_module.isfile = lambda path: path.endswith("dataset_fingerprint.json")
        planner_module.get_filenames_of_train_images_and_targets = lambda folder, dataset: {}
        planner_module.nnUNet_raw = planner_module.nnUNet_preprocessed = "unused"
        planner_module.shutil.copy = lambda source, target: None
        super().__init__("Dataset001_Case")

    def determine_reader_writer(self):
        return planner_module.determine_reader_writer_from_dataset_json(self.dataset_json, None)

    def save_plans(self, plans):
        recursive_fix_for_json_export(plans)
        # The class is nnU-Net's; only its folders were replaced.
        plans["experiment_planner_used"] = "ExperimentPlanner"


def dataset(n, channels=("MRI",), labels=None, ending=".nii.gz", **more):
    labels = labels or {"background": 0, "organ": 1}
    return {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": labels, "numTraining": n, "file_ending": ending, **more,
    }


def fingerprint(spacings, shapes, channels=1, relative_size=1.0):
    return {
        "foreground_intensity_properties_per_channel": {str(i): INTENSITIES for i in range(channels)},
        "median_relative_size_after_cropping": relative_size,
        "shapes_after_crop": shapes,
        "spacings": spacings,
    }


def cases():
    yield "isotropic_mr", dataset(200), fingerprint(
        [[1.0, 1.0, 1.0]] * 4, [[35, 52, 34], [34, 52, 35], [40, 47, 34], [36, 50, 36]])
    yield "large_ct_with_lowres", dataset(131, ("CT",), {"background": 0, "liver": 1, "tumor": 2}), fingerprint(
        [[1.0, 0.77, 0.77], [0.8, 0.7, 0.7], [5.0, 0.8, 0.8]], [[432, 512, 512], [501, 512, 512], [100, 512, 512]])
    yield "thick_slices", dataset(100, labels={"background": 0, "rv": 1, "myo": 2, "lv": 3}), fingerprint(
        [[10.0, 1.56, 1.56], [5.0, 1.4, 1.4], [10.0, 1.68, 1.68], [6.5, 1.37, 1.37]],
        [[9, 256, 216], [18, 224, 154], [8, 232, 256], [10, 320, 320]])
    yield "thick_slices_last_axis", dataset(20), fingerprint(
        [[0.5, 0.5, 7.5], [0.5, 0.5, 17.0], [0.4, 0.4, 12.0]], [[50, 70, 12], [60, 60, 8], [55, 67, 9]])
    yield "thin_tenth_percentile", dataset(30), fingerprint(
        [[0.5, 1.0, 1.0]] * 2 + [[9.0, 1.0, 1.0]] * 3, [[10, 200, 180]] * 5)
    yield "flat_files", dataset(526, labels={"background": 0, "blood_pool": 1}), fingerprint(
        [[999.0, 1.0, 1.0]] * 3, [[1, 256, 256]] * 3)
    yield "flat_files_large", dataset(20), fingerprint(
        [[999.0 * 0.3, 0.25, 0.3]] * 3, [[1, 2048, 1536], [1, 2000, 1500], [1, 1999, 1501]])
    yield "one_slice_volumes", dataset(12), fingerprint([[3.0, 1.0, 1.0]] * 2, [[1, 96, 80], [1, 90, 85]])
    yield "channels_masks_regions", dataset(
        484, ("FLAIR", "T1w", "CT", "noNorm", "rescale_to_0_1", "rgb_to_0_1"),
        {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]},
        regions_class_order=[1, 2, 3]), fingerprint(
        [[1.0, 1.0, 1.0]] * 3, [[138, 171, 137], [140, 168, 139], [135, 170, 140]], 6, 0.45)
    yield "ignore_label", dataset(40, labels={"background": 0, "a": 1, "b": 2, "ignore": 3}), fingerprint(
        [[2.0, 1.0, 1.0], [2.5, 1.1, 0.9]], [[61, 128, 129], [58, 140, 133]])
    yield "anisotropic_with_lowres", dataset(50, ("ct",)), fingerprint(
        [[3.0, 0.6, 0.6], [2.5, 0.7, 0.7], [4.0, 0.65, 0.65]], [[200, 512, 512], [250, 512, 512], [160, 512, 512]])
    yield "tiny_set_other_reader", dataset(1, ending=".nii"), fingerprint([[1.5, 1.0, 1.25]], [[33, 41, 25]])
    yield "fractional_medians", dataset(6, ending=".png"), fingerprint(
        [[999.0, 1.0, 1.0]] * 2, [[1, 301, 402], [1, 304, 413]])


def main():
    written = []
    for name, dataset_json, properties in cases():
        case = {"name": name, "dataset": dataset_json, "fingerprint": properties}
        planner = Planner(json.loads(json.dumps(case)))
        case["plans"] = json.loads(json.dumps(planner.plan_experiment()))
        written.append(case)
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
