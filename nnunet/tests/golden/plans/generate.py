"""Writes the parameters of nnU-Net's network for a configuration of hippocampus.json, a name and a shape a line.

hippocampus.json is the plans file of nnUNetv2_plan_experiment (nnunetv2 2.8.1) for MSD Task04, with two small
configurations added by hand. Made with torch 2.13.0 and dynamic-network-architectures as nnunetv2 2.8.1 requires:
  python generate.py > hippocampus_3d_fullres_state_dict.txt
"""
import json
import pathlib

from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

plans = json.loads((pathlib.Path(__file__).parent / "hippocampus.json").read_text())
architecture = plans["configurations"]["3d_fullres"]["architecture"]
network = get_network_from_plans(
    architecture["network_class_name"], architecture["arch_kwargs"], architecture["_kw_requires_import"], 1, 3
)
for name, tensor in network.state_dict().items():
    if "all_modules" not in name and not name.startswith("decoder.encoder"):
        print(name, list(tensor.shape))
