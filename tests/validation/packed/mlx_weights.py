#!/usr/bin/env python3
"""Weights quantized and dequantized by MLX itself: affine codes of every number of bits, and its floating-point modes.

    pip install mlx mlx-cpu numpy && python tests/validation/packed/mlx_weights.py

Scales are f16 or bf16 as checkpoints have them; they are widened to f32 before MLX dequantizes, so nothing is
rounded to 16 bits."""

from importlib.metadata import version

import mlx.core as mx
import numpy as np
from fixture import write

PACKAGE = f"mlx {version('mlx')}"
AFFINE = [(2, 32), (2, 64), (2, 128), (3, 32), (3, 64), (3, 128), (4, 32), (4, 64), (4, 128), (5, 32), (5, 64), (6, 64),
          (6, 128), (8, 32), (8, 64), (8, 128)]  # fmt: skip


def weights(seed, shape):
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.02
    values.reshape(-1)[7] = 1.6
    return values


def main():
    for seed, (bits, group) in enumerate(AFFINE):
        kind = mx.float16 if seed % 2 else mx.bfloat16
        codes, scales, biases = mx.quantize(mx.array(weights(seed, (12, 256))).astype(kind), group, bits)
        wide = [part.astype(mx.float32) for part in (scales, biases)]
        expected = np.array(mx.dequantize(codes, *wide, group, bits))
        members = {"a.weight": np.array(codes), "a.scales": half(scales), "a.biases": half(biases)}
        config = {"quantization": {"group_size": group, "bits": bits}}
        write(f"mlx-{bits}bit-{group}", members, {"a.weight": expected}, config, PACKAGE)
    stack = mx.array(weights(90, (3, 4, 128))).astype(mx.float16)
    codes, scales, biases = mx.quantize(stack, 64, 4)
    expected = np.array(mx.dequantize(codes, scales.astype(mx.float32), biases.astype(mx.float32), 64, 4))
    members = {"experts.weight": np.array(codes), "experts.scales": half(scales), "experts.biases": half(biases)}
    config = {"quantization": {"group_size": 64, "bits": 4}}
    write("mlx-4bit-stack", members, {"experts.weight": expected}, config, PACKAGE)
    for seed, mode in enumerate(["mxfp4", "nvfp4", "mxfp8"], 100):
        codes, scales = mx.quantize(mx.array(weights(seed, (12, 256))).astype(mx.bfloat16), mode=mode)
        expected = np.array(mx.dequantize(codes, scales, mode=mode, dtype=mx.float32))
        bits, group = {"mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}[mode]
        config = {"quantization": {"group_size": group, "bits": bits, "mode": mode}}
        members = {"a.weight": np.array(codes), "a.scales": np.array(scales)}
        write(f"mlx-{mode}", members, {"a.weight": expected}, config, PACKAGE)


def half(part):
    """An array of 16 bits as numpy has it; bf16 by way of torch's name for it."""
    if part.dtype == mx.float16:
        return np.array(part)
    import ml_dtypes

    return np.array(part.view(mx.uint16)).view(ml_dtypes.bfloat16)


if __name__ == "__main__":
    main()
