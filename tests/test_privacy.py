"""What is committed or published names no home folder, and so no user."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genbench.config import Cell, ModelSpec, Settings
from genbench.execution.local import Outcome
from genbench.execution.planning import _description, _identify
from genbench.execution.runner import _failed
from genbench.machine.privacy import without_home, without_paths
from genbench.plugin.source_hash import Coverage
from genbench.records.record import record_path, write_record

DATA: dict[str, Any] = {
    "dataset": {"name": "digits", "fingerprint": "f"},
    "extractor": {},
    "metrics": {},
    "samples": 9,
    "device": "cpu",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home" / "alice"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    return home


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("{home}", "~"),
        ("{home}/x.py", "~/x.py"),
        ("folder:{home}/faces", "folder:~/faces"),
        ('File "{home}/a b/x.py", line 3', 'File "~/a b/x.py", line 3'),
        ("--data-root={home}", "--data-root=~"),
        ("file://{home}/x", "file://~/x"),
        ("{home}: denied; {home}/b", "~: denied; ~/b"),
        ("{home}s/x", "{home}s/x"),  # another user's
        ("{home}-old/x", "{home}-old/x"),
        ("/mnt{home}/x", "/mnt{home}/x"),  # another machine's
        ("none", "none"),
    ],
)
def test_the_home_folder_becomes_a_tilde_and_nothing_else_does(home: Path, text: str, short: str) -> None:
    assert without_home(text.format(home=home)) == short.format(home=home)


def test_a_home_behind_a_link_is_known_by_both_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    assert without_home(f"{tmp_path}/link/a {tmp_path}/real/b") == "~/a ~/b"


def test_the_folders_of_a_benchmark_become_relative(home: Path, tmp_path: Path) -> None:
    texts = [f"{home}/work/a.py", f"{home}/work", f"{home}/other", f"{tmp_path}/out/logs/1", 3, None]
    assert without_paths({"a": texts}, tmp_path / "out") == {"a": ["a.py", ".", "~/other", "logs/1", 3, None]}


def test_a_home_below_the_working_directory_is_still_a_tilde(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    assert without_paths(f"{home}/x", home / "out") == "~/x"
    monkeypatch.chdir("/")
    assert without_paths(f"{home}/x /etc/y", home / "out") == "~/x /etc/y"


def test_no_part_of_a_failed_record_holds_the_home_folder(home: Path, tmp_path: Path) -> None:
    spec = ModelSpec(str(home / "nets" / "m.py"), {"weights": f"{home}/w.pt", "width": 3})
    cell = Cell(spec, f"folder:{home}/faces", 0, Settings())
    description = _description(cell, DATA, None, "")
    place = SimpleNamespace(planned=SimpleNamespace(id="0f" * 8, description=description), started_at="")
    torch = Path(sysconfig.get_paths()["purelib"]) / "torch" / "x.py"
    lines = [f"{home}/venv/lib/python3/site-packages/torch/x.py", f"{home}/work/m.py", str(torch)]
    trace = "\n".join(f'  File "{path}", line 1' for path in lines)
    outcome = Outcome(None, "building", "failure", f"cannot open {home}/w.pt", trace, f"{tmp_path}/out/x {home}")
    write_record(tmp_path / "out", _failed(place, outcome, f"genbench run -m {home}/work/m.py -m {tmp_path}/out/n.py"))  # type: ignore[arg-type]
    text = record_path(tmp_path / "out", "0f" * 8).read_text()
    assert "alice" not in text
    record = json.loads(text)
    assert record["command"] == f"genbench run -m m.py -m {tmp_path}/out/n.py"
    assert record["failure"]["reason"] == "cannot open ~/w.pt"
    assert record["failure"]["log_tail"] == "x ~"
    shown = ["~/venv/lib/python3/site-packages/torch/x.py", "m.py", "torch/x.py"]
    assert record["failure"]["traceback"] == "\n".join(f'  File "{path}", line 1' for path in shown)
    assert record["cell"]["options"] == {"weights": "~/w.pt", "width": 3}
    assert record["cell"]["label"] == "m:weights=~/w.pt,width=3"


def test_an_identity_is_made_of_what_its_record_says_and_a_label_is_no_part_of_it(home: Path) -> None:
    def cell(**options: Any) -> Cell:
        return Cell(ModelSpec.of("vae", options), "digits", 0, Settings())

    def key(cell: Cell) -> str:
        return _identify(cell, DATA, None, "").id

    assert key(cell(weights=f"{home}/w.pt")) == key(cell(weights="~/w.pt"))
    assert key(cell(beta=4, label="strong")) == key(cell(beta=4))
    assert key(cell(beta=4)) != key(cell(beta=5))
    assert _description(cell(beta=4, label="strong"), DATA, None, "")["label"] == "strong"


def test_a_file_that_a_cell_also_read_is_named_without_its_user_and_found_again(home: Path) -> None:
    (home / "table.json").write_text("1")
    covered = Coverage(home / "work", {})
    name = covered.shown(home / "table.json")
    assert name == "~/table.json"
    assert covered.still_holds({name: "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"})
