"""Times a whole `kurtoscope analyze`, process start to finish, against scipy.stats.kurtosis over the same tensors already in memory.

usage: python analyze_against_scipy.py KURTOSCOPE MODEL.safetensors      (needs numpy, scipy, safetensors)

Kurtoscope reads the file from the page cache and computes moments, tail and top of every tensor; scipy computes kurtosis
alone, numpy's sum is printed as the yardstick for memory. The three take turns, and the medians are compared.
"""

import statistics
import subprocess
import sys
import time

import scipy.stats
from safetensors.numpy import load_file

ROUNDS = 15


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    program, model = sys.argv[1:3]
    tensors = [tensor.ravel() for tensor in load_file(model).values()]
    command = [program, "analyze", model, "--quiet", "--format", "json"]
    analyze = lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    kurtosis = lambda: [scipy.stats.kurtosis(tensor) for tensor in tensors if tensor.size > 1]
    total = lambda: [tensor.sum() for tensor in tensors]
    for run in (analyze, kurtosis, total):
        run()
    rounds = [(seconds(analyze), seconds(kurtosis), seconds(total)) for _ in range(ROUNDS)]
    ours, theirs, sums = (statistics.median(column) for column in zip(*rounds))
    ratio = statistics.median(b / a for a, b, _ in rounds)
    size = sum(tensor.nbytes for tensor in tensors)
    print(f"{model}: {size / 1e6:.1f} MB, medians of {ROUNDS} rounds")
    print(f"kurtoscope analyze, whole process  {ours * 1e3:8.1f} ms")
    print(f"scipy.stats.kurtosis, in memory    {theirs * 1e3:8.1f} ms   {ratio:.1f} times as long")
    print(f"numpy sum, in memory               {sums * 1e3:8.1f} ms")


main()
