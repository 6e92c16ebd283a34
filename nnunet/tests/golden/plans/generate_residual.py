"""Writes the parameters of a small residual encoder after a configuration of hippocampus.json, a name and a shape a line.

Made with nnunetv2 2.8.1, torch 2.13.0 and dynamic-network-architectures as nnunetv2 2.8.1 requires:
  python generate_residual.py > residual_state_dict.txt
"""
import json
import pathlib

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

plans = json.loads((pathlib.Path(__file__).parent / "hippocampus.json").read_text())
architecture = plans["configurations"]["3d_fullres"]["architecture"]
arguments = architecture["arch_kwargs"]
del arguments["n_conv_per_stage"]
arguments |= {"features_per_stage": [4, 8, 8, 12], "n_blocks_per_stage": [1, 3, 2, 1],
              "n_conv_per_stage_decoder": [1, 2, 1]}
arguments["strides"][3] = [1, 1, 1]
network = get_network_from_plans(
    architecture["network_class_name"].replace("PlainConvUNet", "ResidualEncoderUNet"), arguments,
    architecture["_kw_requires_import"], 2, 3
)
for name, tensor in network.state_dict().items():
    if "all_modules" not in name and not name.startswith("decoder.encoder"):
        print(name, list(tensor.shape))
