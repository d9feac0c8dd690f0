#!/usr/bin/env python3
"""fp8 and MXFP4 weights as transformers dequantizes them: tiles and whole tensors with `weight_scale_inv`, E8M0 scales,
E2M1 codes under `weight_scale_inv`, and gpt-oss's `_blocks` and `_scales`.

    pip install transformers torch numpy && python tests/validation/packed/fp8_weights.py
"""

from importlib.metadata import version

import torch
from fixture import write
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

PACKAGE = f"transformers {version('transformers')}"
FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"}


def fp8(name, shape, tile, kind=torch.float8_e4m3fn, scale_type=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    grid = [-(-length // step) for length, step in zip(shape, tile, strict=True)]
    scales = 2.0 ** torch.randint(-12, -6, grid, generator=generator).float()
    if scale_type == torch.float32:
        scales *= 1 + torch.rand(grid, generator=generator)
    codes = (torch.randn(shape, generator=generator) * 60).to(kind)
    members = {"a.weight": codes, "a.weight_scale_inv": scales.to(scale_type)}
    expected = Fp8Dequantize(None)._dequantize_one(codes, members["a.weight_scale_inv"], torch.float32)
    config = {"quantization_config": {**FP8, "weight_block_size": list(tile)}}
    write(f"fp8-{name}", members, {"a.weight": expected}, config, PACKAGE)


def main():
    fp8("tile", (32, 96), (16, 32), seed=1)
    fp8("tile-e8m0", (32, 96), (16, 32), scale_type=torch.float8_e8m0fnu, seed=2)
    fp8("tensor", (24, 128), (24, 128), seed=3)
    fp8("channel-e5m2", (24, 128), (1, 128), kind=torch.float8_e5m2, seed=4)
    fp8("stack", (3, 16, 64), (1, 8, 32), seed=5)
    generator = torch.Generator().manual_seed(6)
    codes = torch.randint(-128, 128, (24, 64), generator=generator, dtype=torch.int8)
    scales = torch.randint(118, 124, (24, 4), generator=generator, dtype=torch.uint8).view(torch.float8_e8m0fnu)
    expected = Fp8Dequantize(None)._dequantize_one(codes, scales, torch.float32)
    members = {"a.weight": codes, "a.weight_scale_inv": scales}
    write("fp8-e2m1", members, {"a.weight": expected}, {"quantization_config": FP8}, PACKAGE)
    blocks = torch.randint(0, 256, (2, 12, 4, 16), generator=generator, dtype=torch.uint8)
    scales = torch.randint(0, 255, (2, 12, 4), generator=generator, dtype=torch.uint8)
    scales[0, 0, 0] = 0
    expected = convert_moe_packed_tensors(blocks, scales.clamp(max=240), dtype=torch.float32).transpose(1, 2)
    members = {"experts.gate_up_proj_blocks": blocks, "experts.gate_up_proj_scales": scales.clamp(max=240)}
    config = {"quantization_config": {"quant_method": "mxfp4"}}
    write("mxfp4-experts", members, {"experts.gate_up_proj": expected}, config, PACKAGE)


if __name__ == "__main__":
    main()
