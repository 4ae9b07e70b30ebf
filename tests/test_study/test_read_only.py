"""A folder that the user may not write to: each command says so in one line and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genbench.kinds import listing
from genbench.records.identity import identity
from genbench.records.record import cell_id, without_numbers, write_record
from genbench.study.making import Wish

DRIVER = """
import contextlib, io, json, sys
from genbench.cli import main
found = []
for arguments in json.load(sys.stdin):
    sys.argv = ["genbench", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as end:
            found.append([end.code, out.getvalue(), err.getvalue()])
json.dump(found, sys.stdout)
"""
# Root may write anywhere, so the commands run as nobody, with the right to read everything: the interpreter may be
# in root's home.
AS_NOBODY = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
RECIPE = {"metric": "fd", "samples": 20}
FD = {"real": 0.1, "ngram": 0.9, "noise": 1.0, "one": 0.3, "two": 0.4}


def keep(directory: Path, label: str, dataset: str) -> None:
    """Write the record of a finished cell and its samples, which are texts."""
    cell = {
        "model": label,
        "label": label,
        "role": "model" if label in ("one", "two") else "control",
        "seed": 0,
        "budget": "9steps",
        "samples": 40,
        "dataset": {"name": dataset, "kind": "text", "shape": [8], "fingerprint": identity({"of": dataset}, 64)},
    }
    samples = directory / "samples" / f"{label}-{dataset}.txt"
    listing.save(samples, [f"{label} {number}" for number in range(40)])
    recipe = identity(RECIPE, 8)
    found = {
        "status": "finished",
        "failure": None,
        "numbers": {"fd": {"value": FD[label], "recipe": recipe}},
        "recipes": {recipe: RECIPE},
        "artifacts": {"samples": f"samples/{samples.name}"},
    }
    write_record(directory, without_numbers(cell_id(cell), cell, "genbench run") | found)


@pytest.fixture
def folder(tmp_path: Path, asked: Callable[..., Any], rates: Callable[..., Any]) -> Iterator[Path]:
    directory = tmp_path / "all" / "run"
    (directory / "samples").mkdir(parents=True)
    for dataset in ("here", "there"):
        for label in FD:
            keep(directory, label, dataset)
    study = asked(directory, Wish("real-or-fake", 4, dataset="here"))
    study.send("answers.json", study.answers("somebody", rates(FD, 0)))
    (tmp_path / "home").mkdir()
    locked = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for path in locked:
        path.chmod(0o555)
    yield directory
    for path in locked:
        path.chmod(0o755)


def state(folder: Path) -> dict[Path, Any]:
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def test_each_command_says_in_one_line_who_may_not_write_what(folder: Path) -> None:
    before = AS_NOBODY if os.geteuid() == 0 else ()
    if before:
        try:
            subprocess.run([*before, "ls", str(folder)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("privileges cannot be dropped here")
    home, (study,) = folder.parents[1], folder.glob("studies/*")
    asked_for = ("--questions", "4", "--dataset", "here")
    commands = {
        ("compare", "run", "run", "--out", "run/c.txt"): "run/c.txt",
        ("report", "run"): "run/results.csv",
        ("report", "run", "--watch"): "run/results.csv",
        ("report", "."): "run/results.csv",
        ("study", "new", "run", "--protocol", "preference", *asked_for): "run/studies/preference-",
        ("study", "read", "run", "run/answers.json"): f"{study.relative_to(folder.parent)}/results.json",
        ("run", "-m", "real", "--out", "run"): "output directory run",
        ("aggregate", "run", "--metric", "fd", "--out", "run"): "run/aggregate.csv",
        ("baseline", "run", "--out", "run/b.json"): "run/b.json",
    }
    there = state(home)
    done = subprocess.run(
        [*before, sys.executable, "-P", "-c", DRIVER],
        input=json.dumps(list(commands)),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder.parent,
        env={name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG_", "GENBENCH"))}
        | {"HOME": str(home / "home")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for (command, named), (code, out, err) in zip(commands.items(), json.loads(done.stdout), strict=True):
        lines = [line for line in err.splitlines() if "continuing without a cache" not in line]
        assert (len(lines), out) == (1, ""), (command, lines, out)
        assert code in (1, 2)
        assert lines[0].startswith(f"genbench: {named}"), lines  # not the temporary file beside it
        assert "Permission denied" in lines[0] or "not writable" in lines[0]
        assert "another" in lines[0]  # what to do
    assert state(home) == there
