"""What a model knows about data and run, what precedes its first step, and how it declines unsuitable data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import genbench
from genbench import Data, Model, Training, Unsuitable, datasets
from genbench.cell import training as cell_training
from genbench.cell.events import Events
from genbench.cell.training import CellTraining
from genbench.cli import cli
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.errors import InputError, PluginError
from genbench.plugin import finding, loading, options
from genbench.records.files import read_records
from genbench.training import loop
from genbench.training.flops import Flops, StepFlops
from genbench.training.loop import Batches, Progress, Schedule, train
from genbench.training.passes import Passes

MODELS = Path(__file__).parent / "models"
CPU = torch.device("cpu")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["run", *arguments], obj={}, catch_exceptions=False)


def training_of(
    budget: str, path: Path, directory: Path, batch_size: int = 64, precision: Any = "fp32"
) -> CellTraining:
    settings = Settings(Budget.parse(budget), batch_size, evaluations=7, device="cpu", training_precision=precision)
    plugin = loading.load(finding.find(ModelSpec(str(path))))
    cell = Cell(ModelSpec(str(path)), "digits", 0, settings)
    return CellTraining(
        cell, plugin, datasets.load("digits"), CPU, directory / "x.pt", None, Events(lambda event: None)
    )


@pytest.mark.parametrize(
    ("budget", "batch_size", "steps"), [("30steps", 64, 30), ("2kimg", 50, 40), ("2kimg", 100, 20), ("9s", 64, None)]
)
def test_a_schedule_over_the_whole_budget_needs_no_option(
    tmp_path: Path, budget: str, batch_size: int, steps: int | None
) -> None:
    training = training_of(budget, MODELS / "cosine.py", tmp_path, batch_size)
    known = training.steps(Flops(StepFlops((1,), 1), 1))
    model, _ = training.begin(known)
    assert model.networks["net"].told.tolist() == [-1 if steps is None else steps, batch_size, 1297]
    assert known == steps
    if steps is None:
        assert not model.schedulers
        return
    rates = []
    for step in range(steps):
        batch = torch.zeros(2, 1, 8, 8)
        rates.append(float(training.plugin.hook.train_step(model=model, batch=batch, labels=None, step=step)["rate"]))
    expected = [0.05 * (1 + math.cos(math.pi * (step + 1) / steps)) for step in range(steps)]
    assert rates == pytest.approx(expected, abs=1e-7)


def test_a_budget_in_flops_is_converted_to_steps_once_they_are_counted(tmp_path: Path) -> None:
    training = training_of("1000flop", MODELS / "cosine.py", tmp_path)
    assert Budget.parse("1000flop").steps(64) is None
    assert training.steps(Flops(StepFlops((70,), 1), 1)) == 14
    assert training.steps(Flops(StepFlops((70,), 1), 1, before=300)) == 10
    assert training.steps(Flops(StepFlops((70,), 1), 1, before=5000)) == 1


def test_a_training_that_begins_anew_is_told_its_steps(tmp_path: Path) -> None:
    training = training_of("30steps", MODELS / "cosine.py", tmp_path)
    (tmp_path / "x.pt").write_bytes(b"no checkpoint")
    model, _ = training.begin(30)
    assert model.networks["net"].told.tolist() == [30, 64, 1297]


@pytest.mark.parametrize(("budget", "allowed"), [("30steps", None), ("2kimg", None), ("9s", None), ("1e6flop", 1e6)])
def test_what_is_counted_is_a_model_that_knows_no_steps_and_what_comes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: str, allowed: float | None
) -> None:
    monkeypatch.setattr(cell_training, "before_training", lambda *given: given)
    asked: list[Any] = []
    counted = Flops(StepFlops((70,), 1), 1, before=0)
    monkeypatch.setattr(cell_training, "count_flops", lambda *given: asked.extend(given) or counted)
    training = training_of(budget, MODELS / "cosine.py", tmp_path)
    assert training.count_flops(7) == counted
    plugin, model, batches, device, most, budgeted, prepare, _ = asked
    assert (plugin, device, most, budgeted) == (training.plugin, CPU, 7, allowed)
    assert prepare == (training.plugin, model, training.dataset.train, CPU)
    assert model.networks["net"].told.tolist() == [-1, 64, 1297]
    assert (batches.batch_size, batches.device) == (64, CPU)


@pytest.mark.parametrize(("budget", "schedule"), [("30steps", (30, None, 7)), ("9s", (None, 9.0, 7))])
def test_a_training_ends_with_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: str, schedule: tuple[int | None, float | None, int]
) -> None:
    told: dict[str, Any] = {}
    names = ("plugin", "model", "batches", "schedule", "progress")
    monkeypatch.setattr(loop, "train", lambda *given, **named: told.update(zip(names, given, strict=True), **named))
    monkeypatch.setattr(cell_training, "before_training", lambda *given: given)
    training = training_of(budget, MODELS / "cosine.py", tmp_path, precision="bf16")
    model, progress = training.begin(schedule[0])
    training.train(model, progress, dict, schedule[0])
    assert told["schedule"] == Schedule(*schedule)
    assert (told["plugin"], told["model"], told["progress"]) == (training.plugin, model, progress)
    assert (told["precision"], told["step"]) == ("bf16", None)
    assert told["prepare"] == (training.plugin, model, training.dataset.train, CPU)


SHAPE_IS, CLASSES_IS = ("is now data.shape (take `data`)", "is now data.classes (take `data`)")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("build_model(data, ", "build_model(image_shape, ", [f"image_shape of build_model {SHAPE_IS}"]),
        ("build_model(data, ", "build_model(data, classes, ", [f"classes of build_model {CLASSES_IS}"]),
        (
            "build_model(data, ",
            "build_model(image_shape, classes, ",
            [f"image_shape of build_model {SHAPE_IS}, classes of build_model {CLASSES_IS}"],
        ),
        ("train_step(model, batch)", "train_step(model, images)", ["images of train_step is now batch"]),
    ],
)
def test_a_plugin_of_the_first_contract_gets_one_line(
    write_plugin: Callable[..., Path], old: str, new: str, said: list[str]
) -> None:
    path = write_plugin(old, new)
    with pytest.raises(PluginError) as error:
        loading.load(finding.find(ModelSpec(str(path))))
    assert str(error.value).startswith("model 'faulty' (file): is written for the first contract: ")
    assert all(each in str(error.value) for each in said)
    assert "\n" not in str(error.value)


UNSUITABLE = 'raise Unsuitable("takes colour alone")\n    return build(data.shape, device, **options)'


@pytest.fixture
def picky(write_plugin: Callable[..., Path]) -> Path:
    """The small model, restricted to images with more than one channel."""
    return write_plugin(
        "return build(data.shape, device, **options)", f"if data.shape[0] == 1:\n        {UNSUITABLE}", "picky"
    )


@pytest.mark.usefixtures("warm_servers")
def test_a_model_that_does_not_suit_one_dataset_is_an_empty_row_with_its_reason(picky: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    colour = "shapes:size=16,count=80,held_out=60"
    few = ("--budget", "2steps", "--seeds", "1", "--evaluations", "1", "--metrics", "fd", "--extractor", "random-conv")
    arguments = ("-m", str(picky), "-m", str(MODELS / "tiny.py"), "-d", "digits", "-d", colour, "--control", "real")
    answer = run(*arguments, *few, "--out", str(out))
    assert answer.exit_code == 0, answer.output
    assert "picky is not applicable to digits: takes colour alone" in answer.output
    assert "picky on digits, seed 0: not applicable: takes colour alone" in answer.stderr
    statuses = {(each.label, each.dataset): each.data["status"] for each in read_records(out)}
    assert statuses[("picky", "digits")] == "not applicable"
    assert {status for key, status in statuses.items() if key != ("picky", "digits")} == {"finished"}
    page = (out / "report.md").read_text()
    row = next(line for line in page.splitlines() if "`picky`" in line and "not applicable" in line)
    assert "not applicable: takes colour alone" in row
    assert "## Failed" not in page
    again = run(*arguments, *few, "--out", str(out))
    assert again.exit_code == 0
    assert "failed" not in again.output
    assert len(genbench.load_records(out)) == len(statuses)


@pytest.mark.usefixtures("warm_servers")
def test_where_nothing_would_run_the_request_is_at_fault(picky: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^nothing would run: picky is not applicable to digits: takes colour alone"):
        run("-m", str(picky), "-d", "digits", "--budget", "2steps", "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out" / "records").exists()


class Fitted:
    """A stand-in for a plugin that records its calls."""

    def __init__(self) -> None:
        self.hook = self
        self.called: list[str] = []

    def implements(self, hook: str, argument: str | None = None) -> bool:
        return True

    def function(self, hook: str) -> Any:
        return getattr(self, hook)

    def train_step(self, **_: Any) -> dict[str, torch.Tensor]:
        self.called.append("step")
        return {}


def ticks() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 1.0


def test_what_comes_before_the_first_step_is_on_the_clock_once_and_before_the_first_evaluation() -> None:
    plugin, split = Fitted(), datasets.load("digits").train
    model, progress, clock = Model(torch.nn.ModuleDict(), {}), Progress(), ticks()

    def evaluate(progress: Progress) -> dict[str, float]:
        plugin.called.append(f"evaluation at {progress.step}")
        return {}

    def prepare() -> None:
        plugin.called.append("before")

    def go_on(steps: int) -> None:
        train(
            plugin,  # type: ignore[arg-type]
            model,
            Batches(split, 16, 0, CPU),
            Schedule(steps, None, 2),
            progress,
            clock=lambda: next(clock),
            prepare=prepare,
            evaluate=evaluate,
        )

    go_on(2)
    assert plugin.called == ["before", "evaluation at 0", "step", "evaluation at 1", "step"]
    assert progress.before_s == 1.0
    assert [row.elapsed_s for row in progress.rows] == [1.0, 2.0, 3.0], "its second is included in every point"
    go_on(4)
    assert plugin.called.count("before") == 1, "a resumed training does not repeat it"
    assert Progress.from_json(progress.to_json()).before_s == 1.0


def test_a_time_that_is_spent_before_the_first_step_leaves_one() -> None:
    progress = Progress(elapsed_s=9.0, before_s=9.0)
    assert Schedule(None, 5.0, 1).window(progress) == 1
    progress = Progress(step=3, elapsed_s=9.0, before_s=9.0, windows=[(1, 0.1)])
    assert Schedule(None, 5.0, 1).window(progress) == 0
    # The pace is that of the steps, 10 in 2 s, so a window of a hundredth of the budget holds 50.
    progress = Progress(step=11, elapsed_s=8.0, before_s=5.5, windows=[(1, 0.5), (10, 2.0)])
    assert Schedule(None, 1000.0, 1).window(progress) == round(10 / 2 * 1000 / 100)


def test_all_the_data_can_be_gone_through_twice_in_order() -> None:
    split = datasets.load("digits").train
    passes = Passes(split, CPU)
    first, second = (torch.cat([batch for batch, _ in passes]) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(split.kind.store(first), split.items)
    labels = torch.cat([labels for _, labels in passes if labels is not None])
    assert torch.equal(labels, split.labels)


@pytest.mark.usefixtures("warm_servers")
def test_a_model_that_is_fitted_at_once_trains_in_its_budget(tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = run(
        *("-m", "ppca:latent=5", "-d", "digits", "--budget", "3steps", "--seeds", "1", "--evaluations", "2"),
        *("--metrics", "fd,bits_per_dim", "--control", "real", "--device", "cpu", "--out", str(out)),
    )
    assert answer.exit_code == 0, answer.output
    record = next(each for each in read_records(out) if each.label.startswith("ppca"))
    cost = record.cost
    # One product of the transposed (1297, 64) matrix with itself, in batches of 250; a multiply-add counts as two.
    assert cost["before_training_flops"] == 2 * 1297 * 64 * 64
    assert 0 < cost["before_training_s"] <= cost["train_s"]
    assert [row["flops"] for row in record.data["curve"]] == [cost["before_training_flops"]] * len(record.data["curve"])
    assert cost["parameters"] == 0
    assert record.numbers["fd"] < 40
    assert record.numbers["bits_per_dim"] < 8


def test_what_a_model_may_know_is_frozen() -> None:
    data, training = Data("image", torch.Size((1, 8, 8)), 5), Training(None, 16)
    with pytest.raises(AttributeError):
        data.count = 6  # type: ignore[misc]
    with pytest.raises(AttributeError):
        training.steps = 6  # type: ignore[misc]
    assert (data.classes, data.levels, data.symbols, data.sample_rate) == (None, 256, None, None)


def test_a_reason_is_one_line_and_never_empty() -> None:
    assert options.reason_of(Unsuitable("takes images\nalone")) == "takes images"
    assert options.reason_of(Unsuitable()) == "it gives no reason"
