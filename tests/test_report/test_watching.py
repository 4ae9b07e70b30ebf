"""`genbench report --watch`, and the index of several benchmarks."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genbench import cli
from genbench.errors import InputError
from genbench.execution.cell_lock import CellLock, held_locks
from genbench.machine import atomic
from genbench.records import rendered
from genbench.records.plans import write_plan
from genbench.records.record import RecordError, record_path
from genbench.report import index, watching
from genbench.report.web import Watched

Record = dict[str, Any]
SOURCE = Path(__file__).parents[2] / "tests" / "records"


@pytest.fixture
def stored() -> Record:
    """A record that can be read and verified."""
    return dict(json.loads((SOURCE / "schema-4.json").read_text()))


def keep(directory: Path, record: Record) -> None:
    path = record_path(directory, record["id"])
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE / "schema-4.json", path)


def steps(*actions: Callable[[], object]) -> Iterator[None]:
    """Change the folder by one action each time the watch waits."""
    yield
    for action in actions:
        action()
        yield


def test_it_renders_when_something_has_changed_and_only_then(tmp_path: Path, stored: Record) -> None:
    seen: list[Watched | None] = []
    lock = CellLock(tmp_path, "other")
    cells = [("other", stored["cell"] | {"seed": 77}), (stored["id"], stored["cell"])]
    watching.watch(
        tmp_path,
        seen.append,
        lambda: f"look {len(seen)}",
        steps(
            lambda: write_plan(tmp_path, cells),  # nothing to show yet
            lambda: keep(tmp_path, stored),
            lambda: None,
            lock.acquire,
            lambda: None,
            lock.release,
        ),
    )
    label, dataset = stored["cell"]["label"], stored["cell"]["dataset"]["name"]
    assert seen == [
        Watched("look 0", (), 1),
        Watched("look 1", (f"{label} on {dataset}, seed 77",), 1),
        Watched("look 2", (), 1),
    ]


def test_it_ends_with_the_last_planned_cell_and_the_final_report(tmp_path: Path, stored: Record) -> None:
    seen: list[Watched | None] = []
    lock = CellLock(tmp_path, stored["id"])
    write_plan(tmp_path, [(stored["id"], stored["cell"])])
    looks = steps(lock.acquire, lambda: keep(tmp_path, stored), lock.release, lambda: raised())
    watching.watch(tmp_path, seen.append, lambda: "now", looks)
    label, dataset, seed = (stored["cell"][name] for name in ("label", "dataset", "seed"))
    assert seen == [Watched("now", (f"{label} on {dataset['name']}, seed {seed}",), 0), None]


def test_what_was_complete_is_watched_for_its_next_run(tmp_path: Path, stored: Record) -> None:
    seen: list[Watched | None] = []
    keep(tmp_path, stored)
    lock = CellLock(tmp_path, "next")
    plan = [("next", stored["cell"] | {"seed": 77})]
    watching.watch(
        tmp_path, seen.append, str, steps(lambda: None, lambda: write_plan(tmp_path, plan), lock.acquire, lambda: None)
    )
    assert [each and (each.missing, len(each.running)) for each in seen] == [None, (1, 0), (1, 1)]


def test_a_record_that_moves_while_it_is_read_does_not_end_the_watch(tmp_path: Path, stored: Record) -> None:
    moved = record_path(tmp_path, stored["id"])
    seen: list[Watched | None] = []

    def render(watched: Watched | None) -> None:
        if moved.exists() and not seen:
            moved.unlink()  # as a run with --fresh does
            seen.append(watched)
            raise RecordError("it cannot be read")
        seen.append(watched)

    keep(tmp_path, stored)
    watching.watch(tmp_path, render, str, steps(lambda: None, lambda: keep(tmp_path, stored), lambda: None))
    assert len(seen) == 2
    with pytest.raises(RecordError):  # the folder has not changed, so the record is broken
        watching.watch(tmp_path, lambda watched: raised(RecordError("broken")), str, steps())


def test_a_folder_that_disappears_ends_the_watch(tmp_path: Path, stored: Record) -> None:
    folder = tmp_path / "out"
    keep(folder, stored)
    with pytest.raises(InputError, match="has disappeared"):
        watching.watch(folder, lambda watched: None, str, steps(lambda: shutil.rmtree(folder)))
    with pytest.raises(InputError, match="does not exist"):
        watching.watch(folder, lambda watched: None, str, steps())
    assert not folder.exists()


def test_a_lock_that_nobody_holds_is_no_running_cell(tmp_path: Path) -> None:
    lock = CellLock(tmp_path, "held")
    assert lock.acquire()
    (tmp_path / "locks" / "left-behind").touch()
    assert held_locks(tmp_path) == {"held"}
    lock.release()
    assert held_locks(tmp_path) == set()
    assert held_locks(tmp_path / "nowhere") == set()


def test_the_command_watches_until_an_interrupt(
    tmp_path: Path, stored: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, stored)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    done = CliRunner().invoke(cli.cli, ["report", str(tmp_path), "--watch"], standalone_mode=False)
    assert done.exception is None
    assert done.stdout.endswith("report.md; every planned cell has ended\n")
    assert "Rendered at" not in (tmp_path / "report.md").read_text()  # the report of a complete benchmark stays final
    assert done.stderr.splitlines() == [
        f"genbench: waiting for the next run on {tmp_path}; Ctrl-C ends this",
        f"genbench: no longer watching {tmp_path}",
    ]


def test_a_real_run_is_watched_to_its_end(
    tmp_path: Path, write_plugin: Callable[..., Path], program: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, may_go_on = tmp_path / "out", tmp_path / "go on"
    # A model without curves, to save the time of drawing them.
    waits = f"""import os, time
    while not os.path.exists({str(may_go_on)!r}):
        time.sleep(0.01)
    raise OSError
    noise"""
    model = write_plugin("noise", waits, name="waits")
    folder.mkdir()
    looked: list[dict[str, str]] = []

    def look(seconds: float) -> None:
        pages = {path.name: path.read_text() for path in folder.glob("report.*")}
        looked.extend([pages] if pages and pages not in looked else [])
        if "Running then: waits on digits, seed 0" in pages.get("report.html", ""):
            may_go_on.touch()
        threading.Event().wait(0.02)

    monkeypatch.setattr("time.sleep", look)
    request = ["run", "-m", str(model), "--seeds", "1", "--budget", "2steps", "--control", "real", "--metrics", "fd"]
    with subprocess.Popen([*program, *request, "-q", "--evaluations", "1", "--out", str(folder)]) as running:
        done = CliRunner().invoke(cli.cli, ["report", str(folder), "--watch"], standalone_mode=False)
    assert (running.returncode, done.exception) == (1, None)
    assert done.stderr == f"genbench: {folder} holds no records yet; waiting for the first; Ctrl-C ends this\n"
    assert done.stdout.endswith(f"{folder}/report.md; every planned cell has ended\n")
    assert "1 cell missing, 1 running\n" in done.stdout
    first = looked[0]
    for page in ("report.md", "report.html"):
        assert "Rendered at 20" in first[page]
        assert "Partial report: 1 of 2 planned cells have run." in first[page]
        assert "on digits, seed 0. The command under" in first[page]  # what is missing
    final = {path.name: path.read_text() for path in folder.glob("report.*")}
    assert "Rendered at" not in "".join(final.values())
    assert "Partial report" not in final["report.md"]
    assert "1 of 2 cells failed" in final["report.md"]
    assert rendered.is_current(folder, None, print)  # as the run itself leaves it
    assert list(folder.rglob(f"{atomic.TEMPORARY_PREFIX}*")) == []


def test_several_benchmarks_have_an_index_with_links(tmp_path: Path, stored: Record) -> None:
    for name in ("b*ta", "alpha"):
        keep(tmp_path / name, stored)
    (tmp_path / "broken" / "records").mkdir(parents=True)
    (tmp_path / "broken" / "records" / "x.json").write_text("{")
    (tmp_path / "empty").mkdir()
    folders = index.benchmarks(tmp_path)
    assert [folder.name for folder in folders] == ["alpha", "b*ta", "broken"]
    rendered: list[Path] = []
    page = index.write_index(tmp_path, folders, rendered.append)
    assert rendered == folders
    lines = page.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| [")]
    assert [row.split(" | ")[0] for row in rows] == ["| [alpha](alpha/report.md)", r"| [b\*ta](b%2Ata/report.md)"]
    assert all(f"`{stored['cell']['label']}`" in row for row in rows)
    assert "| broken |" in next(line for line in lines if "cannot be read" in line)
    assert [line for line in lines if line.startswith("## ")] == ["## alpha", r"## b\*ta"]
    written = (tmp_path / "index.html").read_text()
    assert 'href="alpha/report.html"' in written
    assert 'href="b%2Ata/report.html"' in written


def test_a_folder_of_one_benchmark_is_no_index(tmp_path: Path, stored: Record) -> None:
    keep(tmp_path, stored)
    keep(tmp_path / "below", stored)
    assert index.benchmarks(tmp_path) == []
    assert index.benchmarks(tmp_path / "nowhere") == []
    with pytest.raises(InputError, match="holds no records"):
        index.write_index(tmp_path, [tmp_path / "nothing"], lambda folder: raised())


def raised(error: Exception | None = None) -> None:
    raise error or InputError("it holds no records")


def test_a_page_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, stored: Record) -> None:
    keep(tmp_path, stored)
    (tmp_path / "report.html").mkdir()
    done = CliRunner().invoke(cli.cli, ["report", str(tmp_path)], standalone_mode=False)
    assert isinstance(done.exception, OSError)  # `main` reports it with the name of the file
    assert done.exception.filename2 == str(tmp_path / "report.html")
    assert not (tmp_path / "report.md").exists()
    assert list(tmp_path.glob(f"{atomic.TEMPORARY_PREFIX}*")) == []
