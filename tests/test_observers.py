"""Observers: each point is reported once and in order, whatever is killed; whatever they do, no record changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import genbench
from genbench import Held, ObservedBenchmark, ObservedCell, ObservedEnd, ObservedPoint, Observer
from genbench.config import ObserverSpec, make_benchmark
from genbench.errors import InputError
from genbench.execution.messages import ForgedError, decode
from genbench.observers import listening, telling
from genbench.observers.opening import build_observer
from genbench.observers.seen import benchmark_seen, cell_seen, end_seen
from genbench.observers.telling import Teller
from genbench.records.files import read_records
from genbench.records.record import Record

HERE = Path(__file__).parent
TINY = HERE / "models" / "tiny.py"
JSON_LINES = HERE / "brought" / "json-lines" / "json_lines_observer.py"
BRIEF: dict[str, Any] = {"seeds": 1, "evaluations": 2, "samples": 50, "metrics": ["frechet_distance"]}
ROWS = [
    {"step": step, "items": 8 * step, "elapsed_s": 0.1 * step, "losses": {"a": 1.0}, "numbers": {}} for step in range(9)
]
NEW = Held()
CELL = ObservedCell("key", "name", "vae", "digits", 0)


class Log(Observer):
    """Keeps what is reported to it; each method first calls `act` with its name."""

    def __init__(self, held: Held = NEW, act: Callable[[str], object] = lambda method: None) -> None:
        self.held, self.act = held, act
        self.told: list[Any] = []

    def begin(self, benchmark: ObservedBenchmark) -> None:
        self.act("begin")

    def begin_cell(self, cell: ObservedCell) -> Held:
        self.act("begin_cell")
        return self.held

    def points(self, cell: ObservedCell, points: Sequence[ObservedPoint]) -> None:
        self.act("points")
        self.told += [point.step for point in points]

    def end_cell(self, cell: ObservedCell, end: ObservedEnd) -> None:
        self.act("end_cell")
        self.told.append(end.status)

    def end(self) -> None:
        self.act("end")
        self.told.append("end")


@pytest.fixture
def seen(tmp_path: Path) -> ObservedBenchmark:
    return ObservedBenchmark("0123456789ab", "b", tmp_path, "genbench run")


def record(status: str = "finished", rows: Sequence[dict[str, Any]] = ROWS) -> Record:
    numbers = {"fd": {"value": 2.0, "recipe": "r", "standard_error": 0.5}, "p": {"value": float("nan"), "recipe": "r"}}
    return Record(
        {
            "id": "00" * 8,
            "status": status,
            "cell": {"label": "vae", "dataset": {"name": "digits"}, "seed": 0},
            "numbers": numbers if status == "finished" else {},
            "recipes": {"r": {"metric": "frechet_distance"}},
            "cost": {"train_s": 1.5, "flops_counted": "all", "rate": {"median": 3}, "replayed": True, "peak": None},
            "curve": list(rows) if status == "finished" else [],
            "artifacts": {"samples": "samples/a.png", "gone": "samples/gone.png"},
            "failure": {"stage": "training", "reason": "why", "traceback": "t"} if status == "failed" else None,
        }
    )


# One observer.


def test_it_is_told_each_point_once_and_in_order_and_the_rest_of_the_curve_with_the_record(
    seen: ObservedBenchmark,
) -> None:
    log = Log()
    teller = Teller("log", log, "id")
    teller.begin(seen)
    teller.begin_cell(CELL)
    teller.points(CELL, ROWS[:3], -1)
    teller.points(CELL, ROWS[:5], -1)  # by a worker that resumed the training
    teller.points(CELL, ROWS[2:4], 1)
    teller.points(CELL, ROWS[7:8], 6)  # earlier points were missed, as when joining a training in progress
    teller.end_cell(CELL, record())
    teller.finish(5, 5)
    assert log.told == [*range(9), "finished", "end"]
    assert teller.warnings() == []
    assert not list((seen.directory / telling.LOCKS).iterdir())


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (Held(), [*range(9), "finished", "end"]),
        (Held(4), [5, 6, 7, 8, "finished", "end"]),
        (Held(8), ["finished", "end"]),
        (Held(4, ended=True), ["end"]),
    ],
)
def test_it_is_told_what_it_does_not_hold(seen: ObservedBenchmark, held: Held, told: list[Any]) -> None:
    log = Log(held)
    teller = Teller("log", log, "id")
    teller.begin(seen)
    teller.begin_cell(CELL)
    teller.points(CELL, ROWS[:6], -1)
    teller.end_cell(CELL, record())
    teller.finish(5, 5)
    assert log.told == told


def test_a_cell_that_fails_keeps_the_points_that_it_had(seen: ObservedBenchmark) -> None:
    log = Log()
    teller = Teller("log", log, "id")
    teller.begin(seen)
    teller.begin_cell(CELL)
    teller.points(CELL, ROWS[:3], -1)
    teller.end_cell(CELL, record("failed"))
    teller.finish(5, 5)
    assert log.told == [0, 1, 2, "failed", "end"]


@pytest.mark.parametrize("method", ["begin", "begin_cell", "points", "end_cell", "end"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(3), KeyboardInterrupt()])
def test_what_it_raises_costs_one_warning(seen: ObservedBenchmark, method: str, error: BaseException) -> None:
    def act(called: str) -> None:
        if called == method:
            raise error

    teller = Teller("log", Log(act=act), "id")
    teller.begin(seen)
    for _ in range(3):
        teller.begin_cell(CELL)
        teller.points(CELL, ROWS, -1)
        teller.end_cell(CELL, record())
    teller.finish(5, 5)
    (warning,) = teller.warnings()
    assert warning.startswith(f"{method} raised {type(error).__name__}")
    assert "No space left" in warning or not isinstance(error, OSError)


@pytest.mark.parametrize("method", ["begin", "begin_cell", "points", "end_cell", "end"])
@pytest.mark.parametrize("raises", [False, True])
def test_it_cannot_move_the_benchmark_to_another_folder(
    seen: ObservedBenchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, raises: bool
) -> None:
    monkeypatch.chdir(tmp_path)

    def act(called: str) -> None:
        if called == method:
            os.chdir("/")
            assert not raises

    teller = Teller("log", Log(act=act), "id")
    teller.begin(seen)
    for _ in range(2):
        teller.begin_cell(CELL)
        teller.points(CELL, ROWS, -1)
        teller.end_cell(CELL, record())
    teller.finish(5, 5)
    assert os.getcwd() == str(tmp_path)
    said = teller.warnings()
    assert len(said) == 1 + raises
    assert said[-1] == "changed the working directory of the process, which was changed back"


def test_what_begin_cell_must_return(seen: ObservedBenchmark) -> None:
    teller = Teller("log", Log(held=None), "id")  # type: ignore[arg-type]  # what is tested
    teller.begin(seen)
    teller.begin_cell(CELL)
    teller.finish(5, 5)
    assert teller.warnings()[0].startswith("begin_cell raised TypeError: returned NoneType, expected a genbench.Held")


def test_one_that_blocks_is_waited_for_a_bounded_time(seen: ObservedBenchmark) -> None:
    released = threading.Event()
    teller = Teller("log", Log(act=lambda method: released.wait(600)), "id")
    begin = time.monotonic()
    teller.begin(seen)
    for _ in range(1200):
        teller.points(CELL, ROWS[:1], -1)
    teller.end_cell(CELL, record())
    assert len(teller._waiting) <= telling.MOST_WAITING + 3
    teller.finish(0.2, 5)
    assert 0.2 <= time.monotonic() - begin < 60  # it would block for ever
    late, stuck = teller.warnings()
    assert late.startswith("is slow")
    assert stuck.startswith("does not finish")
    released.set()


def test_one_that_moves_is_waited_for_longer(seen: ObservedBenchmark) -> None:
    log = Log(act=lambda method: time.sleep(0.05))
    teller = Teller("log", log, "id")
    teller.begin(seen)
    for number in range(5):
        cell = ObservedCell(f"key{number}", "name", "vae", "digits", 0)
        teller.end_cell(cell, record())
    teller.finish(0.5, 60)  # each call takes a tenth of that, and all of them half as long again
    assert log.told == [*range(9), "finished"] * 5 + ["end"]
    assert teller.warnings() == []


def test_a_slow_observer_misses_points_until_the_cell_ends(
    seen: ObservedBenchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "MOST_WAITING", 2)
    free = threading.Event()
    log = Log(act=lambda method: free.wait(10))
    teller = Teller("log", log, "id")
    teller.begin(seen)
    teller.begin_cell(CELL)
    for row in ROWS:
        teller.points(CELL, [row], row["step"] - 1)
    free.set()
    teller.end_cell(CELL, record())
    teller.finish(5, 5)
    assert log.told == [*range(9), "finished", "end"]
    assert [text[:7] for text in teller.warnings()] == ["is slow"]


def test_one_process_at_a_time_tells_it_of_a_cell(seen: ObservedBenchmark) -> None:
    first, second, third = (Teller("log", Log(), "id") for _ in range(3))
    for teller in (first, second):
        teller.begin(seen)
    first.begin_cell(CELL)
    first.points(CELL, ROWS[:2], -1)
    wait_for(lambda: first._observer.told == [0, 1])
    second.end_cell(CELL, record())  # it sees that the cell has ended, but the first is not done with it
    second.finish(5, 5)
    assert second._observer.told == ["end"]
    first.end_cell(CELL, record())
    first.finish(5, 5)
    assert first._observer.told == [*range(9), "finished", "end"]
    third.begin(seen)  # a later benchmark run
    third.end_cell(CELL, record())
    third.finish(5, 5)
    assert third._observer.told == [*range(9), "finished", "end"]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# What an observer sees.


def test_what_it_sees_of_a_benchmark_and_its_cells(tmp_path: Path) -> None:
    asked = make_benchmark({"models": ["vae:beta=4"], "observe": ["tensorboard:dir=runs"], "budget": "10steps"})
    first, again = (benchmark_seen(asked, tmp_path, "genbench run") for _ in range(2))
    assert first == again
    assert (first.name, first.configuration["budget"]) == (tmp_path.name, "10steps")
    json.dumps(first.configuration)
    (tmp_path / ".observed.json").write_text("{")  # damaged: treated as missing
    assert benchmark_seen(asked, tmp_path, "genbench run").id != first.id
    (tmp_path / ".observed.json").unlink()
    os.mkfifo(tmp_path / ".observed.json")  # opening it would block
    assert benchmark_seen(asked, tmp_path, "genbench run").id != first.id
    description = {
        "label": "vae:beta=4",
        "seed": 3,
        "options": {"beta": 4},
        "dataset": {"name": "digits", "shape": [1, 8]},
    }
    cell = cell_seen(first, "ab" * 8, description)
    assert cell.key == f"{first.id}-{'ab' * 8}"
    assert cell.configuration["options.beta"] == 4
    assert cell.configuration["dataset.shape"] == "[1, 8]"
    afresh = tmp_path / "replaced" / "20260101T000000"
    afresh.mkdir(parents=True)
    (afresh / f"{'ab' * 8}.json").touch()
    (afresh / f"{'ab' * 8}.pt").touch()  # of the same attempt
    second = cell_seen(first, "ab" * 8, description)
    assert (second.key, second.name) == (f"{cell.key}-2", f"{cell.name}-2")
    assert len(second.key) <= 64


def test_what_it_sees_of_an_end_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "a.png").touch()
    told = record()
    before = json.dumps(told.data)
    end = end_seen(told, tmp_path)
    assert (end.step, end.numbers["fd"], end.standard_errors) == (8, 2.0, {"fd": 0.5})
    assert end.recipes["fd"] == {"metric": "frechet_distance"}
    assert end.costs == {"train_s": 1.5, "rate.median": 3.0}
    assert end.files == {"samples": tmp_path / "samples" / "a.png"}
    end.recipes["fd"]["metric"] = "mine"  # type: ignore[index]  # what an observer might try
    assert json.dumps(told.data) == before
    assert end_seen(record("failed"), tmp_path).failure == {"stage": "training", "reason": "why", "traceback": "t"}


# What a cell reports.


@pytest.mark.parametrize(
    "point",
    [
        {},
        {**ROWS[0], "more": 1},
        {**ROWS[0], "step": -1},
        {**ROWS[0], "items": 1.5},
        {**ROWS[0], "losses": {"a": "1"}},
        {**ROWS[0], "numbers": [1]},
        {**ROWS[0], "elapsed_s": True},
    ],
)
def test_a_forged_point_is_none(point: dict[str, Any]) -> None:
    event = {"event": "points", "points": [ROWS[0]], "after": -1}
    assert decode(json.dumps(event).encode()) == event
    for forged in ({"points": [ROWS[0], point]}, {"after": -2}, {"after": None}, {"points": {}}):
        with pytest.raises(ForgedError):
            decode(json.dumps({**event, **forged}).encode())


# How observers are requested.


def test_how_it_is_written() -> None:
    spec = ObserverSpec.parse("mlflow:uri=sqlite:///a.db,samples=false,experiment='a b'")
    assert (spec.name, dict(spec.options)) == (
        "mlflow",
        {"uri": "sqlite:///a.db", "samples": False, "experiment": "a b"},
    )
    assert ObserverSpec.parse("./my.py:dir=runs") == ObserverSpec("./my.py", {"dir": "runs"})
    assert ObserverSpec.of({"name": "tensorboard", "dir": "runs"}) == ObserverSpec.parse(" tensorboard:dir=runs")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "observer '' cannot be read; write for example tensorboard:dir=runs"),
        ("dir=runs", "observer 'dir=runs' cannot be read"),
        ("tensorboard:dir=a,dir=b", "observer 'tensorboard:dir=a,dir=b': option 'dir' is given twice"),
        ("tensorboard:dir=a,b", "option 'b' is not of the form name=value"),
    ],
)
def test_what_cannot_be_read(text: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        make_benchmark({"models": ["vae"], "observe": [text]})


def test_what_cannot_be_built(tmp_path: Path) -> None:
    def built(source: str, options: str = "") -> Observer:
        path = tmp_path / f"o{len(list(tmp_path.iterdir()))}.py"
        path.write_text(source)
        return build_observer(ObserverSpec.parse(f"{path}{options}"))

    hook = "import os\nfrom genbench import Observer, hookimpl\n@hookimpl\ndef build_observer(options):\n    "
    with pytest.raises(InputError, match=r"unknown observer 'tensorbord'"):
        build_observer(ObserverSpec("tensorbord"))
    with pytest.raises(InputError, match=r"observer file missing\.py does not exist"):
        build_observer(ObserverSpec("missing.py"))
    with pytest.raises(InputError, match=r"observer 'o0' \(file\): import failed: ModuleNotFoundError"):
        built("import tracker_that_is_missing")
    with pytest.raises(InputError, match="build_observer raised ZeroDivisionError"):
        built(f"{hook}1 / 0")
    with pytest.raises(
        InputError, match="build_observer raised SystemExit: 0"
    ):  # or the command would end as if all were well
        built(f"{hook}raise SystemExit(0)")
    with pytest.raises(InputError, match="import failed: SystemExit: 0"):
        built("raise SystemExit(0)")
    with pytest.raises(InputError, match=r"build_observer returned int, expected a genbench\.Observer"):
        built(f"{hook}return 3")
    with pytest.raises(InputError, match="does not implement build_observer"):
        built("")
    with pytest.raises(InputError, match=r"unknown option 'dri'; did you mean dir\? It takes dir: str = 'lines'"):
        build_observer(ObserverSpec.parse(f"{JSON_LINES}:dri=x"))
    with pytest.raises(InputError, match="--plugins-from does not list `file`"):
        build_observer(ObserverSpec(str(JSON_LINES)), ["genbench-vae"])
    built(f"{hook}os.environ['TRACKER'] = '1'\n    return Observer()")
    assert "TRACKER" not in os.environ
    with pytest.raises(InputError, match="one is named twice"):
        make_benchmark({"models": ["vae"], "observe": ["a:b=1", "a:b=1"]})


# A benchmark with observers.

NASTY = """
import os, sys, time
from genbench import Held, Observer, hookimpl

class Nasty(Observer):
    def __init__(self, does: str = "raise", method: str = "points"):
        self.does, self.method = does, method
    def begin(self, benchmark): return self.act("begin", benchmark)
    def begin_cell(self, cell):
        self.act("begin_cell", cell)
        return Held()
    def points(self, cell, points): self.act("points", points)
    def end_cell(self, cell, end): self.act("end_cell", end)
    def act(self, method, given):
        if method != self.method: return
        if self.does == "raise": raise OSError(28, "No space left on device")
        if self.does == "exit": sys.exit(3)
        if self.does == "block": time.sleep(600)
        if self.does == "flood": print("x" * 10_000, sum(range(1_000_000)))
        if self.does == "write":
            given.numbers.clear(); given.recipes["fd"]["samples"] = 0; given.costs["train_s"] = 0.0

@hookimpl
def build_observer(options):
    return Nasty(**options)
"""


def lasting(record: Record) -> dict[str, Any]:
    """The reproducible part of a record: everything but times and memory."""
    data = dict(record.data)
    for name in ("started_at", "finished_at", "sha256", "cost"):
        data.pop(name)
    data["curve"] = [{name: value for name, value in row.items() if name != "elapsed_s"} for row in data["curve"]]
    return data


@pytest.fixture(scope="module")
def unobserved(warm_servers: None, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("observers") / "out"
    return [lasting(record) for record in run(out)]


def run(out: Path, *observe: str, listener: Any = None, **more: Any) -> list[Record]:
    given: dict[str, Any] = {**BRIEF, "controls": ["real"], "progress": False, **more}
    return genbench.run([str(TINY)], budget="40steps", out=out, observe=observe, listener=listener, **given)


class Listening:
    """A listener that keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def checking(self, what: str, event: Any) -> None:
        if event is not None and event["event"] == "notice" and what.startswith("observer"):
            self.notices.append(f"{what}: {event['text']}")

    def event(self, planned: Any, event: Any) -> None:
        assert event["event"] != "points"

    def all_planned(self, *_: Any) -> None: ...

    def started(self, *_: Any) -> None: ...

    def ended(self, *_: Any) -> None: ...

    def waiting(self, count: int) -> None: ...


def test_no_observer_changes_a_record_and_each_costs_one_warning(
    unobserved: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "PATIENCE_S", 0.3)
    nasty = tmp_path / "nasty.py"
    nasty.write_text(NASTY)
    wrongs = [
        *(f"does=raise,method={method}" for method in ("begin", "begin_cell", "points", "end_cell")),
        *("does=exit,method=points", "does=block,method=points"),
    ]
    harmless = ["does=flood,method=points", "does=write,method=end_cell"]
    read_only = tmp_path / "read-only"
    read_only.write_text("no folder can be made here")
    listener = Listening()
    observe = [
        *(f"{nasty}:{each}" for each in (*wrongs, *harmless)),
        f"{JSON_LINES}:dir={read_only}",
        f"{JSON_LINES}:dir={tmp_path}/l",
    ]
    records = run(tmp_path / "out", *observe, listener=listener)
    assert [lasting(record) for record in records] == unobserved
    said = {text.partition(": ")[0]: text.partition(": ")[2] for text in listener.notices}
    assert len(said) == len(listener.notices) == len(wrongs) + 1, listener.notices
    assert "NotADirectoryError" in said[f"observer {JSON_LINES}:dir={read_only}"]
    assert "does not finish" in said[f"observer {nasty}:does=block,method=points"]
    assert "No space left on device" in said[f"observer {nasty}:does=raise,method=points"]
    told = lines_of(tmp_path / "l")
    assert sorted(len(lines) for lines in told.values()) == [2, 43]  # `real` has no curve; the model's begins at step 0
    steps = {name: [line["step"] for line in lines if "step" in line] for name, lines in told.items()}
    assert [*range(41)] in steps.values()
    curves = {record.label: [row["step"] for row in record.data["curve"]] for record in records}
    assert curves["tiny"] == [*range(41)]


def lines_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        path.name: [json.loads(line) for line in path.read_text().splitlines()] for path in folder.glob("*/*.jsonl")
    }


def test_a_finished_benchmark_that_is_run_again_tells_what_is_lacking_and_nothing_twice(
    warm_servers: None, tmp_path: Path
) -> None:
    out, observe = tmp_path / "out", f"{JSON_LINES}:dir={tmp_path}/l"
    run(out)  # nobody observes
    assert not list(tmp_path.glob("l/*"))
    run(out, observe)
    told = lines_of(tmp_path / "l")
    assert sorted(len(lines) for lines in told.values()) == [2, 43]
    run(out, observe)
    assert lines_of(tmp_path / "l") == told
    run(out, observe, fresh=True, controls=[])  # a new training is a new run
    again = lines_of(tmp_path / "l")
    assert {name: again[name] for name in told} == told
    assert [len(lines) for name, lines in again.items() if name not in told] == [43]


def test_a_cell_that_fails_shows_its_curve_and_why_and_goes_on_in_the_same_run(
    warm_servers: None, tmp_path: Path
) -> None:
    model, flag = tmp_path / "fails.py", tmp_path / "flag"
    there = (
        f"__import__('os').path.exists({str(flag)[::-1]!r}[::-1])"  # a file named in its source would count as source
    )
    step = f"    if step == 20 and not {there}: raise RuntimeError('bad luck')\n"
    source = TINY.read_text()
    begin = source.index("def train_step(")
    body = source.index("\n", begin) + 1
    model.write_text(
        source[:body].replace("def train_step(model, batch)", "def train_step(model, batch, step)")
        + step
        + source[body:]
    )
    observe = f"{JSON_LINES}:dir={tmp_path}/l"
    brief = {**BRIEF, "controls": [], "progress": False}
    (failed,) = genbench.run([str(model)], budget="40steps", out=tmp_path / "out", observe=observe, **brief)
    assert failed.failed
    ((name, lines),) = lines_of(tmp_path / "l").items()
    steps = [line["step"] for line in lines if "step" in line]
    assert steps == [*range(steps[-1] + 1)]
    assert steps[-1] >= 18
    assert lines[-1]["end"] == "failed"
    assert "bad luck" in lines[-1]["failure"]["reason"]
    flag.touch()
    (record,) = genbench.run([str(model)], budget="40steps", out=tmp_path / "out", observe=observe, **brief)
    assert record.finished
    ((again, lines),) = lines_of(tmp_path / "l").items()
    assert again == name
    assert [line["step"] for line in lines if "step" in line] == [*range(41)]
    assert [line["end"] for line in lines if "end" in line] == ["failed", "finished"]


# A run that is killed.

SLOW = ("    loss.backward()\n", "    loss.backward()\n    __import__('time').sleep(0.03)\n")


@pytest.fixture(scope="module")
def killed(
    program: list[str], warm_servers: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Record]]:
    """A run that was killed midway and then completed: its folder and its records."""
    folder = tmp_path_factory.mktemp("killed")
    model = folder / "slow.py"
    model.write_text(TINY.read_text().replace(*SLOW))
    observe = f"{JSON_LINES}:dir={folder}/l"
    arguments = ["-m", str(model), "--out", str(folder / "out"), "--budget", "100steps", "--checkpoint-interval", "0.1"]
    arguments += ["--seeds", "1", "--evaluations", "4", "--samples", "50", "--metrics", "frechet_distance"]
    arguments += ["--no-controls", "--observe", observe]
    process = subprocess.Popen([*program, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: last_step(folder / "l") >= 10, 120)
    process.kill()  # SIGKILL; its server and the cell end with it
    process.communicate()
    brief = {**BRIEF, "evaluations": 4, "controls": [], "progress": False}
    assert not list((folder / "out" / "records").glob("*.json")), "the run ended before it was killed"
    genbench.run([str(model)], budget="100steps", out=folder / "out", observe=observe, **brief)
    return folder, read_records(folder / "out")


def last_step(folder: Path) -> int:
    return max((line.get("step", 0) for lines in lines_of(folder).values() for line in lines), default=0)


def test_a_run_that_is_killed_shows_the_curve_of_the_record_once(killed: tuple[Path, list[Record]]) -> None:
    folder, (record,) = killed
    ((_, lines),) = lines_of(folder / "l").items()
    shown = [{name: value for name, value in line.items() if name != "step"} for line in lines if "step" in line]
    steps = [line["step"] for line in lines if "step" in line]
    assert steps == [row["step"] for row in record.data["curve"]]
    assert shown == [{**row["losses"], **row["numbers"]} for row in record.data["curve"]]
    assert [line["end"] for line in lines if "end" in line] == ["finished"]


# The documentation.


def test_the_page_names_every_method() -> None:
    page = (HERE.parent / "docs" / "write-an-observer.md").read_text()
    methods = set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE))
    assert methods == {name for name in vars(Observer) if not name.startswith("_")}
