"""Writes the seeds of the target `onnx`: three small models that pass the pre-flight and one with control flow.

Made with onnx 1.23.2 and NumPy; the weights are ones, so there is no seed to state. Run as `python onnx_seeds.py`.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CORPUS = Path(__file__).parent / "corpus" / "onnx"
IMAGE = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])


def write(name, nodes, initializers, output_shape):
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, output_shape)
    graph = helper.make_graph(nodes, "net", [IMAGE], [output], initializers)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], producer_name="seed")
    (CORPUS / name).write_bytes(model.SerializeToString())


def ones(shape, kind, name):
    return numpy_helper.from_array(np.ones(shape, kind), name)


def conv(weights, output):
    return helper.make_node("Conv", ["image", weights], [output], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    block = [
        conv("w", "c"),
        helper.make_node("InstanceNormalization", ["c", "s", "s"], ["n"], epsilon=1e-5),
        helper.make_node("LeakyRelu", ["n"], ["logits"], alpha=0.01),
    ]
    weights = [ones((2, 1, 3, 3), np.float32, "w"), ones(2, np.float32, "s")]
    write("conv.onnx", block, weights, ["batch", 2, 8, 8])

    cast = [helper.make_node("Cast", ["w"], ["w.f32"], to=1), conv("w.f32", "logits")]
    write("half.onnx", cast, [ones((2, 1, 3, 3), np.float16, "w")], ["batch", 2, 8, 8])

    constant = helper.make_node("Constant", [], ["k"], value=helper.make_tensor("v", TensorProto.INT64, [1], [3]))
    reshape = helper.make_node("Reshape", ["c", "shape"], ["logits"])
    typed = [
        helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 1, 1], [0.5]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 64]),
    ]
    write("typed.onnx", [helper.make_node("Conv", ["image", "w"], ["c"]), constant, reshape], typed, [1, 64])

    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["image"], ["y"])], "then", [], [value])
    branches = helper.make_node("If", ["image"], ["logits"], then_branch=branch, else_branch=branch)
    write("if.onnx", [branches], [], ["batch", 1, 8, 8])


main()
