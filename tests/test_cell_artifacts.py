"""The clips that a cell keeps beside its pictures: which ones, under which names, and with which samples."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.cell.artifacts import save_artifacts
from genbench.config import Cell, ModelSpec, Settings
from genbench.datasets.dataset import Dataset, Split
from genbench.kinds.audio import Audio
from genbench.records.identity import slug

RATE = 4_000


def clips(count: int, seed: int) -> Tensor:
    return Audio(RATE).random(count, (2, 40), torch.Generator().manual_seed(seed))


def heard(path: Path) -> Tensor:
    """Read a file's samples as (C, T)."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 2, 2)
        stored = torch.frombuffer(bytearray(file.readframes(10_000)), dtype=torch.int16)
    return stored.view(-1, 2).T


@pytest.mark.parametrize("restores", [True, False])
@pytest.mark.parametrize("drawn", [3, 11])
def test_the_first_clips_of_each_set_are_kept_as_they_are(tmp_path: Path, drawn: int, restores: bool) -> None:
    train, held_out, samples, restored = clips(12, 0), clips(5, 1), clips(drawn, 2), clips(5, 3)
    first, second = (Split(items, None, Audio(RATE)) for items in (train, held_out))
    data = Dataset("my.sounds", first, second, None, "", "fedcba9876")
    cell = Cell(ModelSpec("vae"), "my.sounds", 3, Settings())
    paths = save_artifacts(tmp_path, cell, "0123456789", data, samples, restored if restores else None)
    stem = f"samples/{slug('vae-my.sounds-seed3')}-012345"
    reference = f"samples/{slug('my.sounds')}-fedcba-reference"
    kept = {"samples": (stem, samples), "reference": (reference, train)}
    if restores:
        kept["reconstructions"] = f"{stem}-reconstructions", restored
    expected = {what: f"{name}.png" for what, (name, _) in kept.items()}
    for what, (name, items) in kept.items():
        expected |= {f"{what}, {number}": f"{name}-{number}.wav" for number in range(1, min(len(items), 8) + 1)}
    assert paths == expected
    for what, (_, items) in kept.items():
        for number, clip in enumerate(items[:8], 1):
            assert torch.equal(heard(tmp_path / paths[f"{what}, {number}"]), clip)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == {*paths.values()}
