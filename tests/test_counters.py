"""Counters of a step: closed forms, exact repeatability, and detection of planted changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from genbench.regression import workload
from genbench.training import counters

CPU = torch.device("cpu")
LEFT, RIGHT = torch.ones(8, 16), torch.ones(16, 4)


def product(step: int) -> torch.Tensor:
    return LEFT @ RIGHT


def test_operators_flops_and_bytes_of_a_product() -> None:
    counts = counters.count(product, CPU)
    assert counts["operators"] == {"aten.mm.default": 1}
    assert counts["operator_calls"] == 1
    assert counts["flops"] == 2 * 8 * 16 * 4
    assert counts["peak_bytes"] == 8 * 4 * 4
    assert counts["python_calls"] == 1
    assert counts["kernels"] is counts["synchronisations"] is None  # no CUDA here


def test_the_peak_is_of_what_is_alive_at_once_and_new() -> None:
    kept = torch.zeros(1000)

    def step(number: int) -> None:
        for _ in range(3):
            torch.zeros(100)  # freed each time
        first, second = torch.zeros(100), torch.zeros(50)
        kept.add_(1)  # in place: not new
        del first, second

    assert counters.count(step, CPU)["peak_bytes"] == 150 * 4


@pytest.mark.parametrize(
    ("extra", "counter", "more"),
    [
        (lambda: LEFT.abs(), "operator_calls", 1),
        (lambda: LEFT @ RIGHT, "flops", 1024),
        (lambda: len("x"), "python_calls", 1),
    ],
)
def test_what_is_planted_shows(extra: Callable[[], object], counter: str, more: int) -> None:
    def planted(step: int) -> None:
        product(step)
        extra()

    before, after = counters.count(lambda step: product(step), CPU), counters.count(planted, CPU)
    # The planted lambda is itself a Python call.
    assert after[counter] - before[counter] == more + (counter == "python_calls")


def test_objects_of_python_show_in_bytes() -> None:
    before = counters.count(product, CPU)["python_bytes"]
    after = counters.count(lambda step: (product(step), [*range(100_000)]), CPU)["python_bytes"]
    assert after - before > 100_000 * 8


def test_a_model_counts_alike_each_time(tiny: object) -> None:
    counted = []
    for _ in range(2):
        work = workload.workload_for(str(tiny), (1, 8, 8), 16)
        counted.append(counters.count(work.step, CPU))
    first, second = counted
    rounding = counters.PYTHON_BYTES_ROUNDING
    assert abs(first.pop("python_bytes") - second.pop("python_bytes")) < rounding
    assert first == second
    assert first["operator_calls"] > 20


class Breaking(nn.Module):
    """Breaks its graph once, and is recompiled for a different number of dimensions."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = values + 1
        torch._dynamo.graph_break()
        return values * 2


def test_graph_breaks_and_recompilations() -> None:
    def counted(shapes: list[tuple[int, ...]]) -> dict[str, int]:
        network = Breaking()
        network.compile(backend="eager")
        return counters.count_compilation(lambda step: network(torch.ones(shapes[step % len(shapes)])))

    assert counted([(2, 3)]) == {"graphs": 2, "graph_breaks": 1, "recompilations": 0}
    again = counted([(2, 3), (2, 3, 4)])
    assert again["recompilations"] == 2  # both halves
    assert again["graphs"] == 4


def test_a_workload_trains_in_windows_of_so_many_steps(tiny: object) -> None:
    work = workload.workload_for(str(tiny), (1, 8, 8), 16)
    now = iter(range(100))
    timer = workload.Timer({"count": lambda: float(next(now))}, CPU)
    work.train(3, 4, timer)
    assert work.progress.step == 12
    assert timer.windows == {"count": [1.0, 1.0, 1.0]}
    work.train(1, 2, timer)
    assert work.progress.step == 14
