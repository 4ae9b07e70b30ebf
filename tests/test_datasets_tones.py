"""`tones`: the clips, against an independent formula, and the modes recovered from them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.datasets import load
from genbench.datasets.tone_modes import ToneModes
from genbench.datasets.tone_parts import ENVELOPES, PITCHES, TIMBRES
from genbench.datasets.tones import generate
from genbench.errors import InputError
from genbench.evaluation import controls
from genbench.seeding import generator

RATE = 8_000


def test_tones() -> None:
    tones = load("tones:count=600,held_out=100,seconds=0.25")
    assert (tones.shape, tones.train.items.dtype) == (torch.Size([1, 2000]), torch.int16)
    assert (tones.data.sample_rate, tones.data.levels, tones.classes, tones.mode_count) == (8_000, 65_536, 8, 64)
    assert (len(tones.train), len(tones.held_out)) == (600, 100)
    assert tones.fingerprint == load("tones:seconds=.25,held_out=100,count=600").fingerprint
    assert tones.nearest_mode is not None
    assert tones.train.labels is not None
    modes = tones.nearest_mode(tones.train.items)
    assert modes.unique().tolist() == list(range(64))
    assert torch.equal(modes // 8, tones.train.labels)


def test_tones_have_the_same_bytes_on_every_machine() -> None:
    known = "84d0beea"
    assert load("tones:seconds=0.2,rate=4000,count=64,held_out=8").fingerprint[:8] == known


def test_a_clip_is_the_sum_of_its_harmonics() -> None:
    """Against math.sin: phase, harmonics, envelope and loudness, to one 16-bit step and float32's last digit."""
    clips, factors = generate(12, 1600, RATE, 3, "train")
    for row in range(12):
        weights = list(TIMBRES.values())[int(factors.timbre[row])]
        hertz, turns, peak = (float(each[row]) for each in (factors.hertz, factors.turns, factors.peak))
        for place in range(0, 1600, 53):
            x = 2 * math.pi * (hertz * place / RATE + turns)
            share = (place + 0.5) / 1600
            onset, ending = min(share / 0.02, 1), min((1 - share) / 0.02, 1)
            pluck = ENVELOPES[int(factors.envelope[row])] == "pluck"
            shape = onset * (1 - share) ** 3 if pluck else ending * share**2
            wave = sum(weight * math.sin((n + 1) * x) for n, weight in enumerate(weights)) / sum(weights)
            assert int(clips[row, 0, place]) == pytest.approx(32767 * peak * shape * wave, abs=0.6)


def test_factors_are_uniform_and_lie_where_they_should() -> None:
    _, factors = generate(4096, 4, RATE, 0, "train")
    counts = torch.bincount(factors.mode, minlength=64)
    assert float((counts - 64).square().sum() / 64) == pytest.approx(63, abs=5 * math.sqrt(126))
    names = torch.tensor(list(PITCHES.values()), dtype=torch.float64)[factors.pitch]
    assert 0.0049 < float((factors.hertz / names - 1).abs().max()) <= 0.005
    decibels = 20 * factors.peak.log10()
    assert [float(decibels.min()), float(decibels.max())] == pytest.approx([-18, -3], abs=0.05)


def test_the_pitches_are_every_third_semitone() -> None:
    assert list(PITCHES.values()) == pytest.approx([440 * 2 ** ((n - 7) / 4) for n in range(8)], abs=0.005)


def test_a_longer_set_begins_with_the_shorter_one_and_streams_differ() -> None:
    short, _ = generate(200, 40, RATE, 4, "train")
    assert torch.equal(generate(300, 40, RATE, 4, "train")[0][:200], short)
    for seed, split in ((4, "held-out"), (5, "train")):
        assert not torch.equal(generate(200, 40, RATE, seed, split)[0], short)


@pytest.mark.parametrize(("seconds", "rate"), [(0.2, 4_000), (0.25, 8_000), (0.5, 8_000), (0.3, 44_100)])
def test_every_drawn_clip_is_given_its_own_mode(seconds: float, rate: int) -> None:
    clips, factors = generate(128 if rate > 8_000 else 384, round(seconds * rate), rate, 7, "train")
    assert torch.equal(ToneModes(rate).nearest(clips), factors.mode)


def of_tones(change: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
    return lambda: change(generate(200, 2000, RATE, 2, "train")[0].double()).clamp(-32768, 32767).to(torch.int16)


def played_faster(clips: Tensor) -> Tensor:
    """Faster by one and a half semitones: halfway between two pitches."""
    return clips[:, :, torch.arange(0, 1800, 2**0.125).long()]


@pytest.mark.parametrize(
    ("garbage", "least_share"),
    [
        (lambda: torch.randint(-32768, 32768, (200, 1, 2000), generator=generator(0, "test")).to(torch.int16), 1.0),
        (lambda: torch.zeros(3, 1, 2000, dtype=torch.int16), 1.0),
        (lambda: torch.full((3, 1, 2000), 9000, dtype=torch.int16), 1.0),
        (of_tones(lambda clips: clips / clips.abs().amax(2, keepdim=True) * 30), 1.0),
        (of_tones(lambda clips: clips + 8000), 0.98),
        (of_tones(lambda clips: torch.cat([clips[:, :, 1000:], clips[:, :, :1000]], 2)), 1.0),
        (of_tones(lambda clips: clips.sign() * 9000), 1.0),
        (of_tones(played_faster), 1.0),
        (of_tones(lambda clips: clips + clips.square().mean(2, keepdim=True).sqrt() * white(clips)), 0.99),
    ],
    ids=["noise", "silence", "constant", "faint", "shifted", "torn", "square", "out of tune", "0 dB of noise"],
)
def test_garbage_has_no_mode(garbage: Callable[[], Tensor], least_share: float) -> None:
    assert float((ToneModes(RATE).nearest(garbage()) == -1).double().mean()) >= least_share


def white(clips: Tensor) -> Tensor:
    return torch.randn(clips.shape, generator=generator(1, "test"), dtype=clips.dtype)


def test_faint_noise_and_a_different_loudness_keep_the_mode() -> None:
    clips, factors = generate(200, 2000, RATE, 2, "train")
    level = clips.double().square().mean(2, keepdim=True).sqrt()
    changed = (0.3 * (clips + 0.1 * level * white(clips.double()))).to(torch.int16)
    assert float((ToneModes(RATE).nearest(changed) == factors.mode).double().mean()) > 0.99
    assert ToneModes(RATE).nearest(clips[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("second=1", "no option is called 'second'; did you mean seconds or seed?"),
        ("seconds=long", "seconds must be a number above 0, such as 0.5, not 'long'"),
        ("seconds=0", "seconds must be a number above 0, such as 0.5, not '0'"),
        ("seconds=nan", "seconds must be a number above 0, such as 0.5, not 'nan'"),
        ("seconds=0.1", "seconds must be at least 0.2, not 0.1: pitches cannot be told apart"),
        ("rate=0", "rate must be at least 4000, not 0"),
        ("rate=8e3", "rate must be a whole number, not '8e3'"),
        ("count=0", "count must be at least 1, not 0"),
        ("seed=1,seed=2", "option seed is given twice"),
        ("seconds=1e9", "its clips need"),
    ],
)
def test_a_wrong_option_of_tones_is_one_line(argument: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(f"tones:{argument}")
    assert str(caught.value).startswith(f"dataset 'tones:{argument}': {message}")
    assert "\n" not in str(caught.value)


def test_an_image_size_of_tones_is_refused() -> None:
    with pytest.raises(InputError, match="--image-size 32 has no effect on clips"):
        load("tones", image_size=32)


def test_the_control_gaussian_has_the_spectrum_of_the_data_and_silence_has_none() -> None:
    tones = load("tones:count=256,held_out=4,seconds=0.2")
    drawn = controls.draw("gaussian", tones, 1000, generator(0, "test"))
    assert (drawn.dtype, drawn.shape) == (torch.int16, torch.Size([1000, 1, 1600]))
    found, known = (torch.fft.rfft(each.double()).abs().square().mean((0, 1)) for each in (drawn, tones.train.items))
    strong = known > known.max() / 100
    # A mean of 1,000 exponential variables has a relative standard deviation of 1 / sqrt(1000) = 3.2%.
    assert float((found[strong] / known[strong] - 1).abs().max()) < 0.16
    assert torch.equal(controls.draw("silence", tones, 3, generator(0, "test")), torch.zeros(3, 1, 1600).short())


def test_the_control_gaussian_keeps_what_two_channels_have_in_common() -> None:
    from genbench.evaluation.coloured_noise import fit

    left = white(torch.empty(2000, 1, 9))
    right = 0.6 * left + 0.8 * white(torch.empty(2000, 2, 9))[:, 1:]
    drawn = fit(torch.cat([left, right], 1)).draw(20_000, generator(2, "test"))
    assert drawn.shape == (20_000, 2, 9)
    covariance = drawn.transpose(0, 1).flatten(1).cov()
    assert covariance.flatten().tolist() == pytest.approx([1.0, 0.6, 0.6, 1.0], abs=0.04)
