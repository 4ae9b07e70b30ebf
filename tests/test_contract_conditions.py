"""Each condition of a check by itself: what `test_contract_faults.py` plants fails several of them, or none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_pieces import BUILD, DRAW, LOSSES, STEP
from torch import Tensor

from genbench import Model
from genbench.contract import CHECKS, Contract
from genbench.contract.checks import capturing, likelihood, sampling
from genbench.contract.fault import Fault, Unmet
from genbench.kinds import kind_named
from genbench.kinds.kind import Whole

CPU = torch.device("cpu")

Write = Callable[..., Path]


def result(write_edited: Write, check: str, *edits: tuple[str, str], labels: bool = False, device: str = "cpu") -> Any:
    """Return the outcome of one check on the small model with these edits."""
    contract = Contract(str(write_edited(*edits)), [(1, 8, 8)], device)
    case = None if CHECKS[check].once else next(each for each in contract.cases if labels == bool(each.classes))
    return contract.result(CHECKS[check], case)


@pytest.mark.parametrize(
    ("built", "found"),
    [
        ('Model(nn.ModuleDict({"generator": net}), [adam])', "optimizers to be a dict by name, found list"),
        ('Model(nn.ModuleDict({"generator": net}), {"a": adam}, [])', "schedulers to be a dict by name, found list"),
        ('Model(nn.ModuleList([net]), {"a": adam})', "networks to be an nn.ModuleDict, found ModuleList"),
        ('Model(nn.ModuleDict({"generator": net}), {"a": net})', "optimizer 'a' to be a torch.optim.Optimizer, found"),
    ],
)
def test_a_model_is_made_of_dicts_of_optimizers(write_edited: Write, built: str, found: str) -> None:
    adam = "adam = torch.optim.Adam(net.parameters(), rate)"
    assert found in str(result(write_edited, "build", (BUILD, f"{adam}\n    return {built}")))


@pytest.mark.parametrize("period", [2, 3, 5])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_a_captured_step_depends_on_no_period_of_its_number(write_edited: Write, period: int, device: str) -> None:
    found = result(
        write_edited,
        "capturable",
        (BUILD, f"{BUILD[:-1]}, capturable=True)"),
        ("def train_step(model, batch)", "def train_step(model, batch, step)"),
        (STEP, f"    loss = loss * torch.tensor(step % {period} + 1.0)\n{STEP}"),
        device=device,
    )
    assert "expected a capturable step not to depend on its number" in str(found)


# The sum of probabilities


class Small:
    """Stands in for a model of tiny items: its nats are given, and the batches that it is trained on are kept."""

    device, kind = CPU, kind_named("image")

    def __init__(self, nats: Callable[[int], Tensor]) -> None:
        self.nats, self.calls = nats, 0
        self.trained: list[Tensor] = []
        self.done: list[str] = []

    def build(self) -> str:
        self.done.append("built")
        return "the model"

    def begin(self, model: str) -> None:
        self.done.append("begun")

    def generator(self) -> torch.Generator:
        return torch.Generator()

    def call(self, model: str, hook: str, batch: Tensor, generator: torch.Generator) -> Tensor:
        self.done.append("asked")
        self.calls += 1
        return self.nats(self.calls)

    def step(self, model: str, batch: Tensor, labels: None, step: int) -> None:
        self.trained.append(batch)


def whole(draws: int) -> Whole:
    """The images of two values, of which each is the lowest, the highest or in between."""
    levels = torch.tensor([0, 100, 255], dtype=torch.uint8)
    return Whole(kind_named("image"), torch.cartesian_prod(levels, levels).view(9, 1, 1, 2), "nine images", draws)


def test_the_sum_is_of_the_exponentials_of_mean_bounds_with_the_deviation_of_their_draws() -> None:
    nats = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 2
    total, deviation = likelihood._total(Small(lambda call: nats[call - 1]), None, whole(4))  # type: ignore[arg-type]
    masses = nats.mean(0).exp()
    assert total == pytest.approx(float(masses.sum()))
    # By the delta method, exp of a mean of n draws has the variance exp(2 mean) var / n.
    assert deviation == pytest.approx(math.sqrt(float((masses**2 * nats.var(0) / 4).sum())))


@pytest.mark.parametrize(
    ("total", "deviation", "fails"),
    [(1.009, 0.0, False), (1.011, 0.0, True), (1.5, 0.099, False), (1.5, 0.097, True), (2.0, 0.1, True), (0, 9, False)],
)
def test_a_sum_may_exceed_one_by_a_hundredth_and_five_deviations(total: float, deviation: float, fails: bool) -> None:
    if fails:
        with pytest.raises(Fault, match="over nine images to sum to at most 1"):
            likelihood._check(total, deviation, whole(1), "before training")
    else:
        likelihood._check(total, deviation, whole(1), "before training")


def test_the_model_is_fitted_and_trained_on_the_outer_items_alone() -> None:
    small = Small(lambda call: torch.full((9,), -5.0))
    likelihood._bound(small, whole(3))  # type: ignore[arg-type]
    assert small.done == ["built", "begun", *["asked"] * 6]
    assert [tuple(batch.shape) for batch in small.trained] == [(64, 1, 1, 2)] * 200
    pairs = {tuple(pair) for pair in torch.cat(small.trained).flatten(1).tolist()}
    assert pairs == {(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)}


def test_nats_of_another_shape_are_not_summed() -> None:
    with pytest.raises(Unmet, match="log_likelihood returned another shape"):
        likelihood._total(Small(lambda call: torch.zeros(9, 1)), None, whole(3))  # type: ignore[arg-type]


def test_a_bound_that_training_breaks_is_found() -> None:
    with pytest.raises(Fault, match="after 200 steps on the lowest and the highest level"):
        likelihood._bound(Small(lambda call: torch.full((9,), -5.0 if call <= 3 else 0.0)), whole(3))  # type: ignore[arg-type]


# Samples


@pytest.mark.parametrize("row", [0, 2])
def test_each_row_of_a_large_batch_is_compared(row: int) -> None:
    many, few = torch.zeros(8, 4), torch.zeros(3, 4)
    sampling.check_rows("sample", many, few)
    few[row, 1] = 0.5
    with pytest.raises(Fault, match=r"values that differ by 0\.5 in a batch of 3 from those in a batch of 8"):
        sampling.check_rows("sample", many, few)


@pytest.mark.parametrize("advanced", [0, 1], ids=["the CPU's", "a GPU's"])
def test_no_global_generator_may_advance(monkeypatch: pytest.MonkeyPatch, advanced: int) -> None:
    after = [torch.zeros(4), torch.zeros(4)]
    after[advanced] = torch.ones(4)
    states = iter([[torch.zeros(4), torch.zeros(4)], after])
    monkeypatch.setattr(sampling, "_global_state", lambda: next(states))
    subject = SimpleNamespace(trained=None, sample=lambda *_: torch.zeros(8, 4))
    with pytest.raises(Fault, match="sample to leave torch's global generator alone"):
        sampling.generator(subject)  # type: ignore[arg-type]


def test_a_sampler_that_uses_its_labels_passes(write_edited: Write) -> None:
    takes = ("sample(model, count,", "sample(model, count, labels,")
    assert (
        result(write_edited, "sample_labels", takes, (DRAW, f"{DRAW}    noise += labels[:, None]\n"), labels=True)
        is None
    )


@pytest.mark.parametrize("returned", ["[loss.detach()]", "loss.detach()", "None"])
def test_losses_that_are_no_dict_are_named(write_edited: Write, returned: str) -> None:
    found = str(result(write_edited, "losses", (LOSSES, f"return {returned}")))
    assert "expected train_step to return a dict of losses, found" in found


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_a_loss_that_is_not_finite_is_named(write_edited: Write, value: str) -> None:
    found = str(result(write_edited, "losses", (LOSSES, f'return {{"energy": loss.detach() * 0 + float("{value}")}}')))
    assert f"found {value} at step 0" in found


def test_a_parameter_with_a_gradient_that_stays_is_a_fault(write_edited: Write) -> None:
    groups = '[{"params": [net[0].bias], "lr": 0.0}, {"params": [p for p in net.parameters() if p is not net[0].bias]}]'
    found = result(write_edited, "movement", (BUILD, BUILD.replace("net.parameters()", groups)))
    assert isinstance(found, Fault)
    assert "found generator.0.bias unchanged" in str(found)


def test_annotations_that_cannot_be_evaluated_are_named(write_edited: Write) -> None:
    found = str(result(write_edited, "options", ("width: int = 16", 'width: "Width" = 16')))
    assert "expected annotations that Python can evaluate, found 'Width' of option 'width'" in found


def test_what_follows_the_optimizer_is_captured_too(write_edited: Write) -> None:
    found = result(
        write_edited,
        "capturable",
        (BUILD, f"{BUILD[:-1]}, capturable=True)"),
        ("def train_step(model, batch)", "def train_step(model, batch, step)"),
        (LOSSES, 'return {"energy": loss.detach() * (1 + step)}'),
    )
    assert "found others at step 4, first at" in str(found)


@pytest.mark.parametrize(("device", "replayed"), [("cuda", 1), ("cpu", 0)])
def test_on_cuda_steps_are_replayed(monkeypatch: pytest.MonkeyPatch, device: str, replayed: int) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(capturing, "replays", asked.append)
    for name in ("_compare_operations", "_compare_numbers"):
        monkeypatch.setattr(capturing, name, lambda *_: None)
    model = Model(torch.nn.ModuleDict(), {}, capturable=True)
    subject = SimpleNamespace(build=lambda: model, train=lambda *_: None, device=torch.device(device))
    capturing.capturable(subject)  # type: ignore[arg-type]
    assert asked == [subject] * replayed
