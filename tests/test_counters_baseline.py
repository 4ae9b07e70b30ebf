"""The hard gate: the counters of each model's step equal those in the committed baseline."""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path

import pytest

from genbench.errors import InputError
from genbench.regression import baseline, checkout
from genbench.regression.baseline import Counts
from genbench.regression.updating import count_installed

ROOT = Path(__file__).parent.parent
FILE = ROOT / baseline.BASELINE


def test_every_counter_of_every_model_is_what_the_baseline_says() -> None:
    stored = baseline.read(FILE)
    models = checkout.models_of(ROOT)
    assert sorted(stored["counts"]) == models, (
        f"models were added or removed; update the baseline with: {baseline.UPDATE}"
    )
    counts, here = count_installed(models, lambda line: None)
    skip, said = baseline.not_compared(stored, here)
    moved = baseline.compare(stored["counts"], counts, skip)
    assert not moved, "\n".join([*map(str, moved), f"if this is intended, update the baseline with: {baseline.UPDATE}"])
    if said:
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # a pass that compared only part must not look like a full one
            warnings.warn(said, stacklevel=1)


@pytest.fixture
def counts() -> Counts:
    return copy.deepcopy(baseline.read(FILE)["counts"])


def test_one_more_operator_call_is_named_with_its_operator(counts: Counts) -> None:
    before = copy.deepcopy(counts)
    step = counts["gan"]["1x8x8"]
    step["operator_calls"] += 1
    called = step["operators"]["aten.randn.default"]
    step["operators"]["aten.randn.default"] += 1
    (moved,) = baseline.compare(before, counts)
    total = step["operator_calls"]
    assert str(moved) == (
        f"gan at 1x8x8: operator_calls {total - 1} → {total} (aten.randn.default {called} → {called + 1})"
    )


def test_bytes_of_python_vary_and_only_more_than_that_counts(counts: Counts) -> None:
    before = copy.deepcopy(counts)
    counts["vae"]["1x8x8"]["python_bytes"] += 1023
    assert baseline.compare(before, counts) == []
    counts["vae"]["1x8x8"]["python_bytes"] += 1
    assert [moved.counter for moved in baseline.compare(before, counts)] == ["python_bytes"]


def test_writing_again_leaves_what_only_varies_as_it_was(counts: Counts) -> None:
    now = copy.deepcopy(counts)
    now["vae"]["1x8x8"]["python_bytes"] += 100
    assert baseline.steady(counts, now) == counts
    now["vae"]["1x8x8"]["python_bytes"] += 1000
    now["gan"]["1x8x8"]["flops"] += 1
    assert baseline.steady(counts, now) == now
    assert baseline.steady({}, now) == now


def test_a_model_of_one_side_only_is_told(counts: Counts) -> None:
    before = copy.deepcopy(counts)
    del counts["ae"]
    moved = baseline.compare(before, counts)
    assert {(one.model, one.now) for one in moved} == {("ae", None)}
    assert "→ none" in str(moved[0])


@pytest.mark.parametrize(
    ("here", "skipped", "said"),
    [
        ({"torch": "2.13.0", "python": "3.11"}, False, ""),
        ({"torch": "9.0", "python": "3.11"}, True, "the baseline is for torch 2.13.0, this is torch 9.0"),
        ({"torch": "2.13.0", "python": "9.0"}, False, "the baseline is for python 3.11, this is python 9.0"),
    ],
)
def test_different_versions_are_reported_and_what_depends_on_them_is_not_compared(
    here: dict[str, str], skipped: bool, said: str
) -> None:
    stored = {"torch": "2.13.0", "python": "3.11"}
    skip, line = baseline.not_compared(stored, here)
    assert line.startswith(said)
    assert bool(line) == bool(said)
    assert ("operator_calls" in skip) == skipped
    assert ("python_calls" in skip) == bool(said)
    assert "flops" not in skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a baseline of counters"),
        ("[]", "is not a baseline of counters"),
        ('{"schema": 9}', "has schema 9, this version reads 1"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "counters.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        baseline.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        baseline.read(tmp_path / "missing.json")
    os.mkfifo(tmp_path / "pipe.json")  # opening it would block
    with pytest.raises(InputError, match="cannot be read: not a regular file"):
        baseline.read(tmp_path / "pipe.json")


def test_writing_gives_what_is_read(tmp_path: Path, counts: Counts) -> None:
    path = tmp_path / "counters.json"
    baseline.write(path, counts, {"torch": "2.13.0", "python": "3.11"})
    assert baseline.read(path)["counts"] == counts
