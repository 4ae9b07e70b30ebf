"""Items/s of two ranks with one thread each against one rank with two threads, alternating on one machine.

python benchmarks/ranks_speed.py --turns 7
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import statistics
import time

import torch
import torch._dynamo  # imported by the first optimiser, so that no forked process has to

from genbench import datasets
from genbench.datasets.dataset import Dataset
from genbench.training import loop
from genbench.training.ranks.group import LOOPBACK, ProcessGroup
from genbench.training.ranks.lockstep import Lockstep

CASES = (("mlp", "digits", 64), ("mlp", "digits", 512), ("dcgan", "shapes", 64), ("dcgan", "shapes", 512))
CPU = torch.device("cpu")
WARM_UP = 3


def speed(model: str, dataset: Dataset, batch_size: int, seconds: float, ranks: int) -> float:
    """Return the items/s of a GAN's training by `ranks` processes that share two threads."""
    read, write = os.pipe()
    with socket.create_server((LOOPBACK, 0)) as listener:
        children = [
            os.fork() or _be(rank, ranks, listener, model, dataset, batch_size, seconds, write) for rank in range(ranks)
        ]
    os.close(write)
    with os.fdopen(read) as answers:
        told = answers.read()
    for child in children:
        os.waitpid(child, 0)
    return float(told)


def _be(
    rank: int,
    ranks: int,
    listener: socket.socket,
    name: str,
    dataset: Dataset,
    batch_size: int,
    seconds: float,
    answers: int,
) -> int:
    """Run one rank in a forked process; never returns."""
    try:
        torch.set_num_threads(2 // ranks)
        module = importlib.import_module(f"genbench_gan.{name}")
        torch.manual_seed(0)
        model = module.build_model(data=dataset.data, options={}, device=CPU)
        batches = loop.Batches(dataset.train, batch_size, 0, CPU, rank, ranks)
        group = ProcessGroup(rank, ranks, CPU, listener) if ranks > 1 else None

        def hook(model: object, batch: torch.Tensor, labels: object, step: int) -> dict[str, torch.Tensor]:
            losses: dict[str, torch.Tensor] = module.train_step(model=model, batch=batch)
            return losses

        step = Lockstep(name, hook, model, group).step if group else hook
        loop.window(step, model, batches, 0, WARM_UP, "fp32")
        begin = time.perf_counter()
        loop.window(step, model, batches, WARM_UP, WARM_UP, "fp32")
        pace = torch.tensor([time.perf_counter() - begin])
        if group is not None:
            group.copy_from_first([pace])
        steps = max(WARM_UP, round(seconds * WARM_UP / float(pace)))
        begin = time.perf_counter()
        loop.window(step, model, batches, 2 * WARM_UP, steps, "fp32")
        if rank == 0:
            os.write(answers, str(batch_size * steps / (time.perf_counter() - begin)).encode())
    finally:
        os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="per side and turn")
    asked = parser.parse_args()
    print("| model, dataset, batch | two ranks ÷ one | spread over turns | load |\n| :--- | ---: | ---: | ---: |")
    for model, name, size in CASES:
        dataset = datasets.load(name)
        ratios = []
        for _ in range(asked.turns):
            one, two = (speed(model, dataset, size, asked.seconds, ranks) for ranks in (1, 2))
            ratios.append(two / one)
        turns, load = f"{min(ratios):.2f} to {max(ratios):.2f}", os.getloadavg()[0]
        shown = "gan" if model == "mlp" else model
        print(f"| `{shown}`, {name}, {size} | {statistics.median(ratios):.2f} | {turns} | {load:.0f} |", flush=True)


if __name__ == "__main__":
    main()
