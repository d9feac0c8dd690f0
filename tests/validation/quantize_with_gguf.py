#!/usr/bin/env python3
"""Holds the errors in a run.json against quantizing and dequantizing by others.

Q8_0 and Q4_0 by the Python package `gguf`, which llama.cpp's converters use; one scale a tensor, a row or 128 elements
by numpy. Every element is quantized here, whatever share the run quantized.

    kurtoscope analyze MODEL.safetensors --out run
    python tests/validation/quantize_with_gguf.py MODEL.safetensors run/run.json

Needs `pip install gguf numpy safetensors`. Fails where a scheme of any matrix is off by more than 0.1 dB.
"""

import json
import math
import sys

import gguf
import numpy
from safetensors.numpy import load_file

LIMIT_DB = 0.1
# Smaller matrices are left out: predictions from a histogram are worth less there, and nobody quantizes them.
SMALLEST = 4096


def by_gguf(kind):
    def quantized(weights):
        return gguf.quants.dequantize(gguf.quants.quantize(weights, kind), kind)

    return quantized


def symmetric(bits, block):
    """`block` elements share a scale: a number, or None for a row, or 0 for the tensor."""
    highest = 2 ** (bits - 1) - 1

    def quantized(weights):
        width = weights.shape[1] if block is None else weights.size if block == 0 else block
        blocks = weights.reshape(-1, width)
        scale = numpy.abs(blocks).max(axis=1, keepdims=True) / highest
        scale[scale == 0] = 1
        return (numpy.round(blocks / scale) * scale).reshape(weights.shape)

    return quantized


SCHEMES = {
    "q8_0": (by_gguf(gguf.GGMLQuantizationType.Q8_0), 32),
    "q4_0": (by_gguf(gguf.GGMLQuantizationType.Q4_0), 32),
    "int8_per_tensor": (symmetric(8, 0), 1),
    "int4_per_tensor": (symmetric(4, 0), 1),
    "int8_per_row": (symmetric(8, None), 1),
    "int4_per_row": (symmetric(4, None), 1),
    "int8_g128": (symmetric(8, 128), 128),
    "int4_g128": (symmetric(4, 128), 128),
    "int4_g32": (symmetric(4, 32), 32),
}


def decibels(weights, back):
    signal = numpy.square(weights, dtype=numpy.float64).sum()
    noise = numpy.square(weights.astype(numpy.float64) - back).sum()
    return 10 * math.log10(signal / noise) if noise > 0 and signal > 0 else None


def main(model, run):
    stored = load_file(model)
    with open(run) as file:
        records = {tensor["name"]: tensor for tensor in json.load(file)["tensors"]}
    worst = {}
    for name, weights in stored.items():
        if weights.ndim != 2 or weights.size < SMALLEST or name not in records or weights.dtype.kind != "f":
            continue
        weights = weights.astype(numpy.float32)
        for scheme, (quantized, multiple) in SCHEMES.items():
            entry = records[name]["quantization"].get(scheme)
            if weights.shape[1] % multiple or entry is None:
                continue
            expected = decibels(weights, quantized(weights))
            if expected is None or entry["sqnr_db"] is None:
                continue
            off = abs(entry["sqnr_db"] - expected)
            count, farthest = worst.get(scheme, (0, (0.0, "")))
            worst[scheme] = (count + 1, max(farthest, (off, name)))
    print(f"{'scheme':<18} matrices   worst (dB)  where")
    for scheme, (count, (off, name)) in worst.items():
        print(f"{scheme:<18} {count:>8}   {off:>10.4f}  {name}")
    beyond = [scheme for scheme, (_, (off, _)) in worst.items() if off > LIMIT_DB]
    if not worst or beyond:
        sys.exit(f"beyond {LIMIT_DB} dB: {', '.join(beyond)}" if beyond else "no matrix in common")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
