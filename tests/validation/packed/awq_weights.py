#!/usr/bin/env python3
"""Weights packed here as AutoAWQ packs them, and unpacked and dequantized by AutoAWQ's own `dequantize_gemm`.

    pip install --no-deps autoawq && pip install torch numpy
    python tests/validation/packed/awq_weights.py [packing_utils.py]

Importing the whole package needs libraries of its time; only its file `awq/utils/packing_utils.py` is loaded, from
the installed package or, where it cannot be installed, from the path given (it lies in the source archive of version
0.2.9). Scales are widened to f32."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import torch
from fixture import write

PACKAGE = "autoawq 0.2.9"
ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def packing():
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
    else:
        path = Path(importlib.util.find_spec("awq").submodule_search_locations[0]) / "utils" / "packing_utils.py"
    spec = importlib.util.spec_from_file_location("packing_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(codes):
    """Eight outputs a word, as `WQLinear_GEMM.from_linear` packs them."""
    rows, columns = codes.shape
    packed = np.zeros((rows, columns // 8), np.uint32)
    for place, output in enumerate(ORDER):
        packed |= codes[:, output::8].astype(np.uint32) << (4 * place)
    return packed.view(np.int32)


def main():
    module = packing()
    for seed, (inputs, outputs, group) in enumerate([(96, 32, 32), (128, 24, 64), (64, 40, 64)]):
        rng = np.random.default_rng(seed)
        codes = rng.integers(0, 16, (inputs, outputs))
        zeros = rng.integers(0, 16, (inputs // group, outputs))
        scales = (rng.random((inputs // group, outputs)) * 0.01 + 0.001).astype(np.float16)
        members = {"a.qweight": words(codes), "a.qzeros": words(zeros), "a.scales": scales}
        wide = torch.from_numpy(scales.astype(np.float32))
        arguments = torch.from_numpy(members["a.qweight"]), torch.from_numpy(members["a.qzeros"]), wide, 4, group
        expected = module.dequantize_gemm(*arguments).float().T.contiguous()
        config = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True,
                                          "version": "gemm"}}  # fmt: skip
        write(f"awq-{inputs}x{outputs}-{group}", members, {"a.weight": expected}, config, PACKAGE)


if __name__ == "__main__":
    main()
