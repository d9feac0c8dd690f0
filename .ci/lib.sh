# What the steps share. Sourced by `.ci/run` and by every step, which are then in the checkout's root.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=never
target=${CARGO_TARGET_DIR:-$PWD/target}
# For what steps leave to each other and to the next run.
scratch=$target/ci
mkdir -p "$scratch"

started=${KURTOSCOPE_CI_STARTED:-$(date +%s)}

say() { printf '\n== %s\n' "$*"; }
skip() { echo "SKIPPED: $*"; }
kurtoscope() { cargo run -q --release --bin kurtoscope -- "$@"; }

# has_time SECONDS WHAT: whether WHAT, which takes up to so many seconds on two processors, can still end in time.
has_time() {
  local over=$(($(date +%s) - started)) limit=${KURTOSCOPE_CI_SECONDS:-4500}
  [ $((over + $1)) -le "$limit" ] || { skip "$2: takes up to $1 seconds, and $over of $limit are over"; return 1; }
}

# packages WHAT NAME...: on a CI machine, installs Debian packages; from the release's backports where its own do not fit
# what is there already.
packages() {
  if [ "${CI:-}" != true ] || ! command -v apt-get >/dev/null || installed "${@:2}"; then return 0; fi
  say "system packages: $1"
  shift
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" ||
    { backports && apt-get update -qq &&
      apt-get install -y -qq --no-install-recommends -t "$(codename)-backports" "$@"; } ||
    skip "not all of $* could be installed; what needs them says so"
}

installed() {
  local package
  for package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "${package%/*}" 2>/dev/null)" = installed ] || return 1
  done
}

codename() { . /etc/os-release && echo "${VERSION_CODENAME:-unknown}"; }

# Adds the release's backports from the mirror, and under the key, that this machine is configured with.
backports() {
  local release mirror file key
  release=$(codename)
  if [ -n "$(apt-get indextargets "Codename: $release-backports")" ]; then return 0; fi
  read -r mirror file < <(apt-get indextargets --format '$(REPO_URI) $(SOURCESENTRY)' \
    'Created-By: Packages' "Codename: $release" 'Origin: Debian') || return 1
  [ -w /etc/apt/sources.list.d ] || return 1
  key=$(sed -n 's/^Signed-By: *\(\/.*\)/\1/p; s/^deb \[.*signed-by=\([^] ]*\).*/\1/p' "${file%:*}" | head -n 1)
  echo "deb ${key:+[signed-by=$key] }$mirror $release-backports main" >"/etc/apt/sources.list.d/$release-backports.list"
}

# Packages with a Vulkan driver without a GPU, for all or for one architecture (":arm64"). Mesa before 25 gives wrong sums
# without an error, so Debian 12's own is not enough.
vulkan_packages() {
  local from=
  if [ "${CI:-}" = true ] && [ "$(codename)" = bookworm ] && backports; then from=/bookworm-backports; fi
  echo "mesa-vulkan-drivers${1:-}$from libvulkan1${1:-}"
}

# The folder of downloaded models; those that cannot be fetched are missing there. Only in a checkout with ../shared.
models() {
  local folder=${KURTOSCOPE_MODELS:-$HOME/.cache/kurtoscope-models}
  [ ! -f ../shared/fetch-models.sh ] ||
    bash ../shared/fetch-models.sh "$folder" minilm microformer g2p silero smollm2 >&2 ||
    skip "some models cannot be fetched" >&2
  echo "$folder"
}

# python_with PACKAGE...: makes a Python with these packages at $scratch/python; fails where they cannot be installed.
python_with() { python3 -m venv "$scratch/python" && "$scratch/python/bin/pip" install -q "$@"; }

# run_tests FILE NAME...: runs these tests of `tests/tests/FILE` alone, with what they print; fails where one is not there.
run_tests() {
  local file=$1 found
  shift
  found=$(cargo test -q --release --workspace --test "$file" -- --list --exact "$@" | grep -c ': test$' || true)
  [ "$found" = $# ] || { echo "only $found of the tests $* are in $file" >&2; return 1; }
  cargo test --release --workspace --test "$file" -- --nocapture --exact "$@"
}

# The demo's model, made where no earlier step did.
demo_model() {
  [ -d "$scratch/demo/model" ] || kurtoscope demo --quiet --out "$scratch/demo" >/dev/null
  echo "$scratch/demo/model"
}
