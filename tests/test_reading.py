"""Two processes read the records of a large folder, and only the time differs."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.records import reading
from genbench.records.curve import StoredCurve
from genbench.records.files import contents_of, each_record, record_files
from genbench.records.reading import lean_records
from genbench.records.record import RecordError, not_applicable, record_path, write_record
from genbench.records.signed import checksum

COUNT = 7


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven records, of which the second process reads four; the first process reads its own one at a time."""
    curve = [{"step": step, "losses": {"ä": 1e-7 * step}, "numbers": {"fd": float("nan")}} for step in range(3)]
    for seed in range(COUNT):
        cell = {"model": "m", "label": "m", "role": "model", "seed": seed, "dataset": {"name": "größe"}}
        document = not_applicable(f"{seed:016x}", cell, "genbench run", "takes only texts", "now") | {"schema": 2}
        write_record(tmp_path, document | {"curve": curve[: seed % 3]})
    monkeypatch.setattr(reading, "LEAST_RECORDS", COUNT)
    monkeypatch.setattr(reading, "_OWN", 1)
    monkeypatch.setattr(reading, "_OTHERS", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    return tmp_path


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the second process has read, part by part."""
    received: list[bytes] = []
    loads = reading.marshal.loads
    monkeypatch.setattr(reading.marshal, "loads", lambda content: (received.append(content), loads(content))[1])
    return received


def read(directory: Path, reader: Callable[..., Any]) -> tuple[list[str], str]:
    digest = hashlib.sha256()
    records = [getattr(record, "data", record) for record in reader(directory, digest)]
    whole = [dict(record) | {"curve": list(record["curve"])} for record in records]
    return [json.dumps(record) for record in whole], digest.hexdigest()


def test_two_processes_read_what_one_reads(folder: Path, parts: list[bytes]) -> None:
    assert read(folder, lean_records) == read(folder, each_record)
    packed = [content for content in parts if b"0" * 15 in content]
    assert len(packed) == 2
    assert all(isinstance(record["curve"], StoredCurve) for record in lean_records(folder))


@pytest.mark.parametrize("at_fault", [(0,), (1,), (5, 6), (2, 3)])
def test_the_first_record_at_fault_is_named_whoever_reads_it(folder: Path, at_fault: tuple[int, ...]) -> None:
    paths = list(record_files(folder))
    for place in at_fault:
        paths[place].write_text(paths[place].read_text().replace("takes only texts", "takes clips alone"))
    with pytest.raises(RecordError, match=f"{paths[at_fault[0]].name} was edited"):
        list(lean_records(folder))


@pytest.mark.parametrize("second", ["/bin/false", "ends half-way"])
def test_what_the_second_process_does_not_read_the_first_reads(
    folder: Path, second: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if second == "ends half-way":
        script = tmp_path / "cut"
        script.write_text(f'#!/bin/sh\n{sys.executable} "$@" | head -c 1500\n')
        script.chmod(0o700)
        second = str(script)
    expected = read(folder, each_record)
    monkeypatch.setattr(sys, "executable", second)
    assert read(folder, lean_records) == expected


def point(**amounts: object) -> dict[str, Any]:
    return {"step": 1, "losses": {}, "numbers": {}} | amounts


CHANGES: list[tuple[str, Any]] = [
    ("cost", {"train_s": -1.0}),
    ("artifacts", {"samples": "../../victim.png"}),
    ("failure", {"reason": 7}),
    ("curve", [point(step=-1)]),
    ("curve", [point(), point(step=-1)]),
    ("curve", [point(step=-1), point()]),
    ("curve", [point(items=2, elapsed_s=1.0, flops=float("nan"))]),
    ("curve", [point(items=-2, elapsed_s=1.0, flops=1.0)]),
    ("curve", [point(items=2, elapsed_s=1e-101, flops=1.0)]),
    ("curve", [point(items=2, elapsed_s=1.0, flops=1e101)]),
    ("curve", [point(losses={"a": 0.5, "b": "none"})]),
    ("curve", [point(losses={"a": 0.5, "b": True})]),
    ("curve", [point(numbers=0.5)]),
    ("id", "0f"),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=str)
def test_what_is_a_records_own_is_verified_after_others_of_its_kind_were(
    tmp_path: Path, name: str, change: object
) -> None:
    cell = {"model": "m", "label": "m", "role": "model", "dataset": {"name": "d"}}
    usual = {"cost": {"train_s": 1.0}, "artifacts": {"samples": "a.png"}, "failure": {"reason": "none"}}
    curve = [{"step": 1, "losses": {}, "numbers": {}}]
    for seed in range(3):
        document = not_applicable(f"{seed:016x}", cell | {"seed": seed}, "genbench run", "takes only texts", "now")
        write_record(tmp_path, document | usual | {"curve": curve, "schema": 2})
    assert len(list(lean_records(tmp_path))) == 3
    body = json.loads(record_path(tmp_path, f"{2:016x}").read_text()) | {name: change}
    record_path(tmp_path, f"{2:016x}").write_text(json.dumps(body | {"sha256": checksum(body)}))
    with pytest.raises(RecordError) as long:
        list(each_record(tmp_path))
    with pytest.raises(RecordError) as short:
        list(lean_records(tmp_path))
    assert str(short.value) == str(long.value)


def test_a_file_that_is_longer_than_its_size_says_is_read_to_the_end() -> None:
    path = Path("/proc/version")  # its size is given as 0
    assert [content for _, content in contents_of([path], None)] == [path.read_bytes()]


def test_what_is_not_a_regular_file_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some devices never end."""
    os.mkfifo(tmp_path / "pipe.json")

    def refuse(*_: object) -> bytes:
        raise AssertionError("read")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", refuse)
        with pytest.raises(RecordError, match=r"pipe\.json cannot be read"):
            list(contents_of([tmp_path / "pipe.json"], None))
