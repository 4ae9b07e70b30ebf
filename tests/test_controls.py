"""Controls: the spectrum of the noise that stands in for clips, and the order in which items are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import datasets
from genbench.config import CONTROLS
from genbench.datasets.dataset import Dataset, Split
from genbench.evaluation import coloured_noise, controls
from genbench.evaluation.coloured_noise import ColouredNoise, fit
from genbench.kinds import image
from genbench.kinds.audio import Audio
from genbench.kinds.kind import Kind


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits")


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize("chunk", [2**22, 40])
def test_noise_is_fitted_to_the_mean_cross_spectrum(length: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7 clips of two channels, also in parts of two clips: the square of each factor."""
    monkeypatch.setattr(coloured_noise, "_CHUNK_SAMPLES", chunk)
    clips = torch.randint(-2000, 2000, (7, 2, length), generator=seeded()).short()
    spectrum = np.fft.rfft(clips.numpy().astype(float))
    expected = np.mean([[np.outer(one[:, f], one[:, f].conj()) for f in range(length // 2 + 1)] for one in spectrum], 0)
    found = fit(clips)
    assert found.length == length
    assert (found.factor @ found.factor.mH).numpy() == pytest.approx(expected, rel=1e-9, abs=1e-3)


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize("chunk", [2**22, 300])
def test_noise_has_the_power_of_its_factor_at_every_frequency(
    length: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at the first and the last, which are real, and in the last part, which is smaller than the others."""
    monkeypatch.setattr(coloured_noise, "_CHUNK_SAMPLES", chunk)
    mixing = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.complex128)
    drawn = ColouredNoise(mixing.expand(length // 2 + 1, 2, 2), length).draw(4001, seeded(1))
    assert drawn.shape == (4001, 2, length)
    spectrum = torch.fft.rfft(drawn)
    for part in (spectrum, spectrum[-1000:]):
        found = torch.einsum("ncf,ndf->fcd", part, part.conj()) / len(part)
        error = 5 * (2 / len(part)) ** 0.5
        assert (found - mixing @ mixing.mH).abs().max() < error
        phases = torch.einsum("ncf,ndf->fcd", part, part)[1 : (length + 1) // 2] / len(part)
        assert phases.abs().max() < error  # those between are complex: any phase is as likely


def test_rows_are_drawn_anew_once_all_have_been_drawn() -> None:
    split = Split(torch.zeros(30, 1), None)
    found = controls.rows(split, 70, seeded(2))
    rounds = found[:30], found[30:60]
    assert [sorted(one.tolist()) for one in rounds] == [list(range(30))] * 2
    assert not torch.equal(*rounds)
    assert len(found) == 70
    assert len(found[60:].unique()) == 10


@pytest.mark.parametrize("name", ["real", "copycat"])
def test_each_item_is_drawn_once_before_any_is_drawn_again(digits: Dataset, name: str) -> None:
    items = (digits.held_out if name == "real" else digits.train).items
    drawn = controls.draw(name, digits, len(items), seeded())
    assert sorted(drawn.flatten(1).tolist()) == sorted(items.flatten(1).tolist())


def test_the_ngrams_are_those_of_training_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = datasets.load("grammar:count=200,held_out=100")
    expected = controls.ngram.fit(data.train.items, data.kind.levels).draw(30, data.shape[0], seeded(1))
    assert torch.equal(controls.draw("ngram", data, 30, seeded(1)), expected)
    monkeypatch.setattr(controls, "REFERENCE_LIMIT", 50)
    expected = controls.ngram.fit(data.train.items[:50], data.kind.levels).draw(30, data.shape[0], seeded(1))
    assert torch.equal(controls.draw("ngram", data, 30, seeded(1)), expected)


def halves(first: Tensor, second: Tensor, kind: Kind) -> Dataset:
    return Dataset("two", Split(first, None, kind), Split(second, None, kind), None, "none", "0" * 64)


def test_gaussian_images_have_the_moments_of_the_training_images() -> None:
    mixing = torch.tensor([[12.0, 0, 0, 0], [6, 10, 0, 0], [-5, 3, 8, 0], [0, 0, 9, 9]], dtype=torch.float64)
    drawn = torch.randn(3000, 4, generator=seeded(), dtype=torch.float64) @ mixing.T
    train, held_out = (
        (drawn * scale + level).round().byte().view(-1, 1, 2, 2) for scale, level in ((1.0, 90.0), (0.3, 190.0))
    )
    found = controls.draw("gaussian", halves(train, held_out, image.KIND), 20_000, seeded(1)).flatten(1).double()
    expected = train.flatten(1).double()
    assert found.mean(dim=0).tolist() == pytest.approx(expected.mean(dim=0).tolist(), abs=0.5)  # 5 deviations of a mean
    difference = found.T.cov() - expected.T.cov() - torch.eye(4) / 12  # from rounding to whole levels
    assert difference.abs().max() < 5 * 200 * (2 / 20_000) ** 0.5


def test_gaussian_clips_are_as_loud_as_the_training_clips() -> None:
    noise = torch.randn(200, 1, 64, generator=seeded())
    train, held_out = ((noise * level).round().short() for level in (3000.0, 300.0))
    found = controls.draw("gaussian", halves(train, held_out, Audio(8000)), 500, seeded(1)).double()
    assert float(found.square().mean().sqrt()) == pytest.approx(float(train.double().square().mean().sqrt()), rel=0.05)


@pytest.mark.parametrize("name", sorted(set(CONTROLS) - {"silence"}))
def test_another_seed_gives_another_draw(digits: Dataset, name: str) -> None:
    dataset = datasets.load("grammar:count=200,held_out=100") if name == "ngram" else digits
    one, other = (controls.draw(name, dataset, 20, seeded(seed)) for seed in (0, 1))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("count", [5000, 40])
def test_the_statistics_of_pixels_are_of_all_images(count: int) -> None:
    pixels = torch.randint(256, (count, 50), generator=seeded()).to(torch.uint8)
    found = controls._pixel_statistics(pixels)
    exact: Tensor = pixels.double()
    torch.testing.assert_close(found.mean, exact.mean(dim=0), rtol=1e-9, atol=0)
    torch.testing.assert_close(found.covariance, exact.T.cov(), rtol=1e-6, atol=1e-6)
