"""What the stages of a cell pass on, in which order they leave things on disk, and when the world is checked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_pieces import STEP

from genbench import seeding
from genbench.cell import stages
from genbench.cell.follower import follow
from genbench.config import CONTROLS, Budget, Cell, ModelSpec, Settings
from genbench.errors import PluginError, Unsuitable
from genbench.evaluation.selection import select
from genbench.features.extractor import extract
from genbench.machine import environment
from genbench.plugin import finding, world
from genbench.records.record import not_applicable, record_path
from genbench.training.flops import Flops, StepFlops
from genbench.training.loop import Progress

ID = "0123456789abcdef"
SEED = 5
TINY = Path(__file__).parent / "models" / "tiny.py"
DRAW = "    noise = torch.randn(count"
CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("short_sampling")


def payload(directory: Path, model: str | Path = "noise", steps: int = 1, evaluations: int = 1) -> dict[str, Any]:
    """Describe a cell on the digits whose seed, interval and grace are not the usual ones."""
    settings = Settings(
        Budget(steps, "steps"), evaluations=evaluations, samples=100, device="cpu", metrics=("fd",), batch_size=32
    )
    spec = ModelSpec(str(model))
    metrics = {metric.name: metric.version for metric in select(("fd",), "image")}
    given = {
        "cell": Cell(spec, "digits", SEED, settings).to_json(),
        "id": ID,
        "description": {"samples": 100, "device": "cpu", "plugin": {}, "dataset": {}, "metrics": metrics},
        "distribution": "file",
        "covered": None if spec.name in CONTROLS else finding.find(spec).coverage(spec.options).to_json(),
        "directory": str(directory),
        "command": "genbench run it again",
        "checkpoint_interval": 7.0,
        "grace": 3.5,
        "jobs": 3,
        "slot": 2,
        "observed": True,
    }
    return json.loads(json.dumps(given))  # type: ignore[no-any-return]


def run(given: dict[str, Any], ranks: Any = None) -> dict[str, Any]:
    with world.kept():
        stages._CellRun(given, lambda event: None, ranks).run()
    return json.loads(record_path(Path(given["directory"]), ID).read_text())  # type: ignore[no-any-return]


class FakeRanks:
    """Stands in for three ranks, of which the others do nothing but take memory."""

    size = 3

    def __init__(self) -> None:
        self.extracted: list[int] = []

    def take_up(self, plugin: Any, *_: Any) -> None:
        self.lockstep = SimpleNamespace(step=plugin.hook.train_step)

    def begin(self, first: int, steps: int) -> None:
        pass

    def end(self, step: int, means: dict[str, float]) -> dict[str, float]:
        return means

    def extract(self, extractor: Any, items: torch.Tensor) -> Any:
        self.extracted.append(len(items))
        return extract(extractor, items)

    def random_states(self) -> list[dict[str, Any]]:
        return []

    def finish(self) -> list[dict[str, int | None]]:
        return [{"peak_allocated_bytes": None, "peak_resident_bytes": 10**15}] * 2


def test_a_cell_of_several_ranks_shares_extraction_memory_and_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    share, ranks = environment.share, FakeRanks()
    monkeypatch.setattr(environment, "share", lambda *given: asked.append(given) or share("cpu"))
    record = run(payload(tmp_path, TINY), ranks)
    assert asked == [("cpu", 2 * 3, 3 * 3)]
    assert ranks.extracted == [100, 100]  # before the first step and after the last
    assert record["cost"]["peak_resident_bytes"] == 10**15
    assert record["environment"]["jobs"] == 3


def test_a_training_is_given_what_the_request_says(tmp_path: Path) -> None:
    given = stages._CellRun(payload(tmp_path), lambda event: None)
    given.dataset = "the dataset"  # type: ignore[assignment]
    training = given.training_of("the plugin")  # type: ignore[arg-type]
    assert (training.checkpoint_interval, training.grace_s, training.observed) == (7.0, 3.5, True)
    assert (training.dataset, training.plugin, training.cell.seed) == ("the dataset", "the plugin", SEED)
    assert training.checkpoint_path == given.checkpoint_path


class StoppedError(Exception):
    pass


def stopped_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """Replace a function by one that stops the cell; return a list that will hold what it was given."""
    told: list[Any] = []

    def note(*given: Any) -> None:
        told.extend(given)
        raise StoppedError

    monkeypatch.setattr(owner, name, note)
    return told


def test_samples_are_drawn_with_the_cells_seed_and_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = stopped_at(monkeypatch, stages, "Evaluation")
    with pytest.raises(StoppedError):
        run(payload(tmp_path, TINY))
    assert told[4:7] == [CPU, SEED, 100]


def test_a_checkpoint_stays_until_the_record_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = payload(tmp_path)
    path = stages.checkpoint_path(tmp_path, ID)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a long training")

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stages, "write_record", full)
        with pytest.raises(OSError, match="No space"):
            run(given)
    assert path.exists()
    run(given)
    assert not path.exists()


def test_a_record_says_what_was_not_measured_and_when_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    given = stages._CellRun(payload(tmp_path), lambda event: None)
    given.evaluator = SimpleNamespace(recipes={"b": 1, "a": 2}, missing={"c_t": "too few"})  # type: ignore[assignment]
    given.started_at = "the start"
    record = given.finished({"id": ID})
    assert record["not_measured"] == {"c_t": "too few"}
    assert list(record["recipes"]) == ["a", "b"]
    assert record["started_at"] == "the start"
    assert record["finished_at"].endswith("+00:00")


def test_a_record_says_when_its_cell_ran_and_its_curve_ends_with_its_numbers(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    record = run(payload(tmp_path, TINY))
    began, ended = (datetime.fromisoformat(record[name]) for name in ("started_at", "finished_at"))
    assert before <= began <= ended <= datetime.now(UTC)
    first, last = (row["numbers"] for row in record["curve"])
    assert last == {"fd": record["numbers"]["fd"]["value"]}
    assert first.keys() == {"fd"}
    assert first != last


@pytest.mark.parametrize(("seeded", "fails"), [(SEED, False), (0, True)])
def test_the_global_generators_must_have_the_cells_own_seed(tmp_path: Path, seeded: int, fails: bool) -> None:
    given = stages._CellRun(payload(tmp_path), lambda event: None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.derive(seeded, "train"))
        before = world.snapshot()
        if fails:
            with pytest.raises(PluginError, match="changed the seed of torch's global generator"):
                given.check_world("a plugin", before, "train")  # type: ignore[arg-type]
        else:
            given.check_world("a plugin", before, "train")  # type: ignore[arg-type]


def test_variables_that_a_plugins_import_sets_are_no_fault(tmp_path: Path, write_plugin: Callable[..., Path]) -> None:
    path = write_plugin("LATENT = 16\n", 'import os\n\nos.environ["GENBENCH_OF_A_LIBRARY"] = "1"\nLATENT = 16\n')
    assert run(payload(tmp_path, path))["status"] == "finished"


@pytest.mark.parametrize("step", [0, 3])
def test_what_a_step_changes_fails_the_cell_though_sampling_puts_it_back(
    tmp_path: Path, write_plugin: Callable[..., Path], step: int
) -> None:
    """Numbers are measured in between: at step 2, and at the end."""
    path = write_plugin(STEP, f"{STEP}    if step == {step}:\n        torch.backends.mkldnn.set_flags(False)\n")
    source = path.read_text().replace("def train_step(model, batch)", "def train_step(model, batch, step)")
    path.write_text(source.replace(DRAW, f"    torch.backends.mkldnn.set_flags(True)\n{DRAW}"))
    with pytest.raises(PluginError, match=r"changed torch's kernel settings \(mkldnn: True became False\)"):
        run(payload(tmp_path, path, steps=4, evaluations=2))


def test_the_source_is_checked_after_the_first_step_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Watch(stages.SourceWatch):
        def after_first_step(self, plugin: Any) -> None:
            order.append("after the first step")
            assert plugin.hook.train_step

        def at_the_end(self, plugin: Any) -> None:
            order.append("at the end")
            assert plugin.hook.train_step

    monkeypatch.setattr(stages, "SourceWatch", Watch)

    def emit(event: dict[str, Any]) -> None:
        if event["event"] == "stage" and event["stage"] in ("building", "training", "measuring", "counting"):
            order.append(event["stage"])

    with world.kept():
        stages._CellRun(payload(tmp_path, TINY), emit).run()
    told = list(dict.fromkeys(order))
    assert told == ["building", "after the first step", "training", "measuring", "at the end", "counting"]


@pytest.mark.parametrize("has_hook", [True, False])
def test_restorations_are_kept_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_plugin: Callable[..., Path], has_hook: bool
) -> None:
    kept: list[tuple[Any, ...]] = []
    monkeypatch.setattr(stages, "save_artifacts", lambda *given: kept.append(given) or {})
    hook = "@hookimpl\ndef reconstruct(model, batch):\n    return batch.neg()\n\n\n" if has_hook else ""
    run(payload(tmp_path, write_plugin("@hookimpl\ndef sample", f"{hook}@hookimpl\ndef sample")))
    (dataset, items, restored) = kept[0][3:]
    assert items.shape == (100, 1, 8, 8)
    if has_hook:
        assert torch.equal(restored, 255 - dataset.held_out.items[: len(restored)])
    else:
        assert restored is None


def test_what_a_plugin_brings_is_that_of_the_plan_and_of_the_allowed_distributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = payload(tmp_path)
    given["description"]["metrics"] = {"fd": "another version"}
    with pytest.raises(PluginError, match=r"^the metrics changed after this run began"):
        run(given)
    for name in ("load_extractor", "load_dataset"):  # the latter comes first
        told = stopped_at(monkeypatch, stages.preflight, name)
        with pytest.raises(StoppedError):
            run({**payload(tmp_path), "plugins_from": ["mine"]})
        assert told[-1] == ["mine"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_cell_of_several_ranks_has_the_others_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int
) -> None:
    given = payload(tmp_path, TINY)
    given["cell"]["settings"]["ranks"] = ranks
    told: list[Any] = []

    @contextmanager
    def others(*given: Any) -> Iterator[str]:
        told.append(given)
        yield "the ranks"

    def emit(event: dict[str, Any]) -> None:
        pass

    monkeypatch.setattr(stages, "Ranks", others)
    monkeypatch.setattr(
        stages, "_CellRun", lambda *given: told.append(given) or SimpleNamespace(run=lambda: "the outcome")
    )
    assert stages.run(given, emit) == "the outcome"
    assert told[-1] == ((given, emit) if ranks == 1 else (given, emit, "the ranks"))
    if ranks > 1:
        (count, follows, events), _ = told
        assert (count, follows.func, follows.args, events) == (2, follow, (given,), emit)


def test_a_control_is_never_trained_by_several_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = payload(tmp_path)
    given["cell"]["settings"]["ranks"] = 2
    monkeypatch.setattr(stages, "_CellRun", lambda *given: SimpleNamespace(run=lambda: given))
    assert len(stages.run(given, print)) == 2


@pytest.mark.parametrize(
    ("module", "name", "passed"),
    [
        (stages.preflight, "load_extractor", ("dataset", "settings", "device", "events")),
        (stages.references, "reference_for", ("dataset", None, "events")),
        (stages, "SourceWatch", ("payload", "settings", "checkpoint_path", "events")),
    ],
)
def test_each_stage_is_given_what_the_cell_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, passed: tuple[str | None, ...]
) -> None:
    told = stopped_at(monkeypatch, module, name)
    cell = stages._CellRun(payload(tmp_path, TINY), lambda event: None)
    with world.kept(), pytest.raises(StoppedError):
        cell.run()
    for place, attribute in enumerate(passed):
        assert attribute is None or told[place] is getattr(cell, attribute), attribute


def test_metrics_are_those_of_the_datasets_kind_from_allowed_distributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**payload(tmp_path), "plugins_from": ["mine"]}
    told = stopped_at(monkeypatch, stages, "select")
    dataset = SimpleNamespace(kind=SimpleNamespace(name="a kind"))
    monkeypatch.setattr(stages.preflight, "load_dataset", lambda *_: dataset)
    monkeypatch.setattr(stages.preflight, "load_extractor", lambda *_: None)
    monkeypatch.setattr(stages.references, "reference_for", lambda *_: None)
    with pytest.raises(StoppedError):
        run(given)
    assert told == [("fd",), "a kind", ["mine"]]


def test_a_model_is_looked_for_in_the_distribution_of_the_plan_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {**payload(tmp_path, TINY), "distribution": "mine 1.0"}
    told = stopped_at(monkeypatch, stages.finding, "find")
    with pytest.raises(StoppedError):
        run(given)
    assert told == [ModelSpec(str(TINY)), ["mine 1.0"]]


@pytest.mark.parametrize("model", ["noise", TINY])
def test_a_model_that_does_not_suit_the_dataset_is_an_empty_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str | Path
) -> None:
    def unsuited(*_: Any) -> None:
        raise Unsuitable("takes no digits\nbut letters")

    monkeypatch.setattr(stages._CellRun, "control" if model == "noise" else "model", unsuited)
    monkeypatch.setattr(stages, "_now", lambda: "now")
    given = payload(tmp_path, model)
    expected = not_applicable(ID, given["description"], "genbench run it again", "takes no digits", "now")
    found = run(given)
    assert {key: found[key] for key in expected} == json.loads(json.dumps(expected))
    assert found["status"] == "not applicable"


def test_a_record_of_a_control_describes_its_cell(tmp_path: Path) -> None:
    given = payload(tmp_path)
    record = run(given)
    assert (record["id"], record["cell"], record["command"]) == (ID, given["description"], "genbench run it again")


def test_a_control_is_drawn_with_the_seed_of_its_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, int, int]] = []
    draw = stages.controls.draw

    def noted(name: str, dataset: Any, count: int, generator: torch.Generator) -> torch.Tensor:
        drawn.append((name, count, generator.initial_seed()))
        return draw(name, dataset, count, generator)

    monkeypatch.setattr(stages.controls, "draw", noted)
    run(payload(tmp_path))
    assert drawn == [("noise", 100, seeding.derive(SEED, "control", "noise"))]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Note each call of a cell's training, in order; return the list."""
    calls: list[tuple[str, tuple[Any, ...]]] = []

    class Noted(stages.CellTraining):
        def count_flops(self, *steps: int) -> Flops:
            calls.append(("count_flops", steps))
            return super().count_flops(*steps)

        def begin(self, steps: int | None) -> Any:
            calls.append(("begin", (steps,)))
            return super().begin(steps)

    monkeypatch.setattr(stages, "CellTraining", Noted)
    return calls


def test_one_step_is_counted_before_a_training_and_all_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counting(monkeypatch)
    run(payload(tmp_path, TINY, steps=3))
    assert calls == [("count_flops", (1,)), ("begin", (3,)), ("count_flops", (3,))]


def test_peak_memory_is_that_of_training_and_measuring_and_not_of_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each count builds another model."""
    calls = counting(monkeypatch)
    for name in ("reset_peak_memory", "peak_memory"):
        plain = getattr(stages.cost, name)
        monkeypatch.setattr(
            stages.cost, name, lambda device, name=name, plain=plain: calls.append((name, ())) or plain(device)
        )
    run(payload(tmp_path, TINY, steps=3))
    order = [name for name, _ in calls]
    assert order == ["count_flops", "begin", "reset_peak_memory", "peak_memory", "count_flops"]


def test_a_training_without_a_step_counts_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counting(monkeypatch)
    given = payload(tmp_path, TINY, steps=3)
    given["cell"]["settings"]["stop_at_target"] = ["fd<1e9"]
    run(given)
    assert calls[-1] == ("count_flops", (1,))


def test_a_budget_of_flops_counts_all_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counting(monkeypatch)
    given = payload(tmp_path, TINY)
    given["cell"]["settings"]["budget"] = {"amount": 1e6, "unit": "flop"}
    run(given)
    assert [name for name, _ in calls] == ["count_flops", "begin"]
    assert calls[0] == ("count_flops", ())


def test_the_world_is_checked_before_each_measurement_and_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    class Checked(stages._CellRun):
        def check_world(self, plugin: Any, before: dict[str, Any], seeded: str | None = None) -> None:
            told.append((str(plugin), seeded))

        def check_leftovers(self, plugin: Any) -> None:
            told.append((str(plugin), "leftovers"))

    with world.kept():
        Checked(payload(tmp_path, TINY, steps=2, evaluations=2), lambda event: None).run()
    plugin = "model 'tiny' (file)"
    # After importing and building; before both points of the curve; after the training, and after what follows it.
    assert told == [*[(plugin, None)] * 2, *[(plugin, "train")] * 4, (plugin, "leftovers")]


def test_what_is_left_running_is_looked_for_with_the_threads_of_before_and_those_of_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(stages.Others, "left", lambda *given: asked.append(given) or ["a thread"])
    given = stages._CellRun(payload(tmp_path), lambda event: None)
    given.settings = replace(given.settings, compile=True)
    given.others = stages.Others.now()
    with pytest.raises(PluginError, match=r"^a plugin: left a thread running; "):
        given.check_leftovers("a plugin")  # type: ignore[arg-type]
    assert asked == [(given.others, True)]


def test_a_training_knows_the_ranks_and_is_not_observed_unless_asked(tmp_path: Path) -> None:
    described = payload(tmp_path)
    del described["observed"]
    given = stages._CellRun(described, lambda event: None, FakeRanks())  # type: ignore[arg-type]
    given.dataset = "the dataset"  # type: ignore[assignment]
    training = given.training_of("the plugin")  # type: ignore[arg-type]
    assert training.ranks is given.ranks
    assert training.observed is False


@pytest.mark.parametrize(("share", "told"), [(None, False), (0.0, False), (0.0999, False), (0.1, True), (0.49, True)])
def test_the_share_that_training_threads_waited_is_a_cost_and_told_from_a_tenth_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float | None, told: bool
) -> None:
    told_before: list[list[str]] = []
    events: list[dict[str, Any]] = []

    def contention() -> SimpleNamespace:
        told_before.append([event["stage"] for event in events if event["event"] == "stage"])
        return SimpleNamespace(share=lambda: share)

    monkeypatch.setattr(stages, "Contention", contention)
    with world.kept():
        stages._CellRun(payload(tmp_path, TINY), events.append).run()
    record = json.loads(record_path(tmp_path, ID).read_text())
    assert record["cost"]["waited_share"] == share
    assert [names[-1] for names in told_before] == ["building"]  # of the training alone
    notices = [event["text"] for event in events if event["event"] == "notice"]
    assert notices == ([notices[0]] if told else [])
    if told:
        assert notices[0].startswith(f"its threads spent {share:.0%} of the training waiting for a processor")


def test_costs_are_those_of_training_and_of_the_fit_before_it(tmp_path: Path) -> None:
    given = stages._CellRun(payload(tmp_path), lambda event: None)
    given.watch = SimpleNamespace(seconds={})  # type: ignore[assignment]
    training, model = SimpleNamespace(replayed=lambda *_: True), SimpleNamespace(parameter_count=lambda: 9)
    windows = [(32, 1.0), (32, 2.0), (32, 2.0)]
    progress = Progress(3, 6.0, windows=windows, before_s=1.0)
    evaluation = SimpleNamespace(windows=[(100, 1.0), (100, 4.0)], before_sampling_s=0.5, seconds=8.0)
    flops = Flops(StepFlops((640,), 1), sample=7, before=5)
    costs = given.costs(training, model, progress, evaluation, flops)  # type: ignore[arg-type]
    assert (costs["train_items_per_s"]["median"], costs["sample_items_per_s"]["median"]) == (16.0, 25.0)
    expected = {"steps": 3, "items": 96, "parameters": 9, "replayed": True, "train_flops_per_item": 20.0}
    expected |= {"train_s": 6.0, "before_training_s": 1.0, "before_training_flops": 5, "before_sampling_s": 0.5}
    expected |= {"evaluation_s": 8.0, "sample_flops_per_item": 7}
    assert expected.items() <= costs.items()


def test_a_model_does_not_answer_for_the_threads_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset may be read by a library that keeps threads: its model is not the one that left them running."""
    load, stop = stages.preflight.load_dataset, threading.Event()
    reader = threading.Thread(target=stop.wait, name="reader")
    monkeypatch.setattr(stages.preflight, "load_dataset", lambda *given: reader.start() or load(*given))
    try:
        record = run(payload(tmp_path, TINY))
    finally:
        stop.set()
        reader.join()
    assert record["status"] == "finished"
