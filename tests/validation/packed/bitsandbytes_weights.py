#!/usr/bin/env python3
"""Weights quantized and dequantized by bitsandbytes on the processor: NF4 and FP4, plain and with nested absmax, and
int8.

    pip install bitsandbytes torch numpy && python tests/validation/packed/bitsandbytes_weights.py

The package has two implementations for the processor. Version 0.50.2's in C++ takes wrong blocks where a row is not
whole blocks: 0.032 off for 16 x 192 in blocks of 128, while quantizing costs 0.009. So its generic one is used, and
the other is held against it elsewhere."""

from importlib.metadata import version

import bitsandbytes.functional as functional
import torch
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
from fixture import write

PACKAGE = f"bitsandbytes {version('bitsandbytes')}"


def weights(seed, shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.02
    values.view(-1)[7] = 1.6
    return values


def main():
    cases = [("nf4", 64, False, (24, 128)), ("fp4", 64, False, (24, 128)), ("nf4", 128, True, (16, 192)),
             ("fp4", 64, True, (24, 128)), ("nf4", 64, True, (7, 99))]  # fmt: skip
    for seed, (kind, block, nested, shape) in enumerate(cases):
        codes, state = functional.quantize_4bit(
            weights(seed, shape), blocksize=block, compress_statistics=nested, quant_type=kind
        )
        absmax = state.absmax
        if nested:
            absmax = functional.dequantize_blockwise(absmax, state.state2) + state.offset
        values = state.code, block, shape, torch.float32
        expected = _dequantize_4bit_compute(codes.reshape(-1), absmax, *values)
        if shape[1] % block == 0:
            assert torch.equal(expected, functional.dequantize_4bit(codes, state))
        members = {"a.weight": codes}
        members |= {f"a.weight.{key}": value for key, value in state.as_dict(packed=True).items()}
        said = {"bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": nested, "load_in_4bit": True}
        config = {"quantization_config": {"quant_method": "bitsandbytes", **said}}
        name = f"bitsandbytes-{kind}-{block}{'-nested' if nested else ''}-{shape[0]}x{shape[1]}"
        write(name, members, {"a.weight": expected.reshape(shape)}, config, PACKAGE)
    codes, scales, _ = functional.int8_vectorwise_quant(weights(9, (24, 128)).half())
    expected = functional.int8_vectorwise_dequant(codes, scales)
    members = {"a.weight": codes, "a.SCB": scales, "a.weight_format": torch.tensor(0, dtype=torch.uint8)}
    config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    write("bitsandbytes-int8", members, {"a.weight": expected}, config, PACKAGE)


if __name__ == "__main__":
    main()
