"""The gain of each choice in the loop and in the shipped models: with against without, as ratios of images/s.

    python benchmarks/choices.py                    # all, as a Markdown table: half an hour
    python benchmarks/choices.py fused compile      # the rows whose names contain one of the words
    python benchmarks/choices.py --turns 3 --seconds 0.05 bf16

A ratio above 1 means that the choice is faster. With and without alternate in one process, each going first every other
time, on separate workloads that start from the same weights; the number is the median over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.datasets.dataset import Split
from genbench.kinds.image import KIND as IMAGES
from genbench.machine import environment
from genbench.machine.torchvision_import import import_torchvision
from genbench.plugin import finding
from genbench.regression import workload
from genbench.regression.workload import Workload
from genbench.training import loop
from genbench.training.compilation import compile_networks

CPU = torch.device("cpu")
CORES = torch.get_num_threads()
TINY, DIGIT, SMALL, LARGE = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)
CONVOLUTIONAL = ("dcgan", "conv-vae", "conv-ae")
SHIPPED = ("gan", "vae", "ae", *CONVOLUTIONAL)
Step = Callable[[int], object]
Change = Callable[[Workload, Split], Step]  # changes a workload in place, and returns its step


@dataclass(frozen=True)
class Choice:
    """A row of the table: a model at a shape, and the change that adds or removes the choice."""

    name: str
    model: str
    shape: tuple[int, int, int]
    change: Change
    chosen: bool = False  # whether the change is the choice itself, which the plain workload lacks
    threads: int = CORES  # of the plain workload


def plain(work: Workload, _: Split) -> Step:
    """The loop's own step, without the bookkeeping around it."""
    return work.step


def other_optimizer(**flags: bool) -> Change:
    """Make the optimisers update their weights one by one, or list by list, instead of in the fused kernel."""

    def change(work: Workload, _: Split) -> Step:
        for optimizer in work.model.optimizers.values():
            for group in optimizer.param_groups:
                group.update({"fused": False, "foreach": False} | flags)
        return work.step

    return change


def read_each_step(work: Workload, _: Split) -> Step:
    """Read every loss at each step, as scripts do for their log."""
    return lambda step: [loss.item() for loss in work.step(step).values()]


def float_batches(work: Workload, split: Split) -> Step:
    """Keep the images as scaled float32: four times the memory, and no cast."""
    images, labels = IMAGES.deliver(split.items), split.labels
    assert labels is not None
    rng = torch.Generator().manual_seed(0)

    def step(number: int) -> object:
        rows = torch.randint(len(images), (workload.BATCH,), generator=rng)
        return hook(work, images[rows], labels[rows], number)

    return step


def loaded_batches(work: Workload, split: Split) -> Step:
    """Decode and scale image by image through torchvision's transforms and a DataLoader without workers."""
    transforms = import_torchvision().transforms
    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    assert split.labels is not None
    arrays = [image.permute(1, 2, 0).squeeze(2).numpy() for image in split.items]
    labels = split.labels.tolist()

    class Images(torch.utils.data.Dataset[tuple[Tensor, int]]):
        def __len__(self) -> int:
            return len(arrays)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            from PIL import Image

            return to_tensor(Image.fromarray(arrays[index])), labels[index]

    loader = torch.utils.data.DataLoader(Images(), workload.BATCH, shuffle=True, drop_last=True)

    def forever() -> Iterator[Any]:
        while True:
            yield from loader

    batches = forever()

    def step(number: int) -> object:
        images, given = next(batches)
        return hook(work, images, given, number)

    return step


def channels_last(work: Workload, _: Split) -> Step:
    """Store weights and images as channels_last."""
    work.model.networks.to(memory_format=torch.channels_last)

    def step(number: int) -> object:
        images, labels = work.batches(number)
        return hook(work, images.contiguous(memory_format=torch.channels_last), labels, number)

    return step


def contiguous(work: Workload, split: Split) -> Step:
    """Store the weights of `dcgan` in torch's default layout, and leave the images as they come."""
    work.model.networks.to(memory_format=torch.contiguous_format)
    return apart(work, split)


def compiled(work: Workload, _: Split) -> Step:
    compile_networks(work.model)
    return work.step


def bf16(work: Workload, _: Split) -> Step:
    def step(number: int) -> object:
        with loop.in_precision("bf16", CPU):
            return work.step(number)

    return step


def apart(work: Workload, _: Split) -> Step:
    """Judge images and samples in two passes of the discriminator, where `gan` uses one with twice the batch."""
    from genbench_gan import adversarial

    def step(number: int) -> object:
        images = work.batches(number)[0]
        return adversarial.train_step(work.model, images, number, joint=False)

    return step


def hook(work: Workload, images: Tensor, labels: Tensor, step: int) -> object:
    return work.plugin.hook.train_step(model=work.model, batch=images, labels=labels, step=step)


def choices() -> list[Choice]:
    """All rows, in the order of the table."""
    one_by_one, by_list = other_optimizer(), other_optimizer(foreach=True)
    rows = [
        *(Choice("fused Adam ÷ one kernel a tensor", model, DIGIT, one_by_one) for model in SHIPPED),
        *(Choice("fused Adam ÷ foreach", model, DIGIT, by_list) for model in SHIPPED),
        *(
            Choice("resident uint8 batches ÷ DataLoader with transforms", model, DIGIT, loaded_batches)
            for model in SHIPPED
        ),
        Choice("resident uint8 batches ÷ resident float32", "gan", DIGIT, float_batches),
        Choice("resident uint8 batches ÷ resident float32", "vae", TINY, float_batches),
        Choice("losses read once a window ÷ at each step", "gan", TINY, read_each_step),
        Choice("losses read once a window ÷ at each step", "vae", TINY, read_each_step),
        Choice("one pass of the discriminator ÷ two", "gan", DIGIT, apart),
    ]
    for shape in (TINY, DIGIT, SMALL, LARGE):
        rows.append(Choice("channels_last ÷ contiguous", "dcgan", shape, contiguous))
        rows += [Choice("channels_last ÷ contiguous", model, shape, channels_last, True) for model in CONVOLUTIONAL[1:]]
    for shape in (DIGIT, SMALL):
        models = SHIPPED if shape == DIGIT else CONVOLUTIONAL
        rows += [Choice(f"{CORES} threads ÷ 1", model, shape, plain, True, threads=1) for model in models]
        rows += [Choice("--compile ÷ without", model, shape, compiled, True) for model in models]
        rows += [Choice("--training-precision bf16 ÷ fp32", model, shape, bf16, True) for model in models]
    return [*rows, *(Choice("--training-precision bf16 ÷ fp32", model, LARGE, bf16, True) for model in CONVOLUTIONAL)]


def measure(choice: Choice, turns: int, seconds: float) -> list[float]:
    """Return the ratio of images/s with the choice to those without, turn by turn."""
    split = workload.random_split(choice.shape)
    steps = [change(workload.workload_for(choice.model, choice.shape), split) for change in (plain, choice.change)]
    threads = (choice.threads, CORES)
    count = 3
    for step, number in zip(steps, threads, strict=True):  # the first calls compile, allocate and pick algorithms
        run(step, 3, number)
        count = max(3, round(seconds / run(step, 3, number)))
    ratios = []
    for turn in range(turns):
        taken = [0.0, 0.0]
        for side in (0, 1) if turn % 2 else (1, 0):
            taken[side] = run(steps[side], count, threads[side])
        changed = taken[0] / taken[1]
        ratios.append(changed if choice.chosen else 1 / changed)
    return ratios


def run(step: Step, count: int, threads: int) -> float:
    """Return the seconds per step."""
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    for number in range(count):
        step(number)
    return (time.perf_counter() - begin) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="measure the rows whose name or model contains one of these")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3, help="of steps, per turn")
    given = parser.parse_args()
    offered = finding.installed()
    rows = [row for row in choices() if row.model in offered]
    if given.words:
        rows = [row for row in rows if any(word in f"{row.name} {row.model}" for word in given.words)]
    where = environment.describe(CPU)
    print(f"{where['processor']}, {where['cores']} cores, {CORES} threads, torch {where['torch']}\n")
    print("| choice | model | images | ratio | middle half of the turns |\n| --- | --- | --- | --- | --- |")
    for number, row in enumerate(rows):
        print(f"{number + 1} of {len(rows)}: {row.name}, {row.model}", file=sys.stderr, flush=True)
        ratios = measure(row, given.turns, given.seconds)
        low, high = np.quantile(ratios, [0.25, 0.75])
        size = "×".join(map(str, row.shape))
        print(
            f"| {row.name} | {row.model} | {size} | {statistics.median(ratios):.2f} | {low:.2f} to {high:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
