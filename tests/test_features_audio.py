"""Extractors for clips: `log-mel` against a separate computation, VGGish against its description; the classifier."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from genbench import features
from genbench.datasets import load
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.resampling import resampled, resampled_length
from genbench.errors import InputError
from genbench.features import classifier_network, vggish
from genbench.features.extractor import extract
from genbench.features.vggish import VGGish, examples, windows
from genbench.kinds.audio import Audio
from genbench.kinds.mel import Mel, triangles

CPU = torch.device("cpu")
Array = npt.NDArray[np.float64]


def dataset(clips: Tensor, rate: int = 8_000) -> Dataset:
    split = Split(clips, None, Audio(rate))
    return Dataset("clips", split, split, None, "", fingerprint(split, split))


def noise(count: int, channels: int, length: int) -> Tensor:
    return Audio().random(count, (channels, length), torch.Generator().manual_seed(1)) // 8


def mel(hertz: Array | float) -> Array:
    return 1127 * np.log1p(np.asarray(hertz) / 700)


def triangle_matrix(bins: int, rate: int, bands: int, low: float, high: float) -> Array:
    """Bin by bin, from the definition of a triangle on the mel scale."""
    corners = np.linspace(mel(low), mel(high), bands + 2)
    weights = np.zeros((bands, bins))
    for place in range(bins):
        at = mel(place * rate / 2 / (bins - 1))
        for band in range(bands):
            left, peak, right = corners[band : band + 3]
            weights[band, place] = max(0.0, min((at - left) / (peak - left), (right - at) / (right - peak)))
    return weights


def log_mel_features(clip: Array) -> list[float]:
    """Those of one channel at 8 kHz, in numpy: a Hann window of 512, a hop of 128, 64 bands, a floor of -60 dB."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    padded = np.pad(clip, 256)
    frames = np.stack([padded[start : start + 512] * window for start in range(0, len(padded) - 511, 128)])
    power = np.abs(np.fft.rfft(frames)) ** 2 / (window.sum() / 2) ** 2
    levels = (10 * np.log10(np.maximum(power @ triangle_matrix(257, 8_000, 64, 0, 4_000).T, 1e-6)) + 60) / 20
    moved = np.diff(levels, axis=0)
    return [float(x) for part in (levels.mean(0), levels.std(0), moved.mean(0), moved.std(0)) for x in part]


def test_log_mel_is_the_computation_that_it_states() -> None:
    clips = noise(2, 2, 2000)
    extractor = features.load("auto", dataset=dataset(clips), device=CPU)
    assert (extractor.name, extractor.feature_count) == ("log-mel", 512)
    found = extract(extractor, clips).features
    assert found.shape == (2, 512)
    for row in range(2):
        expected = [x for channel in ((clips[row].double() + 0.5) / 32767.5).numpy() for x in log_mel_features(channel)]
        torch.testing.assert_close(found[row], torch.tensor(expected, dtype=torch.float32), rtol=1e-3, atol=1e-4)
    recipe = extractor.recipe()
    told = {"window": "Hann, 512", "hop": 128, "mels": 64, "floor_db": -60.0, "sample_rate": 8_000}
    assert told.items() <= recipe.items()


def test_a_sine_of_full_scale_is_at_3_and_silence_at_0() -> None:
    time = torch.arange(8000) / 8000
    centre = float(Mel.of(8_000).centres()[30])
    sine = torch.sin(2 * math.pi * round(centre / 15.625) * 15.625 * time)  # at the centre of a bin
    kind = Audio(8_000)
    clips = kind.store(torch.stack([sine, torch.zeros(8000)])[:, None])
    found = extract(features.load("log-mel", dataset=dataset(clips), device=CPU), clips).features
    means = found[:, :64]
    assert int(means[0].argmax()) == 30
    assert 2.8 < float(means[0, 30]) <= 3.1, "0 dB, plus what the Hann window spreads into the same triangle"
    assert float(found[1].abs().max()) == 0


def test_no_band_is_empty_at_any_usual_rate() -> None:
    for rate in (4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000):
        how = Mel.of(rate)
        assert bool((triangles(how.window // 2 + 1, rate, how.bands, 0.0, rate / 2) > 0).any(1).all())
        assert 0.045 < how.window / rate < 0.091


@pytest.mark.parametrize("length", [1, 100, 511, 2000])
def test_a_clip_of_any_length_and_of_any_content_has_finite_features(length: int) -> None:
    constant = torch.full((1, 1, length), 20_000, dtype=torch.int16)
    clips = torch.cat([constant, torch.zeros_like(constant), noise(1, 1, length)])
    extractor = features.load("log-mel", dataset=dataset(clips), device=CPU)
    assert bool(extract(extractor, clips).features.isfinite().all())
    assert extract(extractor, clips[:0]).features.shape == (0, 256)


def test_the_order_of_time_shows_in_the_differences_alone() -> None:
    clips = noise(1, 1, 4096) * torch.linspace(0, 1, 4096)
    both = torch.cat([clips, clips.flip(2)]).to(torch.int16)
    found = extract(features.load("log-mel", dataset=dataset(both), device=CPU), both).features
    assert float((found[0, 128:192] + found[1, 128:192]).abs().max()) < 0.02, "means of differences change sign"
    assert float(found[0, 128:192].min()) > 0


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (torch.zeros(2, 2, 50, dtype=torch.int16), "takes clips of 1 channels x samples, got 2x50"),
        (torch.zeros(2, 1, 50), r"takes (B, C, T) int16 clips, got (2, 1, 50) torch.float32"),
        (torch.zeros(2, 50, dtype=torch.int16), "takes (B, C, T) int16 clips, got (2, 50) torch.int16"),
    ],
)
def test_what_is_no_clip_of_the_dataset_is_refused(clips: Tensor, message: str) -> None:
    extractor = features.load("log-mel", dataset=dataset(noise(2, 1, 50)), device=CPU)
    with pytest.raises(InputError) as error:
        extractor(clips)
    assert str(error.value) == f"extractor 'log-mel': {message}"


def test_an_extractor_of_other_items_is_refused() -> None:
    with pytest.raises(InputError, match=r"^extractor 'ngram': takes texts, but clips holds clips$"):
        features.load("ngram", dataset=dataset(noise(2, 1, 50)), device=CPU)
    with pytest.raises(InputError, match=r"^extractor 'log-mel': takes clips, but shapes\S+ holds images$"):
        features.load("log-mel", dataset=load("shapes:size=16,count=2,held_out=2"), device=CPU)


def test_the_classifier_of_clips_is_trained_once_and_knows_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", 40)
    monkeypatch.setattr(classifier_network, "_MOST_STEPS", 40)
    tones = load("tones:seconds=0.2,rate=4000,count=400,held_out=100")
    extractor = features.load("classifier", dataset=tones, device=CPU, cache=tmp_path)
    assert (extractor.classes, extractor.feature_count) == (8, 64)
    found = extract(extractor, tones.held_out.items)
    assert found.logits is not None
    assert tones.held_out.labels is not None
    assert float((found.logits.argmax(1) == tones.held_out.labels).double().mean()) > 0.5, "chance is 0.125"
    again = features.load("classifier", dataset=tones, device=CPU, cache=tmp_path)
    assert torch.equal(extract(again, tones.held_out.items).features, found.features)
    with pytest.raises(InputError, match="takes clips of 800 samples, got 1x801"):
        extractor(torch.zeros(1, 1, 801, dtype=torch.int16))


def test_a_dataset_without_labels_is_referred_to_log_mel(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no labels of at least two classes; use log-mel"):
        features.load("classifier", dataset=dataset(noise(9, 1, 50)), device=CPU, cache=tmp_path)


# Resampling


def test_a_tone_keeps_its_frequency_and_loudness_and_what_is_too_high_is_gone() -> None:
    time = np.arange(22_050) / 44_100
    for hertz, expected in ((440, 1.0), (3000, 1.0), (6000, 0.0)):
        found = resampled(np.sin(2 * np.pi * hertz * time), 44_100, 8_000)
        assert len(found) == resampled_length(22_050, 44_100, 8_000) == 4_000
        inner = found[200:-200]
        there = np.sin(2 * np.pi * hertz * np.arange(4_000) / 8_000)[200:-200]
        assert np.abs(inner - expected * there).max() < 5e-3


def test_an_equal_rate_changes_nothing() -> None:
    samples = np.arange(5, dtype=np.float32)
    assert resampled(samples, 8_000, 8_000) is samples


# VGGish


def vggish_examples(mono: Array) -> Array:
    """As published, in numpy: whole frames of 400 samples, zero-padded to 512, magnitudes, log(mel + 0.01)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi / 400 * np.arange(400))
    frames = np.stack([mono[start : start + 400] * window for start in range(0, len(mono) - 399, 160)])
    found = np.log(np.abs(np.fft.rfft(frames, 512)) @ triangle_matrix(257, 16_000, 64, 125, 7500).T + 0.01)
    return found[: len(found) // 96 * 96].reshape(-1, 96, 64)


@pytest.mark.parametrize(("length", "count"), [(15_600, 1), (16_000, 1), (30_959, 1), (30_960, 2)])
def test_the_front_end_of_vggish_is_the_published_one(length: int, count: int) -> None:
    mono = 0.1 * torch.randn(1, length, generator=torch.Generator().manual_seed(0))
    expected = vggish_examples(mono[0].double().numpy())
    assert expected.shape == (count, 96, 64)
    assert windows(length) == count
    torch.testing.assert_close(examples(mono)[0].double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-4)


def test_a_clip_shorter_than_a_window_is_padded_with_silence() -> None:
    mono = 0.1 * torch.randn(2, 4_000, generator=torch.Generator().manual_seed(0))
    silent = torch.zeros(2, 11_600)
    assert torch.equal(examples(mono), examples(torch.cat([mono, silent], 1)))
    assert windows(4_000) == 1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network a tenth as wide: 72 million random weights would take seconds."""
    monkeypatch.setattr(vggish, "_WIDTHS", ((4,), (8,), (16, 16), (32, 32)))
    monkeypatch.setattr(vggish, "_INNER", 64)


@pytest.mark.usefixtures("small")
def test_the_network_of_vggish_is_the_published_one() -> None:
    """Layer by layer, from its description; the last layer's maps are flattened by time, frequency and channel."""
    torch.manual_seed(0)
    network = VGGish().eval()
    weights = network.state_dict()
    assert [name for name in weights if name.endswith("weight")] == [
        *(f"features.{layer}.weight" for layer in (0, 3, 6, 8, 11, 13)),
        *(f"embeddings.{layer}.weight" for layer in (0, 2, 4)),
    ]
    given = torch.randn(2, 3, 96, 64)
    rows = []
    for example in given.flatten(0, 1):
        maps = example[None, None]
        for layer, halves in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
            weight, bias = weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"]
            maps = torch.nn.functional.conv2d(maps, weight, bias, padding=1).clamp(min=0)
            if halves:
                maps = maps.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))
        flat = torch.stack([maps[0, channel, t, f] for t in range(6) for f in range(4) for channel in range(32)])
        for layer in (0, 2, 4):
            flat = weights[f"embeddings.{layer}.weight"] @ flat.clamp(min=0) + weights[f"embeddings.{layer}.bias"]
        rows.append(flat)
    expected = torch.stack(rows).view(2, 3, 128).mean(1)
    with torch.no_grad():
        torch.testing.assert_close(network(given)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("small")
def test_vggish_is_read_from_a_file_and_earns_fad_only_where_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vggish.pth"
    torch.save(VGGish().state_dict(), path)
    second = dataset(noise(3, 2, 16_000), 16_000)
    extractor = features.load("vggish", dataset=second, device=CPU, weights=path)
    assert extract(extractor, second.train.items).features.shape == (3, 128)
    assert extractor.earned == {}, "weights from a different source"
    monkeypatch.setattr(vggish, "PUBLISHED_SHA256", vggish.file_sha256(path))
    for length, rate, earned in (
        (16_000, 16_000, {"fd": "fad"}),
        (22_050, 22_050, {"fd": "fad"}),
        (15_599, 16_000, {}),  # padded
        (30_960, 16_000, {}),  # the mean over two windows
    ):
        data = dataset(noise(1, 1, length), rate)
        assert features.load("vggish", dataset=data, device=CPU, weights=path).earned == earned


def test_weights_of_vggish_that_are_not_there_or_do_not_fit_are_one_line(tmp_path: Path) -> None:
    data = dataset(noise(2, 1, 50))
    with pytest.raises(InputError, match=r"^extractor 'vggish': needs a weights file; download https://\S+ and add"):
        features.load("vggish", dataset=data, device=CPU)
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="weights of another architecture") as error:
        features.load("vggish", dataset=data, device=CPU, weights=tmp_path / "other.pth")
    assert "\n" not in str(error.value)
