"""Plans in the format of nnU-Net before 2.4, and what the PlansManager of 2.8.1 makes of their configurations.

Made with nnunetv2 2.8.1, torch 2.13: `python generate.py` beside this file writes `cases.json`. No seed: nothing here
is random. The old plans are written down by hand below, with the fields and values that planners wrote then.
"""

import copy
import json
import pathlib

from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

RESAMPLING = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
INTENSITIES = {
    "max": 900.0, "mean": 100.5, "median": 90.0, "min": -20.0,
    "percentile_00_5": -10.0, "percentile_99_5": 800.25, "std": 60.125,
}


def configuration(identifier, patch, strides, kernels, network, features):
    n_stages = len(strides)
    depth = {"PlainConvUNet": [2] * n_stages, "ResidualEncoderUNet": [1, 3, 4, 6, 6, 6, 6][:n_stages]}[network]
    return {
        "data_identifier": identifier, "preprocessor_name": "DefaultPreprocessor", "batch_size": 12,
        "patch_size": patch, "median_image_size_in_voxels": [float(extent) for extent in patch],
        "spacing": [1.0] * len(patch), "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
        "UNet_class_name": network, "UNet_base_num_features": 32, "n_conv_per_stage_encoder": depth,
        "n_conv_per_stage_decoder": [2] * (n_stages - 1),
        "num_pool_per_axis": [sum(stride[axis] == 2 for stride in strides) for axis in range(len(patch))],
        "pool_op_kernel_sizes": strides, "conv_kernel_sizes": kernels, "unet_max_num_features": features,
        "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": RESAMPLING,
        "resampling_fn_seg_kwargs": {**RESAMPLING, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**RESAMPLING, "order": 1}, "batch_dice": True,
    }


def plans(intensities, **more):
    flat = configuration("nnUNetPlans_2d", [64, 48], [[1, 1], [2, 2], [2, 2], [2, 1]], [[3, 3]] * 4, "PlainConvUNet", 512)
    volume = configuration(
        "nnUNetPlans_3d_fullres", [16, 128, 128], [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]],
        [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]], "PlainConvUNet", 320)
    residual = configuration(
        "nnUNetResEncUNetPlans_3d_lowres", [32, 32, 32], [[1, 1, 1], [2, 2, 2], [2, 2, 2]], [[3, 3, 3]] * 3,
        "ResidualEncoderUNet", 320)
    return {
        "dataset_name": "Dataset001_Case", "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [20, 130, 128], "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [2, 0, 1], "transpose_backward": [1, 2, 0],
        "configurations": {
            "2d": flat, "3d_fullres": volume, "3d_lowres": {**residual, "next_stage": "3d_cascade_fullres"},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
            "few_features": {"inherits_from": "2d", "UNet_base_num_features": 8, "unet_max_num_features": 20},
        },
        "experiment_planner_used": "ExperimentPlanner", **more, intensities: {"0": INTENSITIES},
    }


def main():
    written = []
    for old in (plans("foreground_intensity_properties_per_channel", label_manager="LabelManager"),
                plans("foreground_intensity_properties_by_modality")):
        manager = PlansManager(copy.deepcopy(old))
        resolved = {name: manager.get_configuration(name).configuration for name in old["configurations"]}
        written.append({"plans": old, "configurations": resolved,
                        "intensities": manager.foreground_intensity_properties_per_channel})
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
