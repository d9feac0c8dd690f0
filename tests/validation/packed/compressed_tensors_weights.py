#!/usr/bin/env python3
"""Weights compressed and decompressed by the package compressed-tensors: integers in words and bytes, fp8, MXFP4,
MXFP6, MXFP8, NVFP4; scales per tensor, channel, group and block.

    pip install compressed-tensors torch numpy && python tests/validation/packed/compressed_tensors_weights.py

Scales are widened to f32 before the package decompresses, where it would round to their type.
"""

from importlib.metadata import version

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from fixture import write

PACKAGE = f"compressed-tensors {version('compressed-tensors')}"


def weights(seed, shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.02
    values.view(-1)[7] = 1.6
    return values


def extremes(values, args):
    """The least and greatest weight of each tensor, channel, group or block."""
    rows, columns = values.shape
    if args.strategy in ("group", "tensor_group"):
        blocks = values.reshape(rows, columns // args.group_size, args.group_size)
        return blocks.amin(-1), blocks.amax(-1)
    if args.strategy == "channel":
        return values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    if args.strategy == "block":
        high, wide = args.block_structure
        down, across = -(-rows // high), -(-columns // wide)
        padded = torch.zeros(down * high, across * wide)
        padded[:rows, :columns] = values
        blocks = padded.reshape(down, high, across, wide)
        return blocks.amin((1, 3)), blocks.amax((1, 3))
    return values.min().reshape(1), values.max().reshape(1)


def case(name, kind, shape, scale_type=torch.bfloat16, seed=0, **arguments):
    args = QuantizationArgs(**arguments)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    compressor = BaseCompressor.get_value_from_registry(kind)
    values = weights(seed, shape)
    low, high = extremes(values, args)
    state = {"weight": values}
    if kind == "nvfp4-pack-quantized":
        overall = torch.tensor([448.0 * 6.0 / values.abs().max()])
        state["weight_global_scale"] = overall
        state["weight_scale"] = (torch.maximum(low.abs(), high.abs()) / 6.0 * overall).to(torch.float8_e4m3fn).float()
    elif kind.startswith("mx"):
        top = {"mxfp4-pack-quantized": 6.0, "mxfp6-pack-quantized": 7.5, "mxfp8-quantized": 448.0}[kind]
        state["weight_scale"] = 2.0 ** torch.ceil(torch.log2(torch.maximum(low.abs(), high.abs()) / top))
    else:
        scale, zero = calculate_qparams(low, high, args)
        state["weight_scale"] = scale.to(scale_type)
        if not args.symmetric:
            state["weight_zero_point"] = zero.to(torch.int8)
    packed = compressor.compress(dict(state), scheme)
    wide = dict(packed)
    if not kind.startswith(("mx", "nv")):
        wide["weight_scale"] = packed["weight_scale"].float()
    opened = compressor.decompress(wide, scheme)
    expected = opened["weight"].float()
    if kind.startswith("nv"):
        # The package returns bf16; its own function gives f32 from the same codes.
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        from compressed_tensors.quantization.lifecycle.forward import dequantize

        codes = unpack_fp4_from_uint8(packed["weight_packed"], *shape).float()
        expected = dequantize(codes, packed["weight_scale"].float(), args=args, dtype=torch.float32,
                              global_scale=packed["weight_global_scale"])  # fmt: skip
    weights_config = {key: value for key, value in args.model_dump(mode="json").items() if value is not None}
    config = {"quantization_config": {"quant_method": "compressed-tensors", "format": kind,
                                      "config_groups": {"group_0": {"weights": weights_config}}}}  # fmt: skip
    members = {f"a.{key}": value for key, value in packed.items()}
    write(f"compressed-tensors-{name}", members, {"a.weight": expected}, config, PACKAGE)


def main():
    packed = "pack-quantized"
    case("int4-group", packed, (24, 128), num_bits=4, strategy="group", group_size=32, seed=1)
    case("int4-group-zeros", packed, (20, 128), num_bits=4, strategy="group", group_size=64, symmetric=False, seed=2)
    case("int4-channel", packed, (24, 128), torch.float16, num_bits=4, strategy="channel", seed=3)
    case("int4-channel-zeros", packed, (24, 100), num_bits=4, strategy="channel", symmetric=False, seed=4)
    case("int8-channel", packed, (24, 128), num_bits=8, strategy="channel", seed=5)
    case("int8-group-zeros", packed, (24, 128), num_bits=8, strategy="group", group_size=32, symmetric=False, seed=6)
    case("int3-group-zeros", packed, (22, 128), num_bits=3, strategy="group", group_size=32, symmetric=False, seed=7)
    case("int5-tensor", packed, (24, 128), torch.float32, num_bits=5, strategy="tensor", seed=8)
    for strategy in ("tensor", "channel"):
        case(f"int8-bytes-{strategy}", "int-quantized", (24, 128), num_bits=8, strategy=strategy, seed=9)
        case(f"fp8-{strategy}", "float-quantized", (24, 128), torch.float32, num_bits=8, type="float",
             strategy=strategy, seed=10)  # fmt: skip
    case("int8-bytes-channel-zeros", "int-quantized", (24, 128), num_bits=8, strategy="channel", symmetric=False,
         seed=11)  # fmt: skip
    case("fp8-group", "float-quantized", (24, 128), num_bits=8, type="float", strategy="group", group_size=64, seed=12)
    case("fp8-block", "float-quantized", (24, 100), torch.float32, num_bits=8, type="float", strategy="block",
         block_structure=[16, 32], seed=13)  # fmt: skip
    case("fp8-block-128", "naive-quantized", (6, 300), torch.float32, num_bits=8, type="float", strategy="block",
         block_structure=[128, 128], seed=14)  # fmt: skip
    case("mxfp4", "mxfp4-pack-quantized", (24, 128), num_bits=4, type="float", strategy="group", group_size=32, seed=15)
    case("mxfp6", "mxfp6-pack-quantized", (24, 128), num_bits=6, type="float", strategy="group", group_size=32, seed=16)
    case("mxfp8", "mxfp8-quantized", (24, 128), num_bits=8, type="float", strategy="group", group_size=32,
         scale_dtype=torch.uint8, seed=17)  # fmt: skip
    case("nvfp4", "nvfp4-pack-quantized", (24, 128), num_bits=4, type="float", strategy="tensor_group", group_size=16,
         seed=18)  # fmt: skip


if __name__ == "__main__":
    main()
