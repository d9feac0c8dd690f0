#!/usr/bin/env python3
"""Weights quantized, flattened for safetensors and dequantized by torchao on the processor: int8, unpacked integers,
fp8.

    pip install torchao torch numpy && python tests/validation/packed/torchao_weights.py

Also NVFP4 with a scale for the whole tensor that multiplies, as ModelOpt stores it: codes and scales by torchao's
`NVFP4Tensor`, under ModelOpt's names."""

from importlib.metadata import version

import torch
from torchao.prototype.mx_formats.nvfp4_tensor import NVFP4Tensor, per_tensor_amax_to_scale
from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
from torchao.quantization import (
    Float8WeightOnlyConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerAxis,
    PerGroup,
    quantize_,
)
from fixture import write

PACKAGE = f"torchao {version('torchao')}"


def weights(seed, shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.02
    values.view(-1)[7] = 1.6
    return values


def main():
    cases = {
        "int8": Int8WeightOnlyConfig(version=2),
        "fp8": Float8WeightOnlyConfig(version=2),
        "int4-unpacked-group": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32), version=2),
        "int3-unpacked-axis": IntxWeightOnlyConfig(weight_dtype=torch.int3, granularity=PerAxis(0), version=2),
    }
    for seed, (name, config) in enumerate(cases.items()):
        model = torch.nn.Sequential(torch.nn.Linear(128, 24, bias=False))
        model[0].weight.data = weights(seed, (24, 128))
        quantize_(model, config)
        weight = model.state_dict()["0.weight"]
        flat, _ = flatten_tensor_state_dict({"0.weight": weight})
        write(f"torchao-{name}", flat, {"0.weight": weight.dequantize().float()},
              {"quantization_config": {"quant_method": "torchao"}}, PACKAGE)  # fmt: skip
    values = weights(9, (24, 128))
    overall = per_tensor_amax_to_scale(values.abs().max())
    packed = NVFP4Tensor.to_nvfp4(values, per_tensor_scale=overall)
    members = {"a.weight": packed.qdata.view(torch.uint8), "a.weight_scale": packed.scale.reshape(24, 8),
               "a.weight_scale_2": packed.per_tensor_scale, "a.input_scale": torch.tensor(1.0)}  # fmt: skip
    config = {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}
    write("nvfp4-modelopt", members, {"a.weight": packed.dequantize(torch.float32)}, config, PACKAGE)


if __name__ == "__main__":
    main()
