from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from genbench import report
from genbench.cli.compare import compare
from genbench.errors import InputError
from genbench.execution.runner import Runner
from genbench.machine import atomic
from genbench.machine.regular_file import read_regular
from genbench.records.baseline import read_baseline
from genbench.records.files import read_record, read_records
from genbench.records.identity import canonical, identity, slug
from genbench.records.plans import planned_cells
from genbench.records.record import RecordError, cell_id, record_path, write_record
from genbench.records.schemas import SCHEMA

RECIPE = {"metric": "frechet_distance"}
RECIPE_ID = identity(RECIPE, 8)


def document(label: str = "vae", seed: int = 0) -> dict[str, Any]:
    cell = {"model": label, "label": label, "role": "model", "seed": seed, "dataset": {"name": "digits"}}
    return {
        "schema": SCHEMA,
        "id": cell_id(cell),
        "status": "finished",
        "cell": cell,
        "numbers": {"fd": {"value": 12.5, "recipe": RECIPE_ID}},
        "recipes": {RECIPE_ID: RECIPE},
        "cost": {},
        "curve": [],
        "environment": {},
    }


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_record(tmp_path, document())
    read = read_record(record_path(tmp_path, written.id))
    assert read.data == written.data
    assert (read.label, read.seed, read.dataset, read.numbers, read.finished) == (
        "vae",
        0,
        "digits",
        {"fd": 12.5},
        True,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "truncated or not a record"),
        (lambda text: "", "truncated or not a record"),
        (lambda text: "[]", "truncated or not a record"),
        (lambda text: "[" * 100_000, "truncated or not a record"),
        (lambda text: text.replace('"vae"', r'"\ud800"'), "truncated or not a record"),
        (lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": "two"'), "truncated or not a record"),
        (lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": 0'), "truncated or not a record"),
        (lambda text: text.replace("12.5", "1.25"), "was edited: its checksum does not match"),
        (lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": 99'), "has schema 99, this version reads up to"),
    ],
)
def test_a_record_that_cannot_be_trusted_is_named(tmp_path: Path, change, message: str) -> None:
    path = record_path(tmp_path, write_record(tmp_path, document()).id)
    path.write_text(change(path.read_text()))
    with pytest.raises(RecordError, match=message) as error:
        read_record(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": None}, "'status' is not finished, failed or not applicable"),
        ({"numbers": []}, "'numbers' is not a mapping"),
        ({"curve": "none"}, "'curve' is not a list of points"),
        ({"curve": [{"step": "1"}]}, "'curve' is not a list of points"),
        *(
            ({"curve": [{"step": 0}, {"step": 1} | point]}, "'curve' is not a list of points")
            for point in (
                *({"step": bad} for bad in (True, -1, 1e101, float("nan"))),
                *({"losses": bad} for bad in (None, [], 0, {"a": "1"}, {"a": True}, {"a": {}})),
                {"numbers": {"fd": [1.0]}},
            )
        ),
        (
            {"numbers": {"fd": {"value": 1.0, "recipe": "a", "standard_error": "1"}}},
            "'numbers.fd.standard_error' is not",
        ),
        ({"cell": {"model": "vae", "label": "vae", "role": "model", "seed": "0"}}, "'cell.dataset' is missing"),
        ({"cell": document()["cell"] | {"seed": True}}, "'cell.seed' is not a whole number from 0"),
        ({"cell": document()["cell"] | {"dataset": {}}}, "'cell.dataset.name' is missing"),
        ({"numbers": {"fd": {"value": "many", "recipe": RECIPE_ID}}}, "'numbers.fd.value' is not a number or null"),
        ({"numbers": {"fd": {"value": 10**400, "recipe": RECIPE_ID}}}, "'numbers.fd.value' is not a number or null"),
        ({"recipes": {}}, "'numbers.fd' has a recipe that the record does not contain"),
        ({"cost": {"train_s": -1.0}}, "'cost' is not a mapping to amounts"),
        ({"environment": {"jobs": [1]}}, "'environment' is not a mapping to plain values"),
        ({"artifacts": {"samples": "../../victim.png"}}, "'artifacts' is not a mapping to paths inside its folder"),
        ({"artifacts": {"samples": "a\0b.png"}}, "'artifacts' is not a mapping to paths inside its folder"),
        ({"more": json.loads("[" * 50 + "]" * 50)}, "it is nested deeper than 20 levels"),
        ({"curve": [{"more": json.loads("[" * 50 + "]" * 50)}]}, "it is nested deeper than 20 levels"),
        ({"recipes": {RECIPE_ID: RECIPE | {"samples": 9}}}, "has a recipe under another's id"),
        ({"recipes": {RECIPE_ID: RECIPE, "0" * 8: RECIPE | {"samples": 9}}}, "has a recipe under another's id"),
    ],
)
def test_a_record_that_another_program_wrote_is_refused(tmp_path: Path, change, message: str) -> None:
    path = record_path(tmp_path, write_record(tmp_path, document() | change).id)  # with the right checksum
    with pytest.raises(RecordError, match=message):
        read_record(path)


def forge(path: Path, **change: Any) -> None:
    """Change parts of a record in place, with the right checksum."""
    body = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"} | change
    path.write_text(json.dumps(body | {"sha256": hashlib.sha256(canonical(body)).hexdigest()}))


def test_a_record_copied_under_anothers_name_is_not_taken_for_it(tmp_path: Path) -> None:
    one, other = (record_path(tmp_path, write_record(tmp_path, document(seed=seed)).id) for seed in (0, 1))
    other.write_bytes(one.read_bytes())
    message = f"record {other} is the record of cell {one.stem}, under another cell's name"
    with pytest.raises(RecordError, match=message):
        read_record(other)
    forge(other, id=other.stem)  # its cell is still that of seed 0
    with pytest.raises(RecordError, match=f"describes the cell {one.stem}, not its own"):
        read_record(other)


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"dataset": {"name": "digits", "fingerprint": "ab"}}, {"batch_size": 7}, {"of_later": 1}]
)
def test_whatever_can_change_a_number_is_in_the_identity(tmp_path: Path, change: dict[str, Any]) -> None:
    path = record_path(tmp_path, write_record(tmp_path, document()).id)
    forge(path, cell=document()["cell"] | change)
    with pytest.raises(RecordError, match="describes the cell"):
        read_record(path)


def test_what_cannot_change_a_number_is_not_in_the_identity() -> None:
    plugin = {"distribution": "d", "version": "1", "source_sha256": "ab", "origin": "entry point"}
    data = {"name": "digits", "fingerprint": "ab", "licence": "MIT"}
    cell = document()["cell"] | {"plugin": plugin, "dataset": data, "device": "cuda:0", "summary": "x"}
    same = cell | {"plugin": plugin | {"origin": "file"}, "dataset": data | {"name": "folder:digits"}}
    assert cell_id(cell) == cell_id(same | {"device": "cuda:1", "summary": "y", "label": "z"})
    control = cell | {"role": "control"}
    assert cell_id(control) == cell_id(control | {"budget": "9steps", "batch_size": 7, "evaluations": 3})
    assert cell_id(control) != cell_id(control | {"samples": 7})


@pytest.mark.parametrize("victim", ["../../victim", "/victim", "0F" * 8, "0f" * 7, "0f" * 8 + "\n", "", 7, None])
def test_an_invalid_id_names_no_file(tmp_path: Path, victim: Any) -> None:
    folder = tmp_path / "a" / "b"
    path = record_path(folder, write_record(folder, document()).id)
    forge(path, id=victim)
    with pytest.raises(RecordError, match="'id' is not 16 hexadecimal digits"):
        read_record(path)
    with pytest.raises(ValueError, match="is not the identity of a cell"):
        write_record(folder, document() | {"id": victim})
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == [path.name]


def test_a_record_of_an_older_schema_is_not_taken_for_one_of_a_current_cell(tmp_path: Path) -> None:
    """Its identity cannot be derived, so only its name is verified, and no run mistakes it for a cell's record."""
    planned = document()["id"]
    old = json.loads((Path(__file__).parent / "records" / "schema-2.json").read_text())
    write_record(tmp_path, old | {"id": planned})
    assert read_record(record_path(tmp_path, planned)).id == planned
    with pytest.raises(RecordError, match="belongs to another cell"):
        Runner._recorded(SimpleNamespace(directory=tmp_path), planned)  # type: ignore[arg-type]
    write_record(tmp_path, document())
    assert Runner._recorded(SimpleNamespace(directory=tmp_path), planned).id == planned  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_what_is_no_file_is_no_record(tmp_path: Path, make: Any) -> None:
    (tmp_path / "records").mkdir()
    path = record_path(tmp_path, document()["id"])
    make(path)
    with pytest.raises(RecordError, match="truncated or not a record"):
        read_record(path)


def test_records_come_in_one_order_and_temporary_files_are_none(tmp_path: Path) -> None:
    for label, seed in [("vae", 1), ("gan", 0), ("vae", 0)]:
        write_record(tmp_path, document(label, seed))
    (tmp_path / "records" / f"{atomic.TEMPORARY_PREFIX}x.json").write_text("{")
    assert [(record.label, record.seed) for record in read_records(tmp_path)] == [("gan", 0), ("vae", 0), ("vae", 1)]


def test_identity_depends_on_content_alone() -> None:
    assert identity({"a": 1, "b": [2, None]}) == identity({"b": [2, None], "a": 1})
    assert identity({"a": 1}) != identity({"a": 2})
    assert identity({"a": 1}) != identity({"a": "1"})


@pytest.mark.parametrize("text", ["../../etc/passwd", "a/b", "a b", "vae:beta=4", "", "é", "x" * 300, ".hidden"])
def test_a_slug_is_one_plain_name(text: str) -> None:
    name = slug(text)
    assert name
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not name.startswith(".")
    assert len(name) < 100


def test_different_texts_have_different_slugs() -> None:
    assert slug("vae:beta=4") != slug("vae beta 4")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    atomic.write_text(path, "old")
    with pytest.raises(RuntimeError), atomic.replacing(path) as temporary:  # noqa: PT012  # the write is what fails
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    atomic.write_text(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.json"]


def test_a_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_record_is_plain_json(tmp_path: Path) -> None:
    path = record_path(tmp_path, write_record(tmp_path, document()).id)
    assert json.loads(path.read_text())["numbers"]["fd"]["value"] == 12.5


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_records_of_every_schema_so_far_are_read_reported_and_compared(tmp_path: Path, schema: int) -> None:
    """`tests/records` keeps one record of each schema, as that version of genbench wrote it."""
    source = Path(__file__).parent / "records" / f"schema-{schema}.json"
    assert json.loads(source.read_text())["schema"] == schema
    (tmp_path / "records").mkdir()
    cell = json.loads(source.read_text())["id"]
    (tmp_path / "records" / f"{cell}.json").write_bytes(source.read_bytes())
    (record,) = read_records(tmp_path)
    assert record.data["schema"] == SCHEMA
    assert record.data["environment"]["jobs"] >= 1
    assert record.numbers["fd"] > 0
    if "metrics" in record.data["cell"]:  # stored since schema 2, and with their versions since schema 3
        assert record.data["cell"]["metrics"]["frechet_distance"] == 1
    page = report.render_directory(tmp_path).read_text()
    assert record.label in page
    answer = CliRunner().invoke(compare, [str(tmp_path), str(tmp_path)], catch_exceptions=False)
    if record.data["cell"]["role"] == "model":
        assert answer.exit_code == 0
        assert re.search(rf"^{record.label} +fd .* 0% ", answer.output, re.MULTILINE), answer.output
        assert "train_items_per_s" in answer.output
    else:  # the record of schema 1 is a control's, which is neither compared nor judged
        assert "no number of a model could be compared" in answer.output


def test_a_file_that_claims_more_than_any_record_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "plans").mkdir()
    for path in (tmp_path / "records" / f"{'0' * 16}.json", tmp_path / "plans" / "a.json", tmp_path / "baseline.json"):
        with path.open("wb") as file:
            file.truncate(2**40)  # sparse: it takes no room, and reading it would take all memory
        with pytest.raises(OSError, match="larger than 512 MB"):
            read_regular(path)
    with pytest.raises(RecordError, match="cannot be read"):
        read_records(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        planned_cells(tmp_path)
    with pytest.raises(InputError, match="is not a baseline"):
        read_baseline(tmp_path / "baseline.json")


def test_a_schema_of_many_digits_is_shown_in_part(tmp_path: Path) -> None:
    path = tmp_path / f"{'0' * 16}.json"
    path.write_text(json.dumps({"schema": 10**400, "sha256": ""}))
    with pytest.raises(RecordError, match="has schema 1000") as caught:
        read_record(path)
    assert len(str(caught.value)) < 300 + len(str(path))
