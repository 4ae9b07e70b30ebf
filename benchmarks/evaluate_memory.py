"""Peak memory and images/s of `genbench evaluate` over a folder of JPEG files, compared with torch-fidelity.

`python benchmarks/evaluate_memory.py [--counts 5000,20000] [--side 256] [--extractor random-conv]` shows the peak
memory of `genbench evaluate` at each count. With `--turns N`, the two tools alternate over
`--peer-count` images, with one file of random Inception weights, each turn in a separate process; the ratio is of the
medians. A memory figure is the largest resident size of any process of the command, including mapped pages.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

DISTINCT = 400  # files that are encoded; the others are copies of them
HERE = Path(__file__).parent

PEER = """
import sys, time, torch
from genbench.machine.torchvision_import import declare_missing_operators
declare_missing_operators()
import torch_fidelity.feature_extractor_inceptionv3 as module
from torch_fidelity.utils import create_feature_extractor, extract_featuresdict_from_input_id
network = module.FeatureExtractorInceptionV3
load = network.load_state_dict  # the file lacks only the counters of BatchNorm
network.load_state_dict = lambda self, tensors: load(self, tensors, strict=False)
options = dict(input1=sys.argv[1], cuda=torch.cuda.is_available(), batch_size=64, verbose=False, cache=False,
               feature_extractor_weights_path=sys.argv[2], save_cpu_ram=False)
extractor = create_feature_extractor("inception-v3-compat", ["2048", "logits_unbiased"], **options)
begin = time.perf_counter()
found = extract_featuresdict_from_input_id(1, extractor, **options)
assert len(found["2048"]) == int(sys.argv[3])
print(f"{int(sys.argv[3]) / (time.perf_counter() - begin)} images/s read and through the peer", file=sys.stderr)
"""


def write_folder(folder: Path, count: int, side: int) -> None:
    """Write smooth random pictures with some grain: JPEGs about as large as photographs."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for index in range(min(count, DISTINCT)):
        coarse = Image.fromarray(draw.integers(256, size=(8, 8, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        grainy = np.clip(pixels + draw.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(grainy).save(folder / f"{index:06}.jpg", quality=90)
    for index in range(DISTINCT, count):
        os.link(folder / f"{index % DISTINCT:06}.jpg", folder / f"{index:06}.jpg")


def timed(command: list[str], cache: Path) -> tuple[float, float, str]:
    """Run a command; return its seconds, its peak resident size in MB, and its output."""
    begin = time.perf_counter()
    environment = {**os.environ, "GENBENCH_CACHE": str(cache), "PYTHONPATH": str(HERE.parent)}
    wrapped = [sys.executable, "-c", _PEAK, *command]
    ended = subprocess.run(wrapped, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return time.perf_counter() - begin, float(ended.stdout.splitlines()[-1]), ended.stderr


# The kernel counts only a parent's own children, so each command has a separate parent.
_PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)
"""


def evaluate(images: Path, reference: Path, extractor: list[str], cache: Path) -> tuple[float, float, str]:
    command = [sys.executable, "-m", "genbench", "evaluate", str(images), "--reference", str(reference)]
    return timed([*command, *extractor], cache)


def memory(root: Path, counts: list[int], side: int, extractor: list[str]) -> None:
    reference = root / "reference"
    write_folder(reference, 500, side)
    for number in counts:
        write_folder(root / f"images{number}", number, side)
        seconds, peak, said = evaluate(root / f"images{number}", reference, extractor, root / f"cache{number}")
        pixels = number * 3 * side * side / 1e6
        print(
            f"{number:,} JPEG images of {side}x{side}, {pixels:,.0f} MB of pixels: peak {peak:,.0f} MB, {seconds:.0f} s"
        )
        print("  " + next(line for line in said.splitlines() if "images/s" in line), flush=True)


def against_peer(root: Path, count: int, side: int, turns: int, metrics: str | None) -> None:
    from random_weights import write_random_weights

    weights = write_random_weights(root / "random.pth")
    folder, few = root / "turns", root / "few"
    write_folder(folder, count, side)
    write_folder(few, 16, side)
    extractor = ["--extractor", "inception", "--weights", str(weights), *(["--metrics", metrics] if metrics else [])]
    ours, theirs = [], []
    for turn in range(turns):
        ours.append(evaluate(folder, few, extractor, root / f"own{turn}"))
        theirs.append(timed([sys.executable, "-c", PEER, str(folder), str(weights), str(count)], root / "peer"))
        print(
            f"  turn {turn + 1}: genbench {rate(ours[-1]):.1f} images/s, torch-fidelity {rate(theirs[-1]):.1f}",
            flush=True,
        )
    for name, found in (("genbench evaluate", ours), ("torch-fidelity", theirs)):
        peak = max(each[1] for each in found)
        print(f"{name}: {statistics.median(map(rate, found)):.1f} images/s, peak {peak:,.0f} MB")
    ratios = [rate(own) / rate(peer) for own, peer in zip(ours, theirs, strict=True)]
    print(
        f"genbench ÷ torch-fidelity: {statistics.median(ratios):.2f} ({count} images of {side}x{side}, {turns} turns)"
    )


def rate(ended: tuple[float, float, str]) -> float:
    """Return the images/s from file to features that a command printed, excluding its start-up."""
    line = next(line for line in ended[2].splitlines() if "images/s read and through" in line)
    return float(line.partition(" images/s")[0].rpartition(" ")[2].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="5000,20000")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--extractor", default="random-conv")
    parser.add_argument("--metrics", help="as in `genbench evaluate`; the default metrics if not given")
    parser.add_argument("--turns", type=int, default=0)
    parser.add_argument("--peer-count", type=int, default=512)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("GENBENCH_BENCH_ROOT")) as folder:
        root = Path(folder)
        if given.turns:
            against_peer(root, given.peer_count, given.side, given.turns, given.metrics)
            return
        extractor = ["--extractor", given.extractor, *(["--metrics", given.metrics] if given.metrics else [])]
        if given.extractor == "inception":
            from random_weights import write_random_weights

            extractor += ["--weights", str(write_random_weights(root / "random.pth"))]
        memory(root, [int(number) for number in given.counts.split(",")], given.side, extractor)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
