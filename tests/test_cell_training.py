"""What the training of a cell passes on: to several ranks, to a checkpoint, to whoever observes, and to the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genbench import Training, seeding
from genbench.cell import training as cell_training
from genbench.cell.events import Events
from genbench.cell.training import CellTraining
from genbench.config import Budget, Cell, ModelSpec, Settings
from genbench.datasets.dataset import Dataset, Split
from genbench.plugin import finding, loading, options
from genbench.plugin.model import Model
from genbench.training import checkpoint, loop
from genbench.training.capture import WARM_UP_STEPS
from genbench.training.flops import Flops, StepFlops
from genbench.training.loop import Progress, Row

CPU = torch.device("cpu")
TINY = Path(__file__).parent / "models" / "tiny.py"
SEED = 5


class FakeRanks:
    """Stands in for the ranks of a cell; records how they take up the model."""

    def __init__(self) -> None:
        self.taken_up: list[tuple[Any, ...]] = []
        self.prepared: list[Any] = []
        self.lockstep = SimpleNamespace(step=object())
        self.prepare = self.prepared.append

    def take_up(self, *given: Any) -> None:
        self.taken_up.append(given)

    def random_states(self) -> Sequence[dict[str, Any]]:
        return [{"of": "rank 1"}]


def training(path: Path, budget: str = "8steps", told: list[Any] | None = None, **more: Any) -> CellTraining:
    own = {key: more.pop(key) for key in ("rank", "ranks", "grace_s", "observed") if key in more}
    size = 2 if own else 1
    settings = Settings(Budget.parse(budget), 16, evaluations=2, **{"ranks": size, **more})
    split = Split(torch.randint(256, (70, 1, 8, 8), dtype=torch.uint8), None)
    dataset = Dataset("toy", split, split, None, "", "0" * 64)
    spec = ModelSpec(str(TINY), {"width": 16})
    plugin = loading.load(finding.find(spec))
    emit = (told if told is not None else []).append
    return CellTraining(Cell(spec, "toy", SEED, settings), plugin, dataset, CPU, path, None, Events(emit), **own)


def test_each_rank_draws_its_own_noise_and_its_own_rows_after_equal_weights(tmp_path: Path) -> None:
    weights = []
    for rank, name in ((0, ()), (1, ("rank", 1))):
        one = training(tmp_path / "c.pt", rank=rank)
        model = one.follow(8, resumed=False)
        weights.append(model.networks.state_dict())
        assert torch.initial_seed() == seeding.derive(SEED, "train", *name)
        batches = one.batches()
        assert (batches.rank, batches.ranks, batches.batch_size) == (rank, 2, 16)
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_the_weights_and_the_order_of_the_batches_are_those_of_the_cells_seed(tmp_path: Path) -> None:
    one = training(tmp_path / "c.pt")
    other = replace(one, cell=replace(one.cell, seed=SEED + 1))
    first, second = (each.begin(8)[0].networks.state_dict() for each in (one, other))
    assert not torch.equal(first["generator.0.weight"], second["generator.0.weight"])
    assert not torch.equal(one.batches()(0)[0], other.batches()(0)[0])


def test_only_training_items_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_training, "before_training", lambda plugin, model, split, device: split)
    dark, bright = (Split(torch.full((70, 1, 8, 8), level, dtype=torch.uint8), None) for level in (0, 255))
    one = training(tmp_path / "c.pt")
    one = replace(one, dataset=replace(one.dataset, train=dark, held_out=bright))
    batches = one.batches()
    assert all((batches(step)[0] == -1).all() for step in range(2 * batches.per_epoch))
    assert one.before("the model") is dark  # type: ignore[arg-type]


def test_a_model_is_told_the_batch_of_all_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[Training] = []
    build = options.build
    monkeypatch.setattr(options, "build", lambda *given: known.append(given[2]) or build(*given))
    training(tmp_path / "c.pt", rank=1).follow(8, resumed=False)
    training(tmp_path / "c.pt").begin(8)
    training(tmp_path / "c.pt").begin(None)
    assert known == [Training(8, 16), Training(8, 16), Training(None, 16)]


@pytest.mark.parametrize(("budget", "steps"), [("8steps", 8), ("0.16kimg", 10), ("2500flop", 4), ("9s", None)])
def test_a_budget_is_so_many_steps_of_the_batch_and_the_flops(tmp_path: Path, budget: str, steps: int | None) -> None:
    """A step costs 600 FLOPs, and what comes before the first one 100."""
    flops = Flops(StepFlops((600,), 1), sample=3, before=100)
    assert training(tmp_path / "c.pt", budget).steps(flops) == steps


@pytest.mark.parametrize(("budget", "steps", "seconds"), [("8steps", 8, None), ("9s", None, 9.0)])
def test_a_schedule_ends_after_the_steps_or_after_the_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: str, steps: int | None, seconds: float | None
) -> None:
    schedules: list[loop.Schedule] = []
    monkeypatch.setattr(loop, "train", lambda *given, **_: schedules.append(given[3]))
    one = training(tmp_path / "c.pt", budget)
    one.train(*one.begin(steps), dict, steps)
    assert schedules == [loop.Schedule(steps, seconds, 2)]


def test_a_rank_that_resumes_takes_its_own_generators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restored: list[tuple[Any, ...]] = []
    monkeypatch.setattr(checkpoint, "restore", lambda *given: restored.append(given))
    one = training(tmp_path / "c.pt", rank=1)
    model = one.follow(8, resumed=True)
    assert restored == [(tmp_path / "c.pt", model, 1)]
    one.follow(8, resumed=False)
    assert len(restored) == 1


@pytest.mark.parametrize("rows", [[], [Row(0, 0, 0.0, numbers={"fd": 1.0})]], ids=["begun", "evaluated"])
def test_ranks_resume_wherever_the_first_does(tmp_path: Path, rows: list[Row]) -> None:
    """A checkpoint before the first step holds generators that an evaluation, or the preparation, has advanced."""
    path, ranks = tmp_path / "c.pt", FakeRanks()
    one = training(path, ranks=ranks)
    model, _ = one.begin(8)
    checkpoint.save(path, model, Progress(rows=rows).to_json(), ranks.random_states())
    model, progress = one.begin(8)
    assert progress == Progress(rows=rows)
    assert ranks.taken_up[1:] == [(one.plugin, model, CPU, 8, bool(rows))]
    assert ranks.taken_up[0][4] is False


def test_flops_are_counted_on_a_ranks_share_and_reported_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Any, ...]] = []
    counted = Flops(StepFlops((100,), 1), sample=3, before=7)
    monkeypatch.setattr(cell_training, "count_flops", lambda *each: given.append(each) or counted)
    monkeypatch.setattr(CellTraining, "before", lambda self, model: ("before", model))
    one = training(tmp_path / "c.pt", "1000flop", rank=0)
    found = one.count_flops(9)
    ((plugin, model, batches, *others, before, _),) = given
    assert plugin is one.plugin
    assert isinstance(batches, loop.Batches)
    assert (others, before) == ([CPU, 9, 500.0], ("before", model))
    assert (found.total(2), found.sample) == (2 * (7 + 200), 3)
    assert training(tmp_path / "c.pt", "1000flop").count_flops(9) is counted
    assert given[1][5] == 1000.0


@pytest.mark.parametrize("others", [False, True], ids=["alone", "with others"])
def test_the_loop_runs_the_steps_of_all_ranks_and_a_checkpoint_holds_their_generators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    ranks = FakeRanks() if others else None
    told: dict[str, Any] = {}
    saved: list[tuple[Any, ...]] = []
    before = object()
    monkeypatch.setattr(loop, "train", lambda *_, **named: told.update(named))
    monkeypatch.setattr(CellTraining, "before", lambda *_: before)
    monkeypatch.setattr(checkpoint, "save", lambda path, model, progress, ranks: saved.append(ranks))
    one = training(tmp_path / "c.pt", **({} if ranks is None else {"ranks": ranks}))
    one.train(Model(torch.nn.ModuleDict(), {}), Progress(step=8), dict, 8)
    assert told["together"] is ranks
    assert told["step"] is (None if ranks is None else ranks.lockstep.step)
    if ranks is None:
        assert (told["prepare"], saved) == (before, [()])
    else:
        told["prepare"]()
        assert (ranks.prepared, saved) == ([before], [[{"of": "rank 1"}]])


@pytest.mark.parametrize("observed", [True, False])
def test_the_end_is_waited_for_and_points_are_told_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, observed: bool
) -> None:
    graces: list[float] = []
    ending = cell_training.Ending
    monkeypatch.setattr(cell_training, "Ending", lambda grace_s: graces.append(grace_s) or ending(grace_s))
    told: list[dict[str, Any]] = []
    one = training(tmp_path / "c.pt", told=told, grace_s=3.5, observed=observed, ranks=None)
    one = replace(one, cell=replace(one.cell, settings=replace(one.cell.settings, ranks=1)))
    one.train(*one.begin(8), dict, 8)
    assert graces == [3.5]
    points = [point["step"] for event in told if event["event"] == "points" for point in event["points"]]
    assert points == ([0, 1, 2, 3, 4, 5, 6, 7] if observed else [])  # the last comes with the record


def test_training_that_stops_at_its_target_tells_all_points_but_the_last(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    one = training(tmp_path / "c.pt", told=told, observed=True, ranks=None, target=("fd<2",), stop_at_target=True)
    one = replace(one, cell=replace(one.cell, settings=replace(one.cell.settings, ranks=1)))
    values = iter([{"fd": 3.0}, {"fd": 1.0}])
    model, progress = one.begin(8)
    one.train(model, progress, lambda: next(values), 8)
    assert progress.step == 4
    points = [point["step"] for event in told if event["event"] == "points" for point in event["points"]]
    assert points == [0, 1, 2, 3]
    notices = [event["text"] for event in told if event["event"] == "notice"]
    assert notices == ["target fd<2 met: training ends after step 4"]


def test_a_training_that_spends_its_budget_says_nothing_of_its_target(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    one = training(tmp_path / "c.pt", told=told, target=("fd<2",), stop_at_target=True)
    one.train(*one.begin(8), lambda: {"fd": 3.0}, 8)
    assert [event for event in told if event["event"] == "notice"] == []


def test_steps_are_replayed_from_the_first_after_the_warm_up(tmp_path: Path) -> None:
    one = training(tmp_path / "c.pt", cuda_graph=True)
    model = Model(torch.nn.ModuleDict(), {}, capturable=True)
    assert [one.replayed(model, Progress(step=WARM_UP_STEPS + more)) for more in (0, 1)] == [False, True]
    plain = training(tmp_path / "c.pt")
    assert not plain.replayed(model, Progress(step=WARM_UP_STEPS + 1))
    assert plain.replayed_step(model) is None


class Autosave:
    """Stands in for a checkpoint that is not due."""

    def __init__(self) -> None:
        self.saved: list[int] = []

    def is_due(self) -> bool:
        return False

    def save(self, progress: dict[str, Any]) -> None:
        self.saved.append(progress["step"])


@pytest.mark.parametrize("asked", [True, False])
def test_a_cell_that_is_asked_to_end_saves_and_tells_before_it_does(tmp_path: Path, asked: bool) -> None:
    done: list[str] = []
    autosave = Autosave()
    ending = SimpleNamespace(
        asked=asked, end=lambda: done.append("ends"), window_ended=lambda: done.append("window noted")
    )
    points = SimpleNamespace(tell=lambda: done.append(f"tells, saved {autosave.saved}"))
    progress = Progress(step=3, rows=[Row(3, 48, 1.0)])
    training(tmp_path / "c.pt")._save_or_stop(progress, autosave, ending, points)  # type: ignore[arg-type]
    assert autosave.saved == ([3] if asked else [])
    assert done == (["tells, saved [3]", "ends", "window noted"] if asked else ["window noted"])


def test_a_target_counts_that_was_met_on_the_way_and_all_must_be(tmp_path: Path) -> None:
    one = training(tmp_path / "c.pt", target=("fd<2", "kid<1"), stop_at_target=True)
    rows = [Row(0, 0, 0.0, numbers={"fd": 1.0, "kid": 5.0}), Row(4, 64, 1.0, numbers={"fd": 3.0, "kid": 2.0})]
    assert not one.targets_are_met(Progress(step=4, rows=rows))
    rows.append(Row(8, 128, 2.0, numbers={"fd": 4.0, "kid": 0.5}))
    assert one.targets_are_met(Progress(step=8, rows=rows))


def of(told: list[dict[str, Any]], kind: str) -> list[str]:
    return [event["text"] for event in told if event["event"] == kind]


def test_all_targets_are_named_when_they_are_met(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    one = training(tmp_path / "c.pt", told=told, target=("fd<2", "kid<1"), stop_at_target=True)
    one.train(*one.begin(8), lambda: {"fd": 1.0, "kid": 0.5}, 8)
    assert of(told, "notice") == ["target fd<2, kid<1 met: training ends after step 0"]


def test_a_cell_that_ends_on_request_says_after_which_step(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    ending = SimpleNamespace(asked=True, end=lambda: None, window_ended=lambda: None)
    points = SimpleNamespace(tell=lambda: None)
    progress = Progress(step=1234, rows=[Row(1234, 48, 1.0)])
    training(tmp_path / "c.pt", told=told)._save_or_stop(progress, Autosave(), ending, points)  # type: ignore[arg-type]
    assert of(told, "notice") == ["stops as requested, after step 1,234"]


def test_a_checkpoint_is_made_as_the_cell_says_and_after_every_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, windows, saved = list[Any](), list[Any](), list[Any]()
    autosave = SimpleNamespace(is_worth_it=lambda: True, save=saved.append)
    monkeypatch.setattr(checkpoint, "Autosave", lambda *given: made.append(given) or autosave)
    monkeypatch.setattr(CellTraining, "_save_or_stop", lambda self, *given: windows.append(given))
    one = replace(training(tmp_path / "c.pt"), checkpoint_interval=7.0)
    model, progress = one.begin(3)
    one.train(model, progress, dict, 3)
    assert made == [(tmp_path / "c.pt", model, 7.0, time.monotonic, one.events.notice, one._states)]
    assert len(windows) == 3
    for given in windows:
        assert given[0] is progress
        assert given[1] is autosave
        assert isinstance(given[2], cell_training.Ending)
        assert isinstance(given[3], cell_training.Points)
    assert saved == [progress.to_json()]


@pytest.mark.parametrize("compiled", [True, False])
def test_the_loop_is_given_the_precision_the_preparation_and_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    told, asked = dict[str, Any](), list[Any]()
    monkeypatch.setattr(loop, "train", lambda *_, **named: told.update(named))
    monkeypatch.setattr(CellTraining, "before", lambda self, model: ("before", model))
    monkeypatch.setattr(CellTraining, "replayed_step", lambda self, model: ("step", model))
    monkeypatch.setattr(
        cell_training, "double_backward_told", lambda plugin: asked.append(plugin) or contextlib.nullcontext()
    )
    one = training(tmp_path / "c.pt", training_precision="bf16", compile=compiled)
    model, progress = one.begin(3)
    one.train(model, progress, dict, 3)
    assert (told["precision"], told["prepare"], told["step"]) == ("bf16", ("before", model), ("step", model))
    assert asked == ([one.plugin] if compiled else [])


@pytest.mark.parametrize(("graph", "capturable"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_step_is_replayed_where_it_is_asked_for_and_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: bool, capturable: bool
) -> None:
    told, made = list[dict[str, Any]](), list[Any]()
    monkeypatch.setattr(cell_training, "ReplayedStep", lambda *given: made.append(given) or "replayed")
    one = training(tmp_path / "c.pt", told=told, cuda_graph=graph)
    model = Model(torch.nn.ModuleDict(), {}, capturable=capturable)
    assert one.replayed_step(model) == ("replayed" if graph and capturable else None)
    assert made == ([(one.plugin, one.plugin.hook.train_step, model, CPU)] if graph and capturable else [])
    said = "model 'tiny' (file): does not declare its steps capturable, so they run without a CUDA graph"
    assert of(told, "notice") == ([said] if graph and not capturable else [])


def test_a_checkpoint_that_cannot_be_used_costs_the_training_and_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[Training] = []
    build = options.build
    monkeypatch.setattr(options, "build", lambda *given: known.append(given[2]) or build(*given))
    path, told = tmp_path / "c.pt", list[dict[str, Any]]()
    path.write_bytes(b"no checkpoint")
    one = training(path, told=told)
    _, progress = one.begin(8)
    assert progress == Progress()
    assert known == [Training(8, 16)] * 2
    (notice,) = of(told, "notice")
    assert notice.startswith(f"checkpoint {path}: ")
    assert notice.endswith("; training starts over")
    assert not path.exists()


def test_a_training_that_resumes_says_after_which_step(tmp_path: Path) -> None:
    path, told = tmp_path / "c.pt", list[dict[str, Any]]()
    one = training(path, "9000steps", told=told)
    model, _ = one.begin(9000)
    checkpoint.save(path, model, Progress(step=1234, rows=[Row(1234, 48, 1.0)]).to_json())
    assert one.begin(9000)[1].step == 1234
    assert of(told, "notice") == ["resumes after step 1,234"]


def test_what_lies_in_the_place_of_a_checkpoint_is_moved_aside_only_if_it_is_a_folder(tmp_path: Path) -> None:
    path, other = tmp_path / "c.pt", tmp_path / "other"
    other.mkdir()
    (other / "mine").touch()
    path.symlink_to(other)
    training(path)._clear_checkpoint()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other"]
    path.mkdir()
    (path / "mine").touch()
    told: list[dict[str, Any]] = []
    training(path, told=told).begin(8)
    (aside,) = (each for each in tmp_path.iterdir() if each != other)
    assert aside.name.startswith("c.pt.aside-")
    assert [each.name for each in aside.iterdir()] == ["mine"]
    (notice,) = of(told, "notice")
    assert notice.endswith(f"; what was in its place is now {aside}; training starts over")


def test_a_model_is_built_from_the_seed_of_building_on_the_cells_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds, devices = list[int](), list[Any]()
    build = options.build

    def noted(*given: Any) -> Any:
        seeds.append(torch.initial_seed())
        devices.append(given[-1])
        return build(*given)

    monkeypatch.setattr(options, "build", noted)
    training(tmp_path / "c.pt").begin(8)
    assert (seeds, devices) == ([seeding.derive(SEED, "build")], [CPU])


def test_the_preparation_sees_the_model_and_the_training_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_training, "before_training", lambda *given: given)
    one = training(tmp_path / "c.pt")
    assert one.before("the model") == (one.plugin, "the model", one.dataset.train, CPU)  # type: ignore[arg-type]
