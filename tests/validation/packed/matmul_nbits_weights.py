#!/usr/bin/env python3
"""Weights of `MatMulNBits` nodes as ONNX Runtime computes with them: the node multiplies the identity, which gives the
transposed weight.

    pip install onnxruntime onnx numpy && python tests/validation/packed/matmul_nbits_weights.py

Attributes go into the fixture's configuration, under `matmul_nbits`.
"""

import numpy as np
import onnx
import onnxruntime
from fixture import write
from onnx import TensorProto, helper

PACKAGE = f"onnxruntime {onnxruntime.__version__}"


def multiplied(members, inputs, outputs, bits, block):
    names = [name for name in ("B", "scales", "zero_points") if name in members]
    node = helper.make_node("MatMulNBits", ["A", *names], ["Y"], domain="com.microsoft", K=inputs, N=outputs, bits=bits,
                            block_size=block, accuracy_level=1)  # fmt: skip
    graph = helper.make_graph(
        [node], "graph", [helper.make_tensor_value_info("A", TensorProto.FLOAT, [inputs, inputs])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [inputs, outputs])],
        [onnx.numpy_helper.from_array(members[name], name) for name in names],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"A": np.eye(inputs, dtype=np.float32)})[0].T.copy()


def main():
    cases = [(4, 32, 128, "none"), (4, 32, 100, "packed"), (4, 64, 192, "packed"), (8, 32, 96, "none"),
             (8, 32, 96, "packed"), (2, 32, 128, "packed"), (4, 32, 96, "float")]  # fmt: skip
    for seed, (bits, block, inputs, zeros) in enumerate(cases):
        rng, outputs = np.random.default_rng(seed), 16
        blocks = -(-inputs // block)
        members = {
            "B": rng.integers(0, 256, (outputs, blocks, block * bits // 8)).astype(np.uint8),
            "scales": (rng.random((outputs, blocks)) * 0.01 + 0.001).astype(np.float32),
        }
        if zeros == "packed":
            members["zero_points"] = rng.integers(0, 256, (outputs, -(-blocks * bits // 8))).astype(np.uint8)
        if zeros == "float":
            members["zero_points"] = (rng.random((outputs, blocks)) * 15).astype(np.float32)
        try:
            expected = multiplied(members, inputs, outputs, bits, block)
        except Exception as error:
            print(f"{bits} bits, zero points {zeros}: not computed by this package: {str(error)[:120]}")
            continue
        config = {"matmul_nbits": {"K": inputs, "N": outputs, "bits": bits, "block_size": block}}
        write(f"matmul_nbits-{bits}bit-{block}-{zeros}-{inputs}", members, {"B": expected}, config, PACKAGE)


if __name__ == "__main__":
    main()
