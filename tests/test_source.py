"""A model's identity covers every file that its code comes from; the worker finds those that reading it cannot."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import sqlite3
import sys
import tokenize
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genbench.cell.events import Events
from genbench.cell.source import SourceWatch
from genbench.config import ModelSpec, Settings
from genbench.errors import PluginError
from genbench.execution.planning import Planned
from genbench.execution.runner import _still_holds
from genbench.plugin import finding, loading
from genbench.plugin.finding import Found
from genbench.plugin.source_hash import Coverage, coverage, installed
from genbench.plugin.source_hash.witness import Witness
from genbench.records.record import Record

Write = Callable[..., Path]
PLUGIN: Any = "model 'model' (file)"  # as messages name it


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `model.py` and other modules, `folder_IN_name` to a folder; return the path of `model.py`."""

    def files(model: str = "", **texts: str) -> Path:
        for name, text in {"model": model, **texts}.items():
            path = tmp_path / f"{name.replace('_IN_', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "model.py"

    return files


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Put a folder on `sys.path`; its modules are unloaded at the end."""
    before, modules = list(sys.path), set(sys.modules)
    caches = (installed._installed_folders, installed._local_distributions)

    def put(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        sys.path.insert(0, str(folder))
        for cache in caches:
            cache.cache_clear()
        return folder

    yield put
    sys.path[:] = before
    for cache in caches:
        cache.cache_clear()
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def find(path: Path) -> Found:
    return finding.find(ModelSpec(str(path)))


def changed_by(model: Path, edited: Path, text: str = "changed = 1\n") -> bool:
    """Return whether the model's hash changes when the text of a file changes."""
    before = find(model).provenance().source_sha256
    edited.write_text(text)
    return find(model).provenance().source_sha256 != before


@pytest.mark.parametrize(
    ("model", "edited"),
    [
        ("import helper", "helper"),
        ("from helper import width", "helper"),
        ("if True:\n    def f():\n        import helper", "helper"),
        ("import importlib\nhelper = importlib.import_module('helper')", "helper"),
        ("import between", "helper"),  # it imports `helper`
        ("import nets.blocks", "nets/blocks"),
        ("from nets import anything", "nets/deep/layers"),  # every file of a package counts
        ("import loose.part", "loose/part"),  # a folder without __init__.py
        ("import loose.relative", "loose/part"),
        ("from loose import relative", "loose/part"),
    ],
)
def test_an_edited_neighbour_makes_another_cell(write: Write, tmp_path: Path, model: str, edited: str) -> None:
    path = write(
        model=model,
        helper="width = 1",
        between="import helper",
        unused="",
        nets_IN___init__="",
        nets_IN_blocks="",
        nets_IN_deep_IN_layers="",
        loose_IN_part="",
        loose_IN_other="",
        loose_IN_relative="from .part import *",
    )
    assert not changed_by(path, tmp_path / "unused.py")
    assert "loose" in edited or not changed_by(path, tmp_path / "loose" / "other.py")
    assert changed_by(path, tmp_path / f"{edited}.py")


@pytest.mark.parametrize(
    ("model", "edited"),
    [
        ('open(Path(__file__).with_name("table.json"))', "table.json"),
        ('torch.load(HERE / "weights" / "a.pt")', "weights/a.pt"),
        ('torch.load(HERE / "weights" / name)', "weights/b.pt"),
        ('torch.load(os.path.join(HERE, "weights", name))', "weights/b.pt"),
        ('HERE.glob("*.json")', "other.json"),
        ('HERE.rglob("*.pt")', "weights/a.pt"),
    ],
)
def test_an_edited_data_file_makes_another_cell(tmp_path: Path, model: str, edited: str) -> None:
    path = tmp_path / "model.py"
    path.write_text(model)
    (tmp_path / "weights").mkdir()
    for name in ("table.json", "other.json", "weights/a.pt", "weights/b.pt", "unnamed.txt"):
        (tmp_path / name).write_text("")
    assert not changed_by(path, tmp_path / "unnamed.txt")
    assert ("name" in model or "*" in model) or not changed_by(path, tmp_path / "weights" / "b.pt")
    assert changed_by(path, tmp_path / edited)


@pytest.mark.parametrize(
    ("model", "edited"),
    [
        ('load_file(HERE / f"weights-{size}.safetensors")', "weights-1.safetensors"),
        ('load_file(f"{HERE}/weights-{size}.safetensors")', "weights-1.safetensors"),
        ('load_file(str(HERE) + "/weights-1.safetensors")', "weights-1.safetensors"),
        ('load_file(HERE / (name + ".safetensors"))', "weights-1.safetensors"),
        ('load_file(os.path.join(HERE, "deep", name + ".pt"))', "deep/a.pt"),
        ('load_file(HERE / "deep" / f"{name}.pt")', "deep/a.pt"),
        ('load_file("weights-%02d.safetensors" % size)', "weights-1.safetensors"),
        ('load_file("weights-{}.safetensors".format(size))', "weights-1.safetensors"),
        ('load_file(Path(__file__).with_suffix(".safetensors"))', "model.safetensors"),
        ('sum([1 + load_file(f"weights-{size}.safetensors")])', "weights-1.safetensors"),
        ('import_module("hel" + "per")', "helper.py"),
        ('import_module(f"helper_{name}")', "helper_b.py"),
        ('import_module(f"nets.{name}")', "nets/b.py"),
    ],
)
def test_a_file_whose_name_is_computed_makes_another_cell(tmp_path: Path, model: str, edited: str) -> None:
    """A library that opens files itself, as safetensors does in Rust, is not heard by the witness."""
    path = tmp_path / "model.py"
    said = """print(f"{name} is {loss:.3f} of {total}.")"""
    path.write_text(f"from importlib import import_module\n{model}\n{said}")
    for folder in ("deep", "nets"):
        (tmp_path / folder).mkdir()
    names = ("deep/a.pt", "nets/__init__.py", "nets/b.py", "helper.py", "helper_b.py", "unnamed.txt", "of", "other.pt")
    for name in (*names, "weights-1.safetensors", "model.safetensors"):
        (tmp_path / name).write_text("")
    assert changed_by(path, tmp_path / edited)
    assert not any(changed_by(path, tmp_path / name) for name in ("unnamed.txt", "of", "other.pt"))


def test_a_long_sum_of_texts_is_read(tmp_path: Path) -> None:
    """As generated code has it."""
    path = tmp_path / "model.py"
    path.write_text("text = " + " + ".join(["'a'"] * 5000))
    assert coverage(path).files.keys() == {"model.py"}


def test_a_file_that_an_option_names_makes_another_cell(write: Write, tmp_path: Path) -> None:
    found, weights = find(write(model="")), tmp_path / "w.pt"
    weights.write_text("1")

    def digest() -> str:
        return found.provenance(found.coverage({"weights": str(weights), "width": 3})).source_sha256

    before = digest()
    weights.write_text("2")
    assert digest() != before


@pytest.mark.parametrize("value", ["folder", "folder/w.pt"])
def test_a_folder_that_an_option_names_counts_and_one_of_all_work_does_not(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = find(write(folder_IN_other=""))
    (tmp_path / "folder" / "w.pt").write_text("")
    covered = found.coverage({"a": value, "b": ".", "c": "/", "d": "~", "e": "~nobody/x", "f": "x" * 5000, "g": "a\0b"})
    assert covered is not None
    expected = {"folder": {"+folder/other.py", "+folder/w.pt"}, "folder/w.pt": {"+folder/w.pt"}}
    assert set(covered.files) == {"model.py", *expected[value]}


def test_of_a_package_every_file_counts_but_caches_and_hidden_ones(write: Write, tmp_path: Path) -> None:
    names = ["__init__.py", "weights.pt", "deep/table.json"]
    left_out = [
        ".git/head",
        "__pycache__/a",
        "a.pyc",
        "deep/.hidden",
        "x.egg-info/PKG-INFO",
        "py.typed",
        "cache/CACHEDIR.TAG",
        "cache/a",
    ]
    for name in [*names, *left_out]:
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_text("")
    (tmp_path / "pack" / "loop").symlink_to(tmp_path / "pack")
    assert sorted(coverage(tmp_path / "pack").files) == sorted(names)


def test_where_a_file_lies_does_not_matter(write: Write, tmp_path: Path) -> None:
    write(a_IN_model="import helper", a_IN_helper="x = 1", b_IN_model="import helper", b_IN_helper="x = 1")
    one, other = tmp_path / "a" / "model.py", tmp_path / "b" / "model.py"
    assert find(one).provenance() == find(other).provenance()
    assert changed_by(other, tmp_path / "b" / "helper.py")
    assert find(one).provenance() != find(other).provenance()


def distribution(site: Path, name: str, module: str, requires: str = "", source: Path | None = None) -> None:
    """Write the metadata of an installed distribution; with `source`, it is an editable install from there."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    folder.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
    folder.joinpath("top_level.txt").write_text(f"{module}\n")
    if source:
        url = {"url": source.as_uri(), "dir_info": {"editable": True}}
        folder.joinpath("direct_url.json").write_text(json.dumps(url))


def test_an_installed_version_stands_for_its_code_and_an_editable_install_does_not(
    write: Write, path: Callable[..., Path], tmp_path: Path
) -> None:
    site, source = path("site"), path("source")
    (site / "fixed.py").write_text("")
    (site / "copied.py").write_text("")
    (source / "local.py").write_text("")
    distribution(site, "fixed", "fixed")
    distribution(site, "copied", "copied", source=tmp_path)  # `pip install ./copied`: a copy, of the same version
    distribution(site, "local", "local", source=source)
    model = write(model="import fixed, local, copied, torch, json")
    assert not changed_by(model, site / "fixed.py")
    assert changed_by(model, source / "local.py")
    assert changed_by(model, site / "copied.py")
    assert set(find(model).coverage().files) == {"model.py", "+local.py", "+copied.py"}  # type: ignore[union-attr]


def test_what_a_local_distribution_requires_counts_though_no_text_shows_its_import(
    path: Callable[..., Path], tmp_path: Path
) -> None:
    site, source = path("site"), path("source")
    for name in ("plugin_module", "second_module", "needed_module"):
        (source / f"{name}.py").write_text("")
    distribution(site, "plugin", "plugin_module\nsecond_module", "Requires-Dist: needed\n", source)
    distribution(site, "needed", "needed_module", "Requires-Dist: torch\nRequires-Dist: genbench\n", source)
    found = Found("m", "plugin", "1.0", "plugin_module")
    covered = found.coverage()
    assert covered is not None
    assert set(covered.files) == {"plugin_module.py", "+second_module.py", "+needed_module.py"}


def test_a_commit_and_an_archive_stand_for_a_required_version(path: Callable[..., Path]) -> None:
    site = path("site")
    distribution(site, "adapter", "adapter", "Requires-Dist: wrapped\n")
    distribution(site, "wrapped", "wrapped")
    url = {"url": "https://example.org/w.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    (site / "wrapped-1.0.dist-info" / "direct_url.json").write_text(json.dumps(url))
    assert installed.wrapped_versions("adapter") == ["wrapped==1.0@c0ffee"]


def test_no_part_of_a_model_is_imported_or_has_to_be_python(write: Write) -> None:
    model = write(model="import helper\nraise SystemExit", helper="raise SystemExit", broken="")
    assert set(coverage(model).files) == {"model.py", "+helper.py"}
    assert set(coverage(write(model="not python at all")).files) == {"model.py"}


HELPER = """
import helper
WIDTH = helper.width
def later():
    import late
    return late.x
"""


def test_each_model_file_imports_its_own_neighbour(
    tiny: Path, path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path("elsewhere")  # so that changes to `sys.path` are undone
    monkeypatch.chdir(tmp_path)
    loaded = []
    for folder, width in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text(f"width = {width}\n")
        (tmp_path / folder / "late.py").write_text(f"x = {width}\n")
        (tmp_path / folder / "model.py").write_text(tiny.read_text() + HELPER)
        loaded.append(loading.load(find(tmp_path / folder / "model.py")).implementation)
        assert loaded[-1].later() == width  # type: ignore[attr-defined]
    assert [module.WIDTH for module in loaded] == [1, 2]  # type: ignore[attr-defined]


def watch(
    model: Path,
    notices: list[str],
    checkpoint: Path | None = None,
    settings: Settings | None = None,
    known: bool = True,
) -> SourceWatch:
    covered = find(model).coverage()
    assert covered is not None
    payload = {
        "directory": str(model.parent / "out"),
        "covered": json.loads(json.dumps(covered.to_json())) if known else None,
        "description": {"plugin": {"version": "1"}},
    }
    events = Events(lambda event: notices.append(event["text"]))
    return SourceWatch(payload, settings or Settings(), checkpoint or model.parent / "none.pt", events)


def test_a_file_that_is_edited_while_a_run_waits_fails_the_cell(write: Write, tmp_path: Path) -> None:
    notices: list[str] = []
    source = watch(write(model="import helper, other", helper="x = 1", other=""), notices)
    (tmp_path / "helper.py").read_text()
    (tmp_path / "other.py").write_text("never read")
    source.after_first_step(PLUGIN)
    (tmp_path / "helper.py").write_text("x = 1")  # a new modification time, the same content
    source.after_first_step(PLUGIN)
    (tmp_path / "helper.py").write_text("x = 22")  # a different size: two writes may have the same time
    with pytest.raises(
        PluginError, match=r"helper\.py changed after this run began.*run the same command again"
    ) as error:
        source.after_first_step(PLUGIN)
    assert str(error.value).startswith(f"{PLUGIN}: ")
    assert notices == []


def test_a_module_that_is_imported_late_and_was_edited_fails_the_cell(
    write: Write, tmp_path: Path, path: Callable[..., Path]
) -> None:
    path(".")
    model = write(model="def f():\n    import edited_late", edited_late="x = 1")
    source = watch(model, [])
    source.after_first_step(PLUGIN)
    (tmp_path / "edited_late.py").write_text("x = 22")
    source.at_the_end(PLUGIN)  # it was not imported: the old code is still running
    importlib.import_module("edited_late")
    with pytest.raises(PluginError, match=r"edited_late\.py changed") as error:
        source.at_the_end(PLUGIN)
    assert str(error.value).startswith(f"{PLUGIN}: ")


def test_data_and_what_belongs_to_no_model_are_not_noted(write: Write, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    model = write(model="", data_IN_images="1", table="2")
    for root, known, noted in (
        ("data", True, ["table.py"]),
        (None, True, ["data/images.py", "table.py"]),
        (None, False, []),
    ):
        notices: list[str] = []
        settings = Settings(data_root=root and str(tmp_path / root))
        source = watch(model, notices, settings=settings, known=known)  # there is no checkpoint to remove
        for name in ("data/images.py", "table.py"):
            (tmp_path / name).read_text()
        source.after_first_step(PLUGIN)
        assert list(source.described()["plugin"].get("also_read", ())) == noted
        assert len(notices) == bool(noted)


def test_what_reading_cannot_see_is_noted_and_runs_the_cell_again_where_it_changed(
    write: Write, tmp_path: Path, path: Callable[..., Path]
) -> None:
    path(".")
    model = write(model="", hidden_module="x = 1", out_IN_own="")
    (tmp_path / "table.json").write_text("1")
    checkpoint, notices = tmp_path / "c.pt", list[str]()
    checkpoint.write_text("")
    source = watch(model, notices, checkpoint)
    importlib.import_module("hidden_" + "module")
    for name in ("table.json", "model.py", "out/own.py"):
        (tmp_path / name).read_text()
    (tmp_path / "written.txt").write_text("")
    source.after_first_step(PLUGIN)
    (tmp_path / "written.txt").read_text()  # by the harness, after the first step
    source.at_the_end(PLUGIN)
    also_read = source.described()["plugin"]["also_read"]
    assert set(also_read) == {"hidden_module.py", "table.json"}
    assert len(notices) == 1
    assert "reads hidden_module.py, table.json" in notices[0]
    assert not checkpoint.exists()  # it may come from different content

    record = Record({"cell": source.described()})
    covered = find(model).coverage()
    planned = Planned(None, "", {}, covered)  # type: ignore[arg-type]
    assert _still_holds(planned, record)
    (tmp_path / "table.json").write_text("2")
    assert not _still_holds(planned, record)
    (tmp_path / "table.json").unlink()
    assert not _still_holds(planned, record)


def load(file: Path) -> None:
    with pytest.raises(OSError, match=r"too short|invalid"):
        ctypes.CDLL(str(file))


def executed(file: Path) -> object:
    """Execute a file as a module that `sys.modules` does not get."""
    spec = importlib.util.spec_from_file_location("executed_alone", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imported_from_archive(file: Path) -> None:
    sys.path.insert(0, str(file))
    importlib.import_module("hidden_in_archive")


OPENINGS: dict[str, Callable[[Path], object]] = {
    "numpy": np.loadtxt,  # took `open` when it was imported
    "os": lambda file: os.close(os.open(file, os.O_RDONLY)),
    "bytes": lambda file: os.close(os.open(os.fsencode(file), os.O_RDONLY)),
    "tokenize": lambda file: tokenize.open(file).close(),
    "mapped for writing": lambda file: np.memmap(file),  # its default
    "library": load,
    "database": lambda file: sqlite3.connect(file).close(),
    "executed": executed,
    "executed twice": lambda file: (executed(file), executed(file)),  # from its compiled file
    "archive": imported_from_archive,
}


@pytest.mark.parametrize("by", OPENINGS)
def test_a_file_is_noted_whoever_opens_it(
    by: str, write: Write, tmp_path: Path, path: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path("elsewhere")
    model = write(model="")
    table = tmp_path / "table.py"
    table.write_text("1")
    if by == "archive":
        with zipfile.ZipFile(table, "w") as archive:
            archive.writestr("hidden_in_archive.py", "")
    if by == "executed twice":
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        executed(table)
    source = watch(model, [])
    OPENINGS[by](table)
    source.after_first_step(PLUGIN)
    assert set(source.described()["plugin"]["also_read"]) == {"table.py"}


def test_a_file_that_is_only_written_or_opened_after_the_first_step_is_not_noted(write: Write, tmp_path: Path) -> None:
    source = watch(write(model="", table="1"), [])
    for name, flags in (("new", os.O_RDWR | os.O_CREAT), ("new", os.O_WRONLY), ("table.py", os.O_RDWR | os.O_TRUNC)):
        os.close(os.open(tmp_path / name, flags))
    source.after_first_step(PLUGIN)
    OPENINGS["os"](tmp_path / "table.py")
    source.at_the_end(PLUGIN)
    assert "also_read" not in source.described()["plugin"]


def test_a_process_hears_of_opened_files_once_however_many_cells_it_runs(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(write(model=""), []).after_first_step(PLUGIN)
    monkeypatch.setattr(sys, "addaudithook", lambda hook: pytest.fail("a second hook"))
    watch(write(model=""), []).after_first_step(PLUGIN)


def test_what_a_version_stands_for_is_never_noted(write: Write, path: Callable[..., Path]) -> None:
    site = path("site")
    distribution(site, "fixed", "fixed_module")
    (site / "fixed_module.py").write_text("")
    witness = Witness(Coverage(site.parent, {}))
    importlib.import_module("fixed_module")
    importlib.import_module("wave")  # Python's own
    importlib.import_module("genbench.scaffold.texts")
    (site / "fixed_module.py").read_text()
    witness.settle()
    assert witness.uncovered() == {}


def test_what_torchs_compiler_writes_is_not_noted_wherever_its_cache_is(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels are modules named after their hash; a cache beside the model is among its files."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    source = watch(write(model="", table="1"), [])
    torch.compile(lambda numbers: (numbers * 2).sin())(torch.randn(3))
    written = [Path(module.__file__ or "") for module in list(sys.modules.values()) if hasattr(module, "__file__")]
    kernels = [path for path in written if path.is_relative_to(tmp_path / "cache")]
    assert kernels
    kernels[0].read_bytes()
    (tmp_path / "table.py").read_text()
    source.after_first_step(PLUGIN)
    assert set(source.described()["plugin"]["also_read"]) == {"table.py"}


def test_the_requirements_of_genbench_are_read_once_however_many_modules_a_model_imports(
    write: Write, path: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = path("site")
    names = [f"many_modules_{number}" for number in range(20)]
    for name in names:
        (site / f"{name}.py").write_text("")
    witness = Witness(Coverage(site.parent, {}))
    for name in names:
        importlib.import_module(name)
    read: list[str] = []
    monkeypatch.setattr(installed.importlib.metadata, "requires", lambda name: read.append(name) or [])
    witness.settle()
    witness.uncovered()
    assert read == ["genbench"]
