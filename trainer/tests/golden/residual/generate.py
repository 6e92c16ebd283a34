"""Goldens of small residual encoders, from nnU-Net v2.8.1's network: seeded weights, an image, the logits of every head.

Run in an environment with nnunetv2==2.8.1 and dynamic-network-architectures as it requires (made with torch 2.13.0):
    python generate.py
Seeds are fixed below; every file is safetensors with nothing but f32.
"""
import json
import struct
from pathlib import Path

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from torch import nn

HERE = Path(__file__).parent


def save(name, tensors):
    header, content = {}, b""
    for key in sorted(tensors):
        value = np.ascontiguousarray(tensors[key].detach().numpy(), dtype="<f4")
        begin = len(content)
        content += value.tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [begin, len(content)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + content)


def network(name, conv, norm, kernels, strides, shape, slope, bias):
    torch.manual_seed(5)
    net = ResidualEncoderUNet(2, 4, [3, 3, 4, 5], conv, kernels, strides, [1, 2, 2, 1], 3, [1, 2, 1], bias, norm,
                              {"eps": 1e-5, "affine": True}, None, None, nn.LeakyReLU,
                              {"inplace": True, "negative_slope": slope}, deep_supervision=True)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    image = torch.randn(2, 2, *shape)
    # The decoder holds the encoder, and blocks hold their modules twice: only the names that are trained.
    names = {k for k, _ in net.named_parameters()}
    tensors = {k: v for k, v in net.state_dict().items() if k in names}
    tensors["image"] = image
    for i, logits in enumerate(net(image)):
        tensors[f"logits.{i}"] = logits
    save(name, tensors)


network("network_2d.safetensors", nn.Conv2d, nn.InstanceNorm2d, [[3, 3], [3, 3], [1, 3], [3, 3]],
        [[1, 1], [2, 2], [1, 2], [1, 1]], (4, 8), 0.01, True)
network("network_3d.safetensors", nn.Conv3d, nn.InstanceNorm3d, [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
        [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 1, 1]], (4, 8, 8), 0.2, False)
