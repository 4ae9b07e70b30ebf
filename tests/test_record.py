from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from genbench import atomic, report
from genbench.identity import identity, slug
from genbench.record import SCHEMA, RecordError, read_record, read_records, record_path, write_record


def document(cell_id: str = "0f" * 8, label: str = "vae", seed: int = 0) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "id": cell_id,
        "status": "finished",
        "cell": {"model": "vae", "label": label, "kind": "model", "seed": seed, "dataset": {"name": "digits"}},
        "numbers": {"fd": {"value": 12.5, "recipe": "a1"}},
        "recipes": {"a1": {"metric": "frechet_distance"}},
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
        (lambda text: text[: len(text) // 2], "truncated or no record"),
        (lambda text: "", "truncated or no record"),
        (lambda text: "[]", "truncated or no record"),
        (lambda text: "[" * 100_000, "truncated or no record"),
        (lambda text: text.replace('"vae"', r'"\ud800"'), "truncated or no record"),
        (lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": "two"'), "truncated or no record"),
        (lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": 0'), "truncated or no record"),
        (lambda text: text.replace("12.5", "1.25"), "was edited: its checksum does not fit"),
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
        ({"status": None}, "as it has no status"),
        ({"numbers": []}, "as it has no numbers"),
        ({"curve": "none"}, "as it has no curve"),
        ({"cell": {"model": "vae", "label": "vae", "kind": "model", "seed": "0"}}, "as its cell has no seed"),
        ({"cell": document()["cell"] | {"dataset": {}}}, "as its dataset has no name"),  # type: ignore[operator]
        ({"numbers": {"fd": {"value": "many", "recipe": "a1"}}}, "as its fd is no number with a recipe"),
        ({"recipes": {}}, "as its fd is no number with a recipe"),
    ],
)
def test_a_record_that_another_program_wrote_is_refused(tmp_path: Path, change, message: str) -> None:
    path = record_path(tmp_path, write_record(tmp_path, document() | change).id)  # with the right checksum
    with pytest.raises(RecordError, match=message):
        read_record(path)


def test_records_come_in_one_order_and_temporary_files_are_none(tmp_path: Path) -> None:
    for number, (label, seed) in enumerate([("vae", 1), ("gan", 0), ("vae", 0)]):
        write_record(tmp_path, document(f"{number:016x}", label, seed))
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
def test_records_of_every_schema_so_far_are_read_and_reported(tmp_path: Path, schema: int) -> None:
    """`tests/records` keeps one record of each schema, as that version of genbench wrote it."""
    source = Path(__file__).parent / "records" / f"schema-{schema}.json"
    assert json.loads(source.read_text())["schema"] == schema
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "0.json").write_bytes(source.read_bytes())
    (record,) = read_records(tmp_path)
    assert record.data["schema"] == SCHEMA
    assert record.data["environment"]["jobs"] >= 1
    assert record.numbers["fd"] > 0
    page = report.render_directory(tmp_path).read_text()
    assert record.label in page
