#!/usr/bin/env python3
"""Weights packed and dequantized by GPTQModel's `TorchLinear`: 2, 3, 4 and 8 bits in versions 1 and 2, with activation
order, and planes.

    pip install gptqmodel torch numpy && python tests/validation/packed/gptq_weights.py

Codes and zero points are random, so that all of them occur. Scales are widened to f32 before the package
dequantizes."""

from importlib.metadata import PackageNotFoundError, version

import torch
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization import FORMAT
from gptqmodel.utils.model_dequant import _revert_gptq_v1_qzeros_correction
from fixture import write

try:
    PACKAGE = f"gptqmodel {version('gptqmodel')}"
except PackageNotFoundError:
    from gptqmodel.version import __version__

    PACKAGE = f"gptqmodel {__version__}"
INPUTS, OUTPUTS = 96, 32


def main():
    cases = [(bits, 32, form, False) for bits in (2, 3, 4, 8) for form in ("gptq", "gptq_v2")]
    cases += [(4, 32, "gptq", True), (3, 32, "gptq", True), (8, 96, "gptq", False)]
    cases += [(bits, 32, "gptq_p", False) for bits in (3, 5, 6, 7)]
    for seed, (bits, group, form, ordered) in enumerate(cases):
        generator = torch.Generator().manual_seed(seed)
        groups = INPUTS // group
        scales = (torch.rand(OUTPUTS, groups, generator=generator) * 0.01 + 0.001).half().float()
        # Version 1 cannot hold a zero point of 0.
        zeros = torch.randint(1, 2**bits, (OUTPUTS, groups), generator=generator).float()
        codes = torch.randint(0, 2**bits, (OUTPUTS, INPUTS), generator=generator).float()
        index = torch.arange(INPUTS, dtype=torch.int32) // group
        if ordered:
            index = index[torch.randperm(INPUTS, generator=generator)]
        linear = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
        linear.weight.data = scales[:, index.long()] * (codes - zeros[:, index.long()])
        layer = TorchLinear(bits=bits, group_size=group, sym=False, desc_act=ordered, in_features=INPUTS,
                            out_features=OUTPUTS, format=FORMAT(form))  # fmt: skip
        layer.pack_original(linear, scales, zeros, index)
        members = {f"a.{name}": getattr(layer, name).clone() for name in ("qweight", "qzeros", "scales", "g_idx")}
        layer.scales = layer.scales.float()
        layer.post_init()
        expected = layer.dequantize_weight().float().T.contiguous()
        assert torch.equal(expected, linear.weight.data)
        if form == "gptq":
            members["a.qzeros"] = _revert_gptq_v1_qzeros_correction(members["a.qzeros"], bits)
        config = {"quantization_config": {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": False,
                                          "desc_act": ordered, "checkpoint_format": form}}  # fmt: skip
        name = f"{form}-{bits}bit-{group}{'-ordered' if ordered else ''}"
        write(name, members, {"a.weight": expected}, config, PACKAGE)


if __name__ == "__main__":
    main()
