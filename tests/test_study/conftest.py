"""A finished benchmark's folder, made without training, and raters whose answers look like those of a study's page."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genbench.kinds import kind_named
from genbench.records.record import cell_id, without_numbers, write_record
from genbench.records.signed import checksum
from genbench.study.making import Wish, make
from genbench.study.order import form_of, is_swapped, order_of

BEGUN = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
SHAPES = {"image": [1, 4, 3], "text": [8]}


def _write_cell(
    directory: Path, label: str, seed: int, kind: str = "image", count: int = 64, **cell: Any
) -> torch.Tensor:
    """Write the record of a finished cell and its samples; return the samples as stored."""
    described = _described(label, seed, kind, count) | cell
    identity = cell_id(described)
    items = kind_named(kind).random(count, SHAPES[kind], torch.Generator().manual_seed(seed + len(label)))
    name = f"samples/{label}-{seed}{kind_named(kind).suffix}"
    kind_named(kind).show(directory / name, items)
    _write_record(directory, identity, described, {"samples": name})
    return items


def _write_record(directory: Path, identity: str, described: dict[str, Any], artifacts: dict[str, str]) -> None:
    document = without_numbers(identity, described, "genbench run")
    write_record(directory, document | {"status": "finished", "failure": None, "artifacts": artifacts})


def _write_clips(directory: Path, label: str, count: int = 12) -> None:
    """Write the record of a cell with clips of a tenth of a second, one per file."""
    described = _described(label, 0, "image", count) | {
        "dataset": {"name": "sounds", "kind": "audio", "shape": [1, 800], "fingerprint": "cd" * 32}
    }
    artifacts = {"samples": f"samples/{label}.png"}
    (directory / "samples").mkdir(exist_ok=True)
    for number in range(1, count + 1):
        artifacts[f"samples, {number}"] = f"samples/{label}-{number}.wav"
        with wave.open(str(directory / artifacts[f"samples, {number}"]), "wb") as file:
            file.setparams((1, 2, 8000, 800, "NONE", ""))
            file.writeframes((1000 * np.sin(np.arange(800) * number / 9)).astype("<i2").tobytes())
    _write_record(directory, cell_id(described), described, artifacts)


def _described(label: str, seed: int, kind: str, count: int) -> dict[str, Any]:
    return {
        "model": label,
        "label": label,
        "role": "control" if label in ("real", "noise") else "model",
        "seed": seed,
        "budget": "10steps",
        "samples": count,
        "dataset": {"name": "tiny", "kind": kind, "shape": SHAPES[kind], "fingerprint": "ab" * 32},
    }


@pytest.fixture
def write_cell() -> Callable[..., torch.Tensor]:
    return _write_cell


@pytest.fixture
def write_clips() -> Callable[..., None]:
    return _write_clips


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a folder with one cell per label."""

    def made(*labels: str, **given: Any) -> Path:
        directory = tmp_path_factory.mktemp("benchmark")
        for label in labels:
            _write_cell(directory, label, 0, **given)
        return directory

    return made


@pytest.fixture(scope="session")
def benchmark_folder(finished: Callable[..., Path]) -> Path:
    """A folder in which every test may make studies."""
    return finished("real", "noise", "one", "two", "three")


Decide = Callable[[Mapping[str, Any]], str]


class Asked:
    """A study that was written, and the files that its raters send."""

    def __init__(self, directory: Path, wish: Wish) -> None:
        self.directory = directory
        self.made = make(directory, wish)
        self.key = json.loads(self.made.key.read_text())
        self.page = self.made.page.read_text()

    def answers(self, rater: str, decide: Decide, ms: int = 900) -> dict[str, Any]:
        """Return what a rater's page gives; `decide` gets a question of the key, and returns a choice or an item."""
        study, questions = self.key["study"], self.key["questions"]
        form = self.key["forms"][form_of(study, rater, len(self.key["forms"]))]
        given = []
        for question in order_of(study, rater, form):
            choice = decide(questions[question])
            if choice in ("first", "second"):
                swapped = is_swapped(study, rater, form.index(question)) != questions[question]["turned"]
                choice = "left" if (choice == "first") != swapped else "right"
            given.append({"question": question, "choice": choice, "ms": ms})
        end = BEGUN + timedelta(milliseconds=ms * len(given) + 5000)
        return sealed(
            {
                "genbench_answers": 1,
                "study": study,
                "rater": rater,
                "started": BEGUN.isoformat(),
                "finished": end.isoformat(),
                "sessions": 1,
                "answers": given,
                "screen": {"width": 1920, "height": 1080, "pixel_ratio_percent": 100},
            }
        )

    def send(self, name: str, document: object) -> Path:
        """Write a file of answers."""
        path = self.directory / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its checksum."""
    return {**document, "sha256": checksum(document)}


@pytest.fixture(scope="session")
def asked() -> Callable[[Path, Wish], Asked]:
    return Asked


def at_rates(rates: Mapping[str, float], seed: int) -> Decide:
    """Return a rater who calls items real with these probabilities per model, and answers catch trials correctly."""
    generator = np.random.default_rng(seed)

    def decide(question: Mapping[str, Any]) -> str:
        (label,) = question["models"]
        if question["role"] == "catch":
            return "fake" if label == "noise" else "real"
        return "real" if generator.random() < rates[label] else "fake"

    return decide


@pytest.fixture
def rates() -> Callable[[Mapping[str, float], int], Decide]:
    return at_rates


@pytest.fixture
def seal() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return sealed
