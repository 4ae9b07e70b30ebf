"""A report is left as it is if nothing has changed, and otherwise made again from the records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genbench import report
from genbench.cli.report import report as command
from genbench.config.target import Target
from genbench.records import rendered
from genbench.records.record import RecordError, record_path, write_record

Record = dict[str, Any]


@pytest.fixture
def renderings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the reports that are made."""
    made: list[int] = []
    render = report.render
    monkeypatch.setattr(report, "render", lambda *arguments: made.append(1) or render(*arguments))
    return made


@pytest.fixture
def folder(tmp_path: Path, make: Callable[..., Record], grids: Callable[..., None], renderings: list[int]) -> Path:
    records = [make("noise", seed, samples=10) for seed in range(2)]
    for record in records:
        write_record(tmp_path, record)
    grids(tmp_path, records)
    report.render_directory(tmp_path)
    return tmp_path


def written(directory: Path) -> dict[str, bytes]:
    paths = [*directory.glob("*.md"), *directory.glob("*.csv"), *directory.glob("figures/*")]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def first_record(directory: Path) -> Path:
    return min((directory / "records").glob("*.json"))


def said(directory: Path) -> list[str]:
    lines: list[str] = []
    report.render_directory(directory, say=lines.append)
    return lines


def test_nothing_is_made_twice_and_the_bytes_are_those_without_a_note(folder: Path, renderings: list[int]) -> None:
    before, times = written(folder), {path: path.stat().st_mtime_ns for path in folder.glob("*.csv")}
    assert said(folder) == []
    assert len(renderings) == 1
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.csv")} == times
    (folder / rendered.NOTE).unlink()
    assert said(folder) == []
    assert len(renderings) == 2
    assert written(folder) == before
    assert {"report.md", "results.csv", "curves.csv", "figures/digits-samples.png"} <= before.keys()


def edit_unseen(directory: Path) -> None:
    """Write a different number of the same length with a valid checksum, and restore the file's times."""
    path = first_record(directory)
    before, data = path.stat(), json.loads(path.read_text())
    number = data["numbers"]["fd"]
    number["value"] = float(repr(number["value"]).translate(str.maketrans("123456789", "234567891")))
    write_record(directory, data)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def add(directory: Path) -> None:
    data = json.loads(first_record(directory).read_text())
    write_record(directory, data | {"id": "00000000000000aa", "cell": data["cell"] | {"seed": 9}})


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited, same size and time": edit_unseen,
    "added": add,
    "removed": lambda directory: first_record(directory).unlink(),
    "a picture gone": lambda directory: (directory / "samples/digits-reference.png").unlink(),
    "a picture edited": lambda directory: (directory / "samples/noise-digits-seed0.png").write_bytes(b"none"),
    "a plan": lambda directory: _plan(directory),
    "a page gone": lambda directory: (directory / "report.md").unlink(),
    "a table edited": lambda directory: (directory / "results.csv").write_text("id\n"),
    "a figure cut off": lambda directory: os.truncate(directory / "figures/digits-samples.png", 100),
}


def _plan(directory: Path) -> None:
    (directory / "plans").mkdir()
    cell = {"id": "0" * 16, "dataset": "digits", "label": "gan", "role": "model", "seed": 0, "budget": "5steps"}
    (directory / "plans" / "a.json").write_text(json.dumps({"schema": 2, "cells": [cell]}))


@pytest.mark.parametrize("name", CHANGES)
def test_a_report_is_made_again_where_anything_changed(folder: Path, renderings: list[int], name: str) -> None:
    CHANGES[name](folder)
    assert said(folder) == []
    assert len(renderings) == 2
    after = written(folder)
    (folder / rendered.NOTE).unlink()
    report.render_directory(folder)
    assert written(folder) == after
    assert len(renderings) == 3


def test_another_version_of_the_program_makes_it_again(
    folder: Path, renderings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered, "_program", lambda: "another")
    assert said(folder) == []
    assert len(renderings) == 2
    report.render_directory(folder)
    assert len(renderings) == 2


BROKEN: dict[str, Callable[[str], str]] = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no object": lambda text: "[]",
    "another version": lambda text: text.replace('"genbench_report": 1', '"genbench_report": 2'),
    "edited": lambda text: text.replace('"report.md": "', '"report.md": "0'),
    "no checksum": lambda text: text.replace('"sha256"', '"sha"'),
    "nested": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_note_that_cannot_be_used_is_made_again_and_said_once(folder: Path, renderings: list[int], name: str) -> None:
    before, note = written(folder), folder / rendered.NOTE
    changed = BROKEN[name](note.read_text())
    assert changed != note.read_text()
    note.write_text(changed)
    (line,) = said(folder)
    assert str(note) in line
    assert "\n" not in line
    assert len(renderings) == 2
    assert said(folder) == []
    assert len(renderings) == 2
    assert written(folder) == before


@pytest.mark.parametrize("name", [rendered.NOTE, "report.md"])
def test_a_pipe_in_place_of_a_note_or_an_output_is_replaced(folder: Path, renderings: list[int], name: str) -> None:
    before = written(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)  # opening it would block
    assert said(folder) == []
    assert len(renderings) == 2
    assert written(folder) == before


def test_the_line_about_a_note_goes_to_the_errors_of_the_command(folder: Path) -> None:
    (folder / rendered.NOTE).write_text("{}")
    for lines in (1, 0):
        done = CliRunner().invoke(command, [str(folder)])
        assert done.exit_code == 0
        assert done.stdout == f"{folder / 'report.md'}\n"
        assert len(done.stderr.splitlines()) == lines


def test_an_edited_record_is_refused_although_its_report_was_noted(folder: Path) -> None:
    path = first_record(folder)
    path.write_text(path.read_text().replace('"samples": 10', '"samples": 11'))
    with pytest.raises(RecordError, match="was edited"):
        report.render_directory(folder)


def test_a_record_that_arrives_while_a_report_is_made_is_in_the_next(
    folder: Path, renderings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    render = report.render

    def meanwhile(*arguments: Any) -> Path:
        if len(renderings) == 1:
            add(folder)
        return render(*arguments)

    first_record(folder).unlink()
    monkeypatch.setattr(report, "render", meanwhile)
    report.render_directory(folder)
    assert record_path(folder, "00000000000000aa").exists()
    assert "00000000000000aa" not in (folder / "results.csv").read_text()
    report.render_directory(folder)
    assert "00000000000000aa" in (folder / "results.csv").read_text()
    assert len(renderings) == 3


def test_what_another_report_wrote_meanwhile_is_not_taken_for_ones_own(
    folder: Path, renderings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    note = rendered.note

    def overtaken(made: rendered.Made) -> None:
        (folder / "curves.csv").write_text("of other records\n")
        note(made)

    (folder / rendered.NOTE).unlink()
    monkeypatch.setattr(rendered, "note", overtaken)
    report.render_directory(folder)
    assert len(renderings) == 2
    monkeypatch.setattr(rendered, "note", note)
    report.render_directory(folder)
    assert len(renderings) == 3
    assert (folder / "curves.csv").read_text() != "of other records\n"


def test_the_command_imports_nothing_that_draws_where_a_report_is_current(folder: Path) -> None:
    code = (
        "import sys; from genbench.cli import cli; cli(['report', sys.argv[1]], standalone_mode=False); "
        "print(*sorted({'matplotlib', 'pandas', 'scipy', 'torch'} & sys.modules.keys()))"
    )

    def drawn_with() -> str:
        done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    assert drawn_with() == ""
    (folder / "report.md").unlink()
    assert drawn_with() == "matplotlib scipy"


def test_another_target_makes_it_anew(tmp_path: Path, make: Callable[..., Record], renderings: list[int]) -> None:
    for seed in range(2):
        write_record(tmp_path, make("gan", seed))
    target = [Target.parse("fd<5")]
    for asked, made, told in ((None, 1, False), (target, 2, True), (target, 2, True), (None, 3, False)):
        report.render_directory(tmp_path, asked)
        assert len(renderings) == made
        assert ("Time to target" in written(tmp_path)["report.md"].decode()) == told
