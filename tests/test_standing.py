"""An interrupted benchmark says how many of its cells are done, and leaves no empty folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.config import CONTROLS, Benchmark, Cell, ModelSpec, Settings
from genbench.errors import InputError
from genbench.execution import benchmark
from genbench.execution.benchmark import run_benchmark
from genbench.execution.cell_lock import CellLock
from genbench.execution.planning import Planned
from genbench.execution.standing import standing
from genbench.machine import atomic
from genbench.progress import Silence
from genbench.records.plans import missing_cells
from genbench.records.record import record_path

IDS = ["0" * 16, "1" * 16, "2" * 16]
CONTROL = Benchmark((), controls=tuple(CONTROLS))


def finish(directory: Path, *ids: str) -> None:
    for cell_id in ids:
        record_path(directory, cell_id).parent.mkdir(parents=True, exist_ok=True)
        record_path(directory, cell_id).write_text("{}")


def described(cell_id: str) -> dict[str, Any]:
    return {
        "label": "real",
        "role": "control",
        "dataset": {"name": "digits"},
        "seed": int(cell_id[0]),
        "budget": "1steps",
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[[], Any]], BaseException | None]:
    """Return a function that runs a benchmark of three cells with a given body, and returns what it raised."""

    def benchmark_that(does: Callable[[], Any], ids: list[str] = IDS) -> BaseException | None:
        cells = [
            Planned(Cell(ModelSpec("real"), "digits", 0, Settings()), cell_id, described(cell_id)) for cell_id in ids
        ]

        def plan(*_: object) -> list[Planned]:
            if not ids:
                does()
            return cells

        monkeypatch.setattr(benchmark, "executor_for", lambda *_: contextlib.nullcontext())
        monkeypatch.setattr(benchmark, "plan", plan)
        monkeypatch.setattr(
            benchmark,
            "Runner",
            lambda *_: type("Runner", (), {"run": staticmethod(does), "end": dict, "let_go": dict}),
        )
        try:
            run_benchmark(CONTROL, tmp_path / "reports" / "out", Silence(), "genbench run")
        except BaseException as error:
            return error
        return None

    return benchmark_that


def interrupted() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_tells_how_many_cells_are_done_and_how_to_see_them(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "reports" / "out"

    def some() -> None:
        finish(out, *IDS[:2])
        interrupted()

    error = run(some)
    assert isinstance(error, KeyboardInterrupt)
    assert error.__notes__ == [
        f"2 of 3 cells are done (`genbench report {out}` shows them); repeat the command to resume"
    ]
    assert [cell["id"] for cell in missing_cells(out, [])] == IDS


def test_an_interrupt_while_the_request_is_checked_leaves_nothing(run: Any, tmp_path: Path) -> None:
    error = run(interrupted, [])
    assert error.__notes__ == ["repeat the command to resume"]
    assert list(tmp_path.iterdir()) == []


def test_a_request_at_fault_leaves_no_folder_and_takes_none_that_was_there(run: Any, tmp_path: Path) -> None:
    def refuse() -> None:
        raise InputError("mnist is not there")

    (tmp_path / "reports").mkdir()
    assert isinstance(run(refuse, []), InputError)
    assert [path.name for path in tmp_path.rglob("*")] == ["reports"]


class Interrupted(contextlib.nullcontext[Any]):
    """An executor whose first cell is interrupted."""

    def __enter__(self) -> Interrupted:
        return self

    def free(self) -> int:
        return 1

    def start_cell(self, *_: object, **__: object) -> Any:
        return type("Running", (), {"number": 0})

    def ask_to_end(self, grace_s: float, asked: object) -> None:
        pass

    def wait(self, *_: object) -> None:
        interrupted()


def test_a_cell_that_was_broken_off_can_be_run_again_by_the_same_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    description = {**described(IDS[0]), "plugin": None}
    cell = Planned(Cell(ModelSpec("real"), "digits", 0, Settings()), IDS[0], description)
    monkeypatch.setattr(benchmark, "executor_for", lambda *_: Interrupted())
    monkeypatch.setattr(benchmark, "plan", lambda *_: [cell])
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(CONTROL, tmp_path, Silence(), "genbench run")
    assert not (tmp_path / "locks").exists()
    assert CellLock(tmp_path, IDS[0]).acquire()


def test_a_benchmark_that_ends_misses_nothing(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "reports" / "out"
    assert run(lambda: finish(out, *IDS)) is None
    assert missing_cells(out, [{"id": cell_id, "cell": described(cell_id)} for cell_id in IDS]) == []


def test_nothing_is_shown_where_nothing_is_done(tmp_path: Path) -> None:
    assert standing(tmp_path, IDS) == "0 of 3 cells are done"


def test_what_an_ended_cell_was_writing_is_gone_when_the_run_ends(run: Any, tmp_path: Path) -> None:
    half = tmp_path / "reports" / "out" / "checkpoints" / f"{atomic.TEMPORARY_PREFIX}half.pt"

    def ended_while_writing() -> None:
        half.parent.mkdir()
        half.write_bytes(b"half of a checkpoint")

    assert run(ended_while_writing) is None
    assert not half.exists()
