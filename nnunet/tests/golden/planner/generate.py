"""Plans that nnU-Net's planners make of synthetic fingerprints, one per branch of their rules.

Made with nnunetv2 2.8.1, dynamic-network-architectures 0.4.4, torch 2.13, numpy 2.4.6: `python generate.py` beside
this file writes `cases.json`. No seed: nothing here is random. Regenerate after any change and expect no difference.
Networks are built on torch's `meta` device, because their memory is only counted.
"""

import json
import pathlib

import torch
import nnunetv2.experiment_planning.experiment_planners.default_experiment_planner as planner_module
from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners as residual
from nnunetv2.utilities.json_export import recursive_fix_for_json_export

INTENSITIES = {
    "max": 900.0, "mean": 100.5, "median": 90.0, "min": -20.0,
    "percentile_00_5": -10.0, "percentile_99_5": 800.25, "std": 60.125,
}
PLANNERS = {
    "ExperimentPlanner": planner_module.ExperimentPlanner, "ResEncUNetPlanner": residual.ResEncUNetPlanner,
    "nnUNetPlannerResEncM": residual.nnUNetPlannerResEncM, "nnUNetPlannerResEncL": residual.nnUNetPlannerResEncL,
    "nnUNetPlannerResEncXL": residual.nnUNetPlannerResEncXL,
}


def plan(case):
    """The plans of a case: its planner without folders, fingerprint and dataset.json handed in."""
    planner_module.maybe_convert_to_dataset_name = lambda name: name
    planner_module.load_json = lambda path: (
        case["fingerprint"] if path.endswith("dataset_fingerprint.json") else case["dataset"]
    )
    planner_module.isfile = lambda path: path.endswith("dataset_fingerprint.json")
    planner_module.get_filenames_of_train_images_and_targets = lambda folder, dataset: {}
    planner_module.nnUNet_raw = planner_module.nnUNet_preprocessed = "unused"
    planner_module.shutil.copy = lambda source, target: None

    class Planner(PLANNERS[case["planner"]]):
        def determine_reader_writer(self):
            return planner_module.determine_reader_writer_from_dataset_json(self.dataset_json, None)

        @staticmethod
        def static_estimate_VRAM_usage(*arguments):
            with torch.device("meta"):
                return planner_module.ExperimentPlanner.static_estimate_VRAM_usage(*arguments)

        def save_plans(self, plans):
            recursive_fix_for_json_export(plans)

    # Planners are recorded by the name of their class.
    Planner.__name__ = case["planner"]
    plans = Planner("Dataset001_Case", **case["options"]).plan_experiment()
    return json.loads(json.dumps(plans))


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


def sets():
    """Name, dataset.json and fingerprint of every synthetic training set."""
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


def more_sets():
    """Sets for the classic planner and one preset only."""
    yield "eleven_channels", dataset(
        9, ("CT", "ZScore", "zscore", "cT", "NONORM", "Rescale_To_0_1", "RGB_to_0_1", "T2", "ADC", "", "PET"),
        {"background": 0, **{f"organ_{i}": i for i in range(1, 120)}}, ".mha"), fingerprint(
        [[1.5, 1.5, 1.5]] * 3, [[250, 243, 243], [260, 250, 250], [290, 260, 240]], 11, 0.75)
    yield "mask_below_three_quarters", dataset(3, ("T1", "CT"), overwrite_image_reader_writer="NibabelIO"), fingerprint(
        [[1.0, 1.0, 1.0]], [[100, 100, 100]], 2, 0.7499)
    yield "very_thick_ct", dataset(60, ("CT",), ending=".nrrd"), fingerprint(
        [[12.0, 0.4, 0.4], [10.0, 0.35, 0.5]], [[700, 900, 900], [650, 1000, 800]])
    yield "lowres_too_similar", dataset(30, ending=".GIPL"), fingerprint(
        [[1.0, 1.0, 1.0]], [[205, 205, 205]])
    yield "tie_of_axes", dataset(77, ending=".tiff"), fingerprint([[1.0, 1.0, 1.0]] * 2, [[256, 256, 256]] * 2)
    yield "coarsest_axis_is_the_middle_one", dataset(15, overwrite_image_reader_writer="NoSuchIO"), fingerprint(
        [[0.9, 4.0, 0.7], [0.8, 5.0, 0.7], [1.0, 4.5, 0.7]], [[320, 24, 310], [300, 20, 300], [310, 30, 320]])
    yield "half_a_slice", dataset(4, overwrite_image_reader_writer="None"), fingerprint(
        [[1.0, 1.0, 1.0], [9.0, 1.0, 1.0]], [[1, 64, 64], [1, 64, 64]])
    yield "few_small_pictures", dataset(2, ("R", "G", "B"), ending=".bmp"), fingerprint(
        [[999.0, 1.0, 1.0]] * 2, [[1, 20, 31], [1, 24, 40]], 3)
    yield "pictures_as_tif", dataset(25, ("rgb_to_0_1",), ending=".tif"), fingerprint(
        [[999.0, 1.0, 1.0]] * 2, [[1, 640, 480], [1, 768, 512]])


# Options by set, planner and what nnU-Net's planner calls them.
OPTIONS = [
    ("isotropic_mr", "ExperimentPlanner", {"gpu_memory_target_in_gb": 4.0, "plans_name": "nnUNetPlans_4G"}),
    ("isotropic_mr", "nnUNetPlannerResEncL", {"gpu_memory_target_in_gb": 11.5, "plans_name": "small"}),
    ("isotropic_mr", "ExperimentPlanner", {"preprocessor_name": "MyPreprocessor"}),
    ("isotropic_mr", "ExperimentPlanner", {"overwrite_target_spacing": [0.5, 0.6, 0.7]}),
    ("isotropic_mr", "nnUNetPlannerResEncM", {"overwrite_target_spacing": [0.2, 0.2, 0.2], "plans_name": "fine"}),
    ("large_ct_with_lowres", "ExperimentPlanner", {"gpu_memory_target_in_gb": 80.0}),
    ("large_ct_with_lowres", "ExperimentPlanner", {"gpu_memory_target_in_gb": 1.25}),
    ("large_ct_with_lowres", "nnUNetPlannerResEncXL", {"gpu_memory_target_in_gb": 80.0, "plans_name": "80G"}),
    ("large_ct_with_lowres", "ExperimentPlanner", {"overwrite_target_spacing": [3.0, 3.0, 3.0]}),
    ("thick_slices", "ExperimentPlanner", {"overwrite_target_spacing": [1.5, 2.0, 1.5]}),
    ("flat_files", "ExperimentPlanner", {"overwrite_target_spacing": [999.0, 0.5, 0.75]}),
    ("flat_files", "ExperimentPlanner", {"overwrite_target_spacing": [499.0, 1.0, 1.0]}),
    ("flat_files", "ResEncUNetPlanner", {"gpu_memory_target_in_gb": 3.0}),
]


def combinations():
    """Every case: a set with a planner and its options."""
    for planner in PLANNERS:
        for name, dataset_json, properties in sets():
            yield name, dataset_json, properties, planner, {}
    for name, dataset_json, properties in more_sets():
        for planner in ("ExperimentPlanner", "nnUNetPlannerResEncM"):
            yield name, dataset_json, properties, planner, {}
    by_name = {name: (dataset_json, properties) for name, dataset_json, properties in sets()}
    for name, planner, options in OPTIONS:
        yield name, *by_name[name], planner, options


def main():
    written = {"sets": {}, "cases": []}
    for name, dataset_json, properties, planner, options in combinations():
        written["sets"][name] = {"dataset": dataset_json, "fingerprint": properties}
        case = {"set": name, "planner": planner, "options": options}
        inputs = json.loads(json.dumps({"dataset": dataset_json, "fingerprint": properties}))
        case["plans"] = plan({**case, **inputs})
        # The statistics are the fingerprint's; one copy is enough.
        assert case["plans"]["foreground_intensity_properties_per_channel"] == inputs["fingerprint"][
            "foreground_intensity_properties_per_channel"]
        case["plans"]["foreground_intensity_properties_per_channel"] = None
        written["cases"].append(case)
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
