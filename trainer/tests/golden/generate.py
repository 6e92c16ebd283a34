"""Goldens of network, loss, optimizer and patch sizes, from nnU-Net v2.8.1.

Run in an environment with nnunetv2==2.8.1, dynamic-network-architectures and batchgenerators:
    python generate.py
Seeds are fixed below; every file is safetensors with nothing but f32.
"""
import json
import struct
from pathlib import Path

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import nn

HERE = Path(__file__).parent


def save(name, tensors):
    header, data = {}, b""
    for key in sorted(tensors):
        value = np.ascontiguousarray(tensors[key].detach().numpy(), dtype="<f4")
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def loss():
    torch.manual_seed(1)
    logits = [torch.randn(2, 3, 4, 6, 4) * 2, torch.randn(2, 3, 2, 3, 2) * 2]
    targets = [torch.randint(0, 3, (2, 1, 4, 6, 4)), torch.randint(0, 3, (2, 1, 2, 3, 2))]
    targets[0][0][targets[0][0] == 2] = 0  # a class that one image lacks
    tensors = {}
    for batch_dice in (False, True):
        one = DC_and_CE_loss({"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False}, {},
                             dice_class=MemoryEfficientSoftDiceLoss)
        whole = DeepSupervisionWrapper(one, [2 / 3, 1 / 3])
        inputs = [a.clone().requires_grad_() for a in logits]
        value = whole(inputs, targets)
        value.backward()
        key = "batch" if batch_dice else "images"
        tensors[f"{key}.loss"] = value.reshape(1)
        for i, a in enumerate(inputs):
            tensors[f"{key}.gradient.{i}"] = a.grad
    for i in range(2):
        tensors[f"logits.{i}"], tensors[f"target.{i}"] = logits[i], targets[i][:, 0].float()
    save("loss.safetensors", tensors)


def sgd():
    torch.manual_seed(2)
    parameters = {"a": nn.Parameter(torch.randn(3, 4)), "b": nn.Parameter(torch.randn(5))}
    tensors = {f"start.{k}": p.detach().clone() for k, p in parameters.items()}
    optimizer = torch.optim.SGD(parameters.values(), 0.1, weight_decay=3e-5, momentum=0.99, nesterov=True)
    for step, scale in enumerate([1.0, 40.0, 2.0]):  # the second is clipped
        for k, p in parameters.items():
            p.grad = torch.randn_like(p) * scale
            tensors[f"gradient.{step}.{k}"] = p.grad.clone()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 12)
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.step()
        for k, p in parameters.items():
            tensors[f"after.{step}.{k}"] = p.detach().clone()
    save("sgd.safetensors", tensors)


def network(name, conv, norm, kernels, strides, shape, slope):
    torch.manual_seed(3)
    net = PlainConvUNet(2, len(kernels), [3, 4, 5], conv, kernels, strides, [2, 1, 2], 3, [1, 2], True, norm,
                        {"eps": 1e-5, "affine": True}, None, None, nn.LeakyReLU,
                        {"inplace": True, "negative_slope": slope}, deep_supervision=True)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    image = torch.randn(2, 2, *shape)
    heads = net(image)
    # The decoder holds the encoder, and blocks hold their modules twice: only the names that are trained.
    names = {k for k, _ in net.named_parameters()}
    tensors = {k: v for k, v in net.state_dict().items() if k in names}
    tensors["image"] = image
    for i, logits in enumerate(heads):
        tensors[f"logits.{i}"] = logits
    save(name, tensors)


def patch_sizes():
    rows = []
    for patch, degrees in [((40, 56, 40), 30), ((20, 320, 256), 180), ((128, 128, 128), 30), ((64, 96, 33), 30),
                           ((256, 256), 180), ((320, 192), 15), ((512, 448), 180)]:
        rotation = (-degrees / 360 * 2 * np.pi, degrees / 360 * 2 * np.pi)
        sampled = get_patch_size(patch, rotation, rotation, rotation, (0.85, 1.25)).tolist()
        if len(patch) == 3 and max(patch) / patch[0] > 3:
            sampled[0] = patch[0]
        rows.append({"patch": patch, "sampled": sampled})
    (HERE / "patch_sizes.json").write_text(json.dumps(rows, indent=1) + "\n")


loss()
sgd()
network("network_2d.safetensors", nn.Conv2d, nn.InstanceNorm2d, [[3, 3], [3, 3], [1, 3]], [[1, 1], [2, 2], [1, 2]],
        (4, 8), 0.01)
network("network_3d.safetensors", nn.Conv3d, nn.InstanceNorm3d, [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        [[1, 1, 1], [1, 2, 2], [2, 2, 2]], (4, 8, 8), 0.2)
patch_sizes()
