"""Writes what the scripts in this folder make: packed tensors as a checkpoint holds them, and the weights that the
package makes of them, as f32, in one safetensors file under `tests/fixtures/packed`. The configuration goes into the
header's metadata."""

import json
import struct
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "packed"
LIMIT = 20_000
TYPES = {
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0", "int64": "I64", "int32": "I32", "int8": "I8", "uint32": "U32", "uint8": "U8",
}  # fmt: skip


def plain(tensor):
    """Type, shape and bytes of a tensor of torch or an array of numpy."""
    if hasattr(tensor, "detach"):
        import torch

        tensor = tensor.detach().contiguous()
        kind = str(tensor.dtype).removeprefix("torch.")
        data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        return TYPES[kind], list(tensor.shape), data
    array = np.ascontiguousarray(tensor)
    return TYPES[array.dtype.name], list(np.shape(tensor)), array.tobytes()


def write(name, members, expected, config, package):
    """`members` and `expected` by name; `expected` are the weights, by the names that records give them."""
    tensors = {**members, **{f"expected:{weight}": value for weight, value in expected.items()}}
    metadata = {"config": json.dumps(config), "package": package}
    header, blob = {"__metadata__": metadata}, b""
    for tensor, value in tensors.items():
        kind, shape, data = plain(value)
        header[tensor] = {"dtype": kind, "shape": shape, "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    file = struct.pack("<Q", len(head)) + head + blob
    assert len(file) <= LIMIT, (name, len(file))
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / f"{name}.safetensors").write_bytes(file)
    print(f"{name}: {sum(np.prod(plain(value)[1], dtype=int) for value in expected.values())} elements by {package}")
