"""Is a bare loop faster? The harness against a hand-written loop: same networks, same optimisers, one process.

The hand-written loop indexes a resident tensor and calls the plugin's own step function with nothing in between. The
two alternate, so that a drift in the machine's speed affects both. Prints items/s of each, the ratio harness / bare,
and the time each spends per step outside the plugin's own function: the part that a loop is responsible for, which
hardly varies, whereas the step itself, the same code in both, varies by a few percent from run to run.

    python benchmarks/bare_loop.py                    # gan, batch 64, images of 8×8 and 28×28
    python benchmarks/bare_loop.py --model dcgan --turns 10
    python benchmarks/bare_loop.py --model rnn --shapes 16
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genbench import Training, seeding
from genbench.cli.numbers import shape_in
from genbench.config import ModelSpec
from genbench.datasets.dataset import Split
from genbench.kinds import kind_of_shape
from genbench.plugin import finding, loading, options
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model
from genbench.regression import workload
from genbench.regression.workload import Windows
from genbench.training import cost, loop
from genbench.training.loop import Batches, Progress

ITEMS = 4096  # of noise: their content does not affect the timing
WINDOW = 15  # steps, as for a budget of 1500; a longer budget has longer windows


def build(plugin: Plugin, shape: torch.Size, device: torch.device, given: Mapping[str, Any] | None = None) -> Model:
    seeding.seed_global(0, "build")
    data = kind_of_shape(shape).data(shape, ITEMS, 10)
    return options.build(plugin, data, Training(None, 64), given or {}, device)


@dataclass(frozen=True)
class Turn:
    """The result of one loop in one turn."""

    rate: float  # items/s
    outside_s: float  # per step, outside the plugin's own function


@dataclass(frozen=True)
class Loop:
    """A model and its training data, for either of the two loops.

    `step_function` runs a step instead of the plugin's own, for example by replaying it from a CUDA graph.
    """

    plugin: Plugin
    model: Model
    split: Split
    batch_size: int
    steps: int
    device: torch.device
    step_function: loop.TrainStep | None = None
    inside: list[float] = field(default_factory=list)  # duration of each step of a turn, in seconds

    @functools.cached_property
    def resident(self) -> Tensor:
        """All items as hooks see them, created once: freeing so much memory would affect the next allocations."""
        return self.split.kind.deliver(self.split.items).to(self.device)

    @functools.cached_property
    def batches(self) -> Batches:
        return Batches(self.split, self.batch_size, 0, self.device)

    @functools.cached_property
    def progress(self) -> Progress:
        return Progress()

    @functools.cached_property
    def step(self) -> loop.TrainStep:
        """The step that both loops call: the plugin's own, or `step_function`, with a clock around it."""
        hook = self.plugin.hook.train_step.get_hookimpls()[0]
        names = hook.argnames if self.step_function is None else ("model", "batch", "labels", "step")
        function, inside, read = self.step_function or hook.function, self.inside, time.perf_counter

        def timed(**arguments: Any) -> dict[str, Tensor]:
            begin = read()
            losses: dict[str, Tensor] = function(**{name: arguments[name] for name in names})
            inside.append(read() - begin)
            return losses

        return timed

    def turn(self, run: Callable[[], float]) -> Turn:
        """Run one of the two loops for a turn."""
        self.inside.clear()
        seconds = run()
        return Turn(self.steps * self.batch_size / seconds, (seconds - sum(self.inside)) / self.steps)

    def bare(self) -> float:
        """Return the seconds of a researcher's loop: everything resident as float32, the step called directly."""
        items, batch_size, step_function = self.resident, self.batch_size, self.step
        read = cost.clock(self.device)
        self.model.networks.train()
        model, device = self.model, self.device
        begin = read()
        for step in range(self.steps):
            rows = torch.randint(len(items), (batch_size,), device=device)
            losses = step_function(model=model, batch=items[rows], labels=None, step=step)
            if step % 100 == 99:
                {name: value.item() for name, value in losses.items()}
        return read() - begin

    def harness(self, precision: str = "fp32") -> float:
        """Return the seconds of `genbench.training.loop.train`, which continues where the last turn ended."""
        progress = self.progress
        schedule = Windows(None, None, 1, WINDOW, progress.step + self.steps)
        clock = cost.clock(self.device)
        begin = time.perf_counter()
        loop.train(
            self.plugin,
            self.model,
            self.batches,
            schedule,
            progress,
            clock=clock,
            precision=precision,
            step=self.step,
        )
        return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gan")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=WINDOW, help="per turn")
    parser.add_argument("--turns", type=int, default=60, help="of the two loops, per model")
    parser.add_argument("--builds", type=int, default=6, help="models")
    parser.add_argument("--shapes", nargs="*", default=["1x8x8", "1x28x28"], help="of items; one length means texts")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    plugin = loading.load(finding.find(ModelSpec.parse(given.model)))
    for shape in (torch.Size(shape_in(text)) for text in given.shapes):
        pairs = [pair for number in range(given.builds) for pair in take_turns(plugin, shape, device, given, number)]
        low, ratio, high = statistics.quantiles([ours.rate / theirs.rate for ours, theirs in pairs], n=4)
        ours, theirs = (statistics.median(turn.rate for turn in turns) for turns in zip(*pairs, strict=True))
        outside = [statistics.median(turn.outside_s for turn in turns) * 1e6 for turns in zip(*pairs, strict=True)]
        print(
            f"{given.model} {'×'.join(map(str, shape))} batch {given.batch_size}: harness {ours:,.0f} items/s, "
            f"bare {theirs:,.0f}, ratio {ratio:.3f} "
            f"(median of {len(pairs)} turns, the middle half {low:.3f} to {high:.3f}); "
            f"outside the step {outside[0]:.0f} and {outside[1]:.0f} µs",
            flush=True,
        )


def take_turns(
    plugin: Plugin, shape: torch.Size, device: torch.device, given: argparse.Namespace, number: int
) -> list[tuple[Turn, Turn]]:
    """Return the results of the harness and the bare loop, turn by turn, on the same model.

    Where a model's weights are in memory affects its speed: so both loops train one model, and several are built.
    """
    split = workload.random_split(shape, ITEMS)
    one = Loop(plugin, build(plugin, shape, device), split, given.batch_size, given.steps, device)
    loops = {"harness": one.harness, "bare": one.bare}
    pairs = []
    for turn in range(given.turns + 1):
        turns = {name: one.turn(loops[name]) for name in sorted(loops, reverse=(turn + number) % 2 == 0)}
        if turn:  # the first turn warms up
            pairs.append((turns["harness"], turns["bare"]))
    return pairs


if __name__ == "__main__":
    main()
