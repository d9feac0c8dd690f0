#!/usr/bin/env python3
"""Holds the names of tensors in GGUF files against the Python package `gguf`, over all of its architectures.

Every name that the package knows in any architecture is looked up in every architecture, with three layers, by the package
(`TensorNameMap`) and by Kurtoscope (`host/examples/gguf_names.rs`):

    cargo build --release -p kurtoscope-host --example gguf_names
    python tests/validation/gguf_names.py target/release/examples/gguf_names

Needs `pip install gguf`. Fails where the package names a tensor and Kurtoscope calls it something else or nothing. Names
that only Kurtoscope knows are counted: its tables may be of a newer llama.cpp than the package.
"""

import copy
import importlib.metadata
import subprocess
import sys

from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES
from gguf.tensor_mapping import TensorNameMap

LAYERS = 3

# Names that llama.cpp has changed since the package was made, and the package's last part of the name.
EXPLAINED = {
    # The scale and shift of an audio tower's batch norm, which newer converters keep apart.
    ("encoder.layers.#.conv.batch_norm", "conv_norm"),
}


def without_number(name):
    return ".".join("#" if part.isdecimal() else part for part in name.split("."))


def maps():
    """What every architecture calls every name."""
    # Making a map changes the class for architectures that replace lines.
    blocks = copy.deepcopy(TensorNameMap.block_mappings_cfg)
    by_architecture = {}
    for architecture in MODEL_ARCH:
        TensorNameMap.block_mappings_cfg = copy.deepcopy(blocks)
        by_architecture[MODEL_ARCH_NAMES[architecture]] = TensorNameMap(architecture, LAYERS)
    return by_architecture


def ours(program, asked):
    lines = "".join(f"{architecture}\t{name}\n" for architecture, name in asked)
    answers = subprocess.run([program, "-"], input=lines, capture_output=True, text=True, check=True).stdout
    return answers.splitlines()


def main(program):
    theirs = maps()
    names = sorted({name for known in theirs.values() for name in known.mapping})
    asked = [(architecture, name) for architecture in theirs for name in names]
    answers = ours(program, asked)
    if len(answers) != len(asked):
        sys.exit(f"{len(answers)} answers to {len(asked)} names")
    known, differences, explained, more = 0, [], [], []
    for (architecture, name), found in zip(asked, answers):
        expected = theirs[architecture].get_name(name, try_suffixes=(".weight", ".bias"))
        if expected is None:
            if found != "-":
                more.append((architecture, name, found))
            continue
        known += 1
        if found != expected and (without_number(name), expected.split(".")[-1]) in EXPLAINED:
            explained.append(name)
        elif found != expected:
            differences.append(f"{architecture}: {name} is {expected}, here {found}")
    version = importlib.metadata.version("gguf")
    print(f"gguf {version}: {len(theirs)} architectures, {len(names)} names, {len(asked)} look-ups")
    print(f"named by the package: {known}, of which {len(differences)} differ and {len(explained)} differ with a reason")
    print(f"named here only: {len(more)}")
    for architecture, name, found in more[:5]:
        print(f"  here only, {architecture}: {name} is {found}")
    for difference in differences[:50]:
        print(f"  {difference}")
    if differences or not known:
        sys.exit("the names differ" if differences else "nothing was compared")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
