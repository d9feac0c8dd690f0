"""What GGUF's block types make of matrices, against symmetric 4-bit groups of 32: the figures behind `noise.rs`.

    pip install numpy safetensors
    python ggml_gains.py path/to/libggml-base.so path/to/model.safetensors

The library is ggml's own, as it comes with llama.cpp (for instance inside the npm package `@node-llama-cpp/linux-x64`); its
functions `ggml_quantize_chunk` and `to_float` quantize and dequantize. Nothing of Kurtoscope is used. Matrices are the
model's, cut into rows of 256 along the memory, and eight made-up ones. Printed are the line through all of them for each
type, the largest deviation from it and the range of gains.
"""

import ctypes
import sys

import numpy as np
from safetensors.numpy import load_file

TYPES = {"q3_k": 11, "iq4_nl": 20, "q4_k": 12, "q5_0": 6, "q5_1": 7, "q5_k": 13, "q6_k": 14}


class Traits(ctypes.Structure):
    _fields_ = [
        ("type_name", ctypes.c_char_p),
        ("block_size", ctypes.c_int64),
        ("interleaved", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    ]


def load(path):
    ggml = ctypes.CDLL(path)
    ggml.ggml_row_size.restype = ctypes.c_size_t
    ggml.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    ggml.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    ggml.ggml_get_type_traits.argtypes = [ctypes.c_int]
    return ggml


def there_and_back(ggml, kind, matrix):
    rows, columns = matrix.shape
    blocks = np.zeros(ggml.ggml_row_size(kind, columns) * rows, np.uint8)
    ggml.ggml_quantize_chunk(kind, matrix.ctypes.data, blocks.ctypes.data, 0, rows, columns, None)
    back = np.empty_like(matrix)
    ggml.ggml_get_type_traits(kind).contents.to_float(blocks.ctypes.data, back.ctypes.data, matrix.size)
    return back


def decibels(matrix, back):
    matrix, back = matrix.astype(np.float64), back.astype(np.float64)
    return 10 * np.log10((matrix**2).sum() / ((matrix - back) ** 2).sum())


def symmetric(matrix):
    groups = matrix.reshape(-1, 32).astype(np.float64)
    steps = np.abs(groups).max(1, keepdims=True) / 7
    steps[steps == 0] = 1
    return (np.round(groups / steps) * steps).reshape(matrix.shape)


def made_up():
    random = np.random.default_rng(1)
    shape = (1024, 1024)
    yield "normal", random.standard_normal(shape)
    yield "Laplace", random.laplace(size=shape)
    yield "Student's t, 5", random.standard_t(5, shape)
    yield "Student's t, 3", random.standard_t(3, shape)
    yield "uniform", random.uniform(-1, 1, shape)
    for name, place in [("columns times 8", np.s_[:, ::97]), ("rows times 8", np.s_[::97])]:
        matrix = random.standard_normal(shape)
        matrix[place] *= 8
        yield name, matrix
    matrix = random.standard_normal(shape)
    matrix.flat[::5003] *= 20
    yield "isolated times 20", matrix


def trained(path):
    for name, matrix in load_file(path).items():
        if matrix.ndim == 2 and matrix.size >= 100_000:
            yield name, matrix.reshape(-1)[: matrix.size // 256 * 256].reshape(-1, 256)


def main():
    ggml = load(sys.argv[1])
    base, found, is_trained = [], [], []
    for source, matrices in [(False, made_up()), (True, trained(sys.argv[2]))]:
        for name, matrix in matrices:
            matrix = np.ascontiguousarray(matrix, np.float32)
            base.append(decibels(matrix, symmetric(matrix)))
            found.append([decibels(matrix, there_and_back(ggml, kind, matrix)) for kind in TYPES.values()])
            is_trained.append(source)
            if not source:
                print(f"{name:20} {base[-1]:6.2f}", *(f"{kind} {value:.2f}" for kind, value in zip(TYPES, found[-1])))
    base, found, is_trained = np.array(base), np.array(found), np.array(is_trained)
    print(f"{len(base)} matrices, {is_trained.sum()} of them trained")
    for kind, values in zip(TYPES, found.T):
        design = np.stack([np.ones_like(base), base], 1)
        line, *_ = np.linalg.lstsq(design, values, rcond=None)
        off = np.abs(design @ line - values)
        gain = values - base
        print(
            f"{kind:7} {line[0]:.3f} + {line[1]:.3f} dB, off by {off[is_trained].max():.2f} (trained) and"
            f" {off[~is_trained].max():.2f} (made up), gains {gain.min():.2f} to {gain.max():.2f}"
        )


if __name__ == "__main__":
    main()
