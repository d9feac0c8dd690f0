#!/usr/bin/env python3
"""Weights quantized and dequantized by HQQ on the processor: 1, 2, 3, 4 and 8 bits, groups along both axes.

    pip install hqq torch numpy && python tests/validation/packed/hqq_weights.py

The layers compute in f32, so that nothing is rounded to 16 bits.
"""

from importlib.metadata import version

import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from fixture import write

PACKAGE = f"hqq {version('hqq')}"


def main():
    cases = [(8, 64, 1, (24, 128)), (4, 64, 1, (24, 128)), (4, 32, 0, (24, 128)), (3, 64, 1, (22, 128)),
             (3, 64, 0, (24, 128)), (2, 16, 1, (24, 128)), (1, 32, 1, (24, 128))]  # fmt: skip
    for seed, (bits, group, axis, shape) in enumerate(cases):
        torch.manual_seed(seed)
        layer = torch.nn.Linear(shape[1], shape[0], bias=False)
        layer.weight.data = torch.randn(shape) * 0.02
        layer.weight.data[3, 5] = 1.6
        config = BaseQuantizeConfig(nbits=bits, group_size=group, axis=axis)
        quantized = HQQLinear(layer, config, compute_dtype=torch.float32, device="cpu")
        state = quantized.state_dict()
        members = {f"a.{key}": value for key, value in state.items() if isinstance(value, torch.Tensor)}
        expected = quantized.dequantize().float()
        parameters = {"weight_quant_params": {"nbits": bits, "group_size": group, "axis": axis}}
        said = {"quantization_config": {"quant_method": "hqq", "quant_config": parameters}}
        write(f"hqq-{bits}bit-{group}-axis{axis}", members, {"a.weight": expected}, said, PACKAGE)


if __name__ == "__main__":
    main()
