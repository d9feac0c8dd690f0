#!/usr/bin/env bash
# Copies the fixtures of the tests into the corpora of the checkpoint formats.
set -euo pipefail
cd "$(dirname "$0")"
seed() { # TARGET EXTENSION...
  local target=$1; shift
  mkdir -p "corpus/$target"
  for extension in "$@"; do
    find ../fixtures ../../host/checkpoint/src -type f -size -300k -name "*.$extension" | while read -r file; do
      cp "$file" "corpus/$target/$(echo "${file#../}" | tr / -)"
    done
  done
  echo "$target: $(ls "corpus/$target" | wc -l) seeds"
}
seed safetensors safetensors
seed pytorch bin pt pth ckpt
seed gguf gguf
seed onnx onnx
seed numpy npz npy
seed flax msgpack
# Packed weights behind the configuration that their fixtures hold.
mkdir -p corpus/packed
python3 - <<'PYTHON'
import json, pathlib, struct
for path in pathlib.Path("../fixtures/packed").glob("*.safetensors"):
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    config = header["__metadata__"]["config"].encode()
    pathlib.Path("corpus/packed", path.stem).write_bytes(config + b"\n" + data)
PYTHON
echo "packed: $(ls corpus/packed | wc -l) seeds"
# The beginning of a journal, and of a record in one.
mkdir -p corpus/journal
printf '\0KURTJRN1' > corpus/journal/empty
printf '\1\2\0\0' > corpus/journal/record
echo "journal: $(ls corpus/journal | wc -l) seeds"
# Descriptions of boards, behind the byte that says so.
mkdir -p corpus/board
for board in ../../boards/*/board.toml; do
  (printf '\0' && cat "$board") > "corpus/board/$(basename "$(dirname "$board")")"
done
echo "board: $(ls corpus/board | wc -l) seeds"
# Runs of the fixtures, where the program is built.
kurtoscope=${CARGO_TARGET_DIR:-../../target}/release/kurtoscope
mkdir -p corpus/deployment corpus/hypothesis
if [ -x "$kurtoscope" ]; then
  for model in ../fixtures/*/; do
    name=$(basename "$model")
    "$kurtoscope" analyze "$model" --quiet --format json > "corpus/run.json" || continue
    (printf '\4' && cat corpus/run.json) > "corpus/deployment/$name"
    (printf '\2' && cat corpus/run.json) > "corpus/hypothesis/$name"
  done
  rm -f corpus/run.json
fi
echo "deployment: $(ls corpus/deployment | wc -l) seeds"
