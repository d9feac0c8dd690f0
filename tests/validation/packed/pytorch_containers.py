#!/usr/bin/env python3
"""The packed tensors of fixtures, as `torch.save` writes them, for the schemes whose checkpoints come as `.bin` or `.pt` too.

    pip install torch && python tests/validation/packed/pytorch_containers.py

Reads `tests/fixtures/packed/NAME.safetensors` and writes `tests/fixtures/packed/pytorch/NAME.bin`. The values that they must
have are those of the safetensors fixtures.
"""

import json
import struct

import torch
from fixture import FIXTURES, TYPES

NAMES = [
    "awq-96x32-32", "awq-128x24-64", "bitsandbytes-nf4-64-nested-7x99", "bitsandbytes-fp4-64-24x128", "bitsandbytes-int8",
    "compressed-tensors-int4-group", "gptq-4bit-32-ordered", "gptq-3bit-32", "hqq-4bit-64-axis1", "hqq-3bit-64-axis0",
    "mxfp4-experts", "torchao-int8", "torchao-int4-unpacked-group",
]  # fmt: skip
DTYPES = {kind: getattr(torch, name) for name, kind in TYPES.items() if hasattr(torch, name)}


def tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, entry in header.items():
        if name == "__metadata__" or name.startswith("expected:"):
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(data[start:end]), dtype=torch.uint8).view(DTYPES[entry["dtype"]])
        yield name, flat.reshape(entry["shape"]).clone()


def main():
    folder = FIXTURES / "pytorch"
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        torch.save(dict(tensors(FIXTURES / f"{name}.safetensors")), folder / f"{name}.bin")
        print(name)


if __name__ == "__main__":
    main()
