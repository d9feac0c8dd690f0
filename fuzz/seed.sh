#!/usr/bin/env bash
# Copies the tests' fixtures into the corpus of the target `checkpoint`.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p corpus/checkpoint
find ../tests/fixtures ../host/src/checkpoint -type f -size -300k \
  \( -name '*.safetensors' -o -name '*.bin' -o -name '*.pt' -o -name '*.pth' -o -name '*.gguf' -o -name '*.onnx' -o -name '*.npz' -o -name '*.npy' \) \
  | while read -r file; do cp "$file" "corpus/checkpoint/$(echo "${file#../}" | tr / -)"; done
ls corpus/checkpoint | wc -l
