"""Metrics of audio: closed forms on sines, square waves and silence, and plain implementations of the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal, stats
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, clips, pitch
from genbench.metrics.clips import by_clip, check_pairs, frame_length, framed, loudness, power, some, wasserstein
from genbench.metrics.constants import CLIP_LEAST, CLIP_VALUES, SI_SDR_BOUND_DB, SILENCE_DB
from genbench.metrics.likelihood import bits_per_dimension
from genbench.metrics.pitch import frame_size, pitch_shares, pitches
from genbench.metrics.si_sdr import si_sdr
from genbench.metrics.sound_gaps import clipping, long_term_spectrum, loudness_shares, silence
from genbench.metrics.spectral_distances import log_spectral_distances, spectral_convergences
from genbench.metrics.standard_errors import LEAST, standard_error

RATE = 8000


def stored(amplitudes: Tensor) -> Tensor:
    """Amplitudes (..., T) in [-1, 1) as clips (N, 1, T)."""
    return (amplitudes * 2**15).round().clamp(-(2**15), 2**15 - 1).to(torch.int16).reshape(-1, 1, amplitudes.shape[-1])


def sines(*hertz: float, amplitude: float = 0.5, length: int = 2048, rate: int = RATE) -> Tensor:
    time = torch.arange(length, dtype=torch.float64) / rate
    return stored(amplitude * torch.sin(2 * math.pi * torch.tensor(hertz, dtype=torch.float64)[:, None] * time + 0.3))


def noise(*shape: int, amplitude: float = 0.1, seed: int = 0) -> Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn * amplitude * 2**15).round().clamp(-(2**15), 2**15 - 1).to(torch.int16)


def evidence_of(samples: Tensor, training: Tensor, rate: int = RATE, **more: object) -> Evidence:
    return Evidence(
        *(torch.zeros(1, 2),) * 2,
        sample_items=samples,
        reference_items=training,
        sample_rate=rate,
        **more,  # type: ignore[arg-type]
    )


def test_a_frame_lasts_about_32_ms_and_no_longer_than_a_clip() -> None:
    assert [frame_length(rate, 10**6) for rate in (4000, 8000, 16_000, 22_050, 44_100, 48_000)] == [
        *(128, 256, 512, 512, 1024, 2048)
    ]
    assert [frame_length(rate, 10**6) for rate in (1, 500, 1000)] == [16, 16, 32]
    assert frame_length(8000, 100) == 100
    assert framed(torch.arange(1000.0), 8000).tolist()[2][0] == 512


def test_loudness_is_the_root_mean_square_in_decibels() -> None:
    sine, square = sines(500)[0, 0, :1600].double() / 2**15, torch.tensor([0.25, -0.25])
    assert float(loudness(sine)) == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)
    assert float(loudness(square)) == pytest.approx(20 * math.log10(0.25))
    assert loudness(torch.zeros(3, 8)).tolist() == [SILENCE_DB] * 3


def test_power_spectra_are_scipy_s() -> None:
    clip = noise(1, 1, 1000)[0, 0].double() / 2**15
    window = signal.get_window("hann", 256)
    ours = power(clip, RATE)
    transform = signal.ShortTimeFFT(window, hop=64, fs=RATE, scale_to="magnitude")
    frames = [abs(np.fft.rfft(clip.numpy()[at : at + 256] * window) / (window.sum() / 2)) ** 2 for at in (0, 64, 704)]
    assert transform.hop == 64
    assert ours.shape == (129, 1 + (1000 - 256) // 64)
    np.testing.assert_allclose(ours[:, [0, 1, 11]].T, frames, rtol=1e-9, atol=1e-18)
    assert float(power(sines(500, amplitude=0.5)[0, 0].double() / 2**15, RATE).max()) == pytest.approx(0.25, rel=1e-3)


# Loudness, spectrum, clipping, silence


def test_clips_twice_as_loud_are_six_decibels_away_in_loudness_and_nowhere_in_frequency() -> None:
    quiet, loud = noise(40, 1, 2048, amplitude=0.05), noise(40, 1, 2048, amplitude=0.05) * 2
    found = METRICS["sound_statistics"].compute(evidence_of(loud, quiet))
    assert found["loudness_w1"] == pytest.approx(20 * math.log10(2), abs=0.02)
    assert found["frequency_w1"] == pytest.approx(0, abs=0.5)
    assert found["clipping_share"] == found["silence_share"] == 0


def test_sines_an_interval_apart_are_as_many_hertz_away() -> None:
    found = METRICS["sound_statistics"].compute(evidence_of(sines(500, 500), sines(1000, 1500)))
    assert found["frequency_w1"] == pytest.approx(750, rel=2e-3)
    assert found["loudness_w1"] < 0.05


def test_the_long_term_spectrum_is_of_power_so_that_the_loud_weigh_most() -> None:
    both = torch.cat([sines(500, amplitude=0.3), sines(2000, amplitude=0.1)])
    shares = long_term_spectrum(both, RATE)
    hertz = torch.arange(1, 129) * RATE / 256
    assert len(shares) == 128
    assert float(shares[hertz < 1000].sum()) == pytest.approx(0.9, abs=1e-3)
    assert float(shares @ hertz.double()) == pytest.approx(0.9 * 500 + 0.1 * 2000, rel=1e-2)
    assert long_term_spectrum(torch.zeros(2, 1, 512, dtype=torch.int16), RATE).tolist()[:2] == [1, 0]


def test_the_distance_of_loudness_is_scipy_s() -> None:
    scales = torch.linspace(0.05, 1, 30)[:, None, None]
    first, second = (noise(30, 2, 600) * scales).short(), (noise(30, 2, 600, seed=1) * scales.flip(0) / 3).short()
    values = [loudness(framed(clips.double() / 2**15, RATE)).flatten().numpy() for clips in (first, second)]
    found = wasserstein(loudness_shares(first, RATE), loudness_shares(second, RATE), 0.1)
    assert found == pytest.approx(stats.wasserstein_distance(*values), abs=0.05)


def test_loudness_is_counted_in_the_nearest_tenth_of_a_decibel() -> None:
    for decibels in (-20.04, -19.96):
        found = loudness_shares(stored(torch.full((512,), 10 ** (decibels / 20))), RATE)
        assert found.nonzero().tolist() == [[400]]


def test_clipping_and_silence_are_shares_of_samples_and_of_frames() -> None:
    square = stored(torch.where(torch.arange(1024) % 2 == 0, 1.0, -1.0))
    half = torch.cat([noise(1, 1, 512), torch.zeros(1, 1, 512, dtype=torch.int16)], -1)
    assert clipping(torch.cat([square, half])).tolist() == [1, 0]
    assert silence(torch.cat([square, half]), RATE).tolist() == [0, 0.5]
    fainter, louder = (stored(torch.full((512,), 10 ** (db / 20))) for db in (SILENCE_DB - 0.2, SILENCE_DB + 0.2))
    assert silence(torch.cat([fainter, louder]), RATE).tolist() == [1, 0]
    found = METRICS["sound_statistics"].compute(evidence_of(torch.cat([square, half]), square.repeat(2, 1, 1)))
    assert (found["clipping_share"], found["silence_share"]) == (0.5, 0.25)


# Pitch


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_the_pitch_of_a_tone_is_its_fundamental_whatever_its_harmonics(rate: int) -> None:
    hertz = torch.tensor([65.0, 130.81, 261.63, 440.0, 900.0], dtype=torch.float64)
    time = torch.arange(frame_size(rate), dtype=torch.float64) / rate
    for weights in ([1.0], [1.0, 0.75, 0.6, 0.45], [0.6, 1.0, 0.0, 0.5]):
        parts = [w * torch.sin(2 * math.pi * (n + 1) * hertz[:, None] * time + n) for n, w in enumerate(weights)]
        found = pitches(0.2 * torch.stack(parts).sum(0), rate)
        assert (12 * (found / hertz).log2()).abs().max() < 0.25  # semitones


def test_noise_and_silence_have_no_pitch() -> None:
    drawn = noise(50, frame_size(RATE)).double() / 2**15
    assert pitches(drawn, RATE).isnan().all()
    assert pitches(torch.zeros(2, frame_size(RATE), dtype=torch.float64), RATE).isnan().all()
    faint = sines(220, length=frame_size(RATE))[:, 0].double() / 2**15
    assert pitches(faint, RATE).isfinite().all()
    assert pitches(faint / 1000, RATE).isnan().all()


def test_a_constant_has_no_pitch_and_does_not_change_that_of_a_tone() -> None:
    levels = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None]
    flat = levels.expand(-1, frame_size(RATE))
    assert pitches(flat, RATE).isnan().all()
    faint = 1e-4 * torch.sin(torch.arange(frame_size(RATE)) / 5)
    assert pitches(flat + faint, RATE).isnan().all(), "silent, whatever the offset"
    found = pitches(flat / 2 + tone(220, RATE), RATE)
    assert float((found / pitches(tone(220, RATE), RATE) - 1).abs().max()) < 1e-9


def test_the_normalised_difference_is_that_of_its_definition() -> None:
    """Plain loops over a frame of a noisy tone find the same lag, and fit the same parabola to the raw difference."""
    size = frame_size(RATE)
    frame = (sines(190, length=size)[0, 0] + noise(size, amplitude=0.02)).double() / 2**15
    half, d = size // 2, [0.0]
    for lag in range(1, size // 2 + 1):
        d.append(float((frame[:half] - frame[lag : lag + half]).square().sum()))
    normalised = [1.0] + [d[lag] * lag / sum(d[1 : lag + 1]) for lag in range(1, half + 1)]
    first = next(lag for lag in range(8, half) if normalised[lag] < 0.1)
    while normalised[first + 1] < normalised[first]:
        first += 1
    left, middle, right = d[first - 1 : first + 2]
    expected = RATE / (first + (left - right) / (2 * (left - 2 * middle + right)))
    assert float(pitches(frame, RATE)) == pytest.approx(expected, rel=1e-9)


def tone(hertz: float, rate: int, amplitude: float = 0.2) -> Tensor:
    time = torch.arange(frame_size(rate), dtype=torch.float64) / rate
    return amplitude * torch.sin(2 * math.pi * hertz * time + 0.3)


def test_pitches_end_at_the_shortest_lag_and_before_the_longest() -> None:
    """At 8 kHz these are 8 and 134 samples. A minimum just below the shortest is taken to be one sample below it."""
    assert float(pitches(tone(1000, RATE), RATE)) == pytest.approx(1000, rel=0.02)
    assert float(pitches(tone(8000 / 133, RATE), RATE)) == pytest.approx(8000 / 133, rel=5e-3)
    assert pitches(tone(8000 / 134, RATE), RATE).isnan()
    assert float(pitches(tone(44_100 / 42.5, 44_100), 44_100)) == pytest.approx(44_100 / 43, rel=1e-9)
    # d is 0 at the lag 2, and equal at 1 and 3; d′ is 1, 0 and 3/2, and its parabola would be lowest at 1.9.
    assert float(pitches(tone(1000, 2000), 2000)) == pytest.approx(1000, rel=1e-6)


@pytest.mark.parametrize(("rate", "cents"), [(8000, 25), (16_000, 5), (44_100, 1)])
def test_no_tone_of_eight_samples_a_period_is_taken_for_its_octave(rate: int, cents: float) -> None:
    """The lag next to the period may miss the bottom of the dip: its parabola, not its value, must pass the threshold.

    And d′ is shifted against d, whose minima tell the period: at 8 kHz by up to 20 cents.
    """
    hertz = 61 * torch.logspace(0, 4, 400, base=2, dtype=torch.float64)
    time = torch.arange(frame_size(rate), dtype=torch.float64) / rate
    for weights in ([1.0], [1.0, 0.5], [1.0, 0.5, 0.33, 0.25]):
        parts = [
            w * (n * hertz[:, None] < rate / 2) * torch.sin(2 * math.pi * n * hertz[:, None] * time + n)
            for n, w in enumerate(weights, 1)
        ]
        found = pitches(0.2 * torch.stack(parts).sum(0), rate)
        apart = 1200 * (found / hertz).log2().abs()
        assert float(apart.max()) < cents
        assert float(apart.median()) < 0.5


def test_pitch_does_not_depend_on_loudness() -> None:
    faint = tone(220, RATE, amplitude=0.002)
    assert float(pitches(faint, RATE)) == pytest.approx(float(pitches(faint * 400, RATE)), rel=1e-9)


def test_shares_of_pitch_lie_in_bins_of_a_tenth_of_a_semitone() -> None:
    hertz = [60 * 2 ** (semitones / 12) for semitones in (7.0, 12.5, 24.0)]
    found = pitch_shares(sines(*hertz, length=RATE), RATE)
    assert found.voiced.tolist() == [1, 1, 1]
    assert found.shares is not None
    assert float(found.shares.sum()) == pytest.approx(1)
    for at in (70, 125, 240):
        assert float(found.shares[at - 2 : at + 3].sum()) == pytest.approx(1 / 3, abs=1e-9)


def test_a_pitch_is_counted_in_the_nearest_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    hertz = 60 * 2 ** (torch.tensor([[[69.6, 70.4, 0.0, 125.3]]], dtype=torch.float64) / 120)
    monkeypatch.setattr(pitch, "pitches", lambda frames, rate: hertz)
    shares = pitch_shares(sines(220), RATE).shares
    assert shares is not None
    assert {at: float(shares[at]) for at in (0, 70, 125)} == {0: 0.25, 70: 0.5, 125: 0.25}


def test_an_octave_is_twelve_semitones_away() -> None:
    found = METRICS["pitch"].compute(evidence_of(sines(220, 300), sines(440, 600)))
    assert found["pitch_w1"] == pytest.approx(12, abs=0.15)
    assert found["voiced_share"] == 1


def test_without_a_voiced_frame_there_is_no_distance_of_pitch() -> None:
    silent = torch.zeros(2, 1, 2048, dtype=torch.int16)
    assert METRICS["pitch"].compute(evidence_of(silent, sines(220, 300))) == {"voiced_share": 0}
    assert METRICS["pitch"].compute(evidence_of(sines(220, 300), silent)) == {"voiced_share": 1}
    short = sines(220, length=200)
    with pytest.raises(NotMeasurable, match=r"^pitch: needs clips of at least 268 samples at 8000 Hz, got 200$"):
        METRICS["pitch"].compute(evidence_of(short, short))
    assert float(pitch_shares(sines(20_000 / 19, length=600), RATE).voiced) >= 0  # above the highest pitch: no error


# Reconstructions


def test_a_clip_a_times_as_loud_has_the_distances_of_closed_form() -> None:
    original = noise(3, 2, 1200, amplitude=0.05)
    louder = original * 2
    torch.testing.assert_close(
        log_spectral_distances(original, louder, RATE), torch.full((3,), 20 * math.log10(2)).double(), rtol=5e-3, atol=0
    )
    torch.testing.assert_close(spectral_convergences(original, louder, RATE), torch.ones(3).double())
    torch.testing.assert_close(spectral_convergences(original, original // 2, RATE), torch.full((3,), 0.5).double(),
                               rtol=1e-3, atol=0)  # fmt: skip
    for distance in (log_spectral_distances, spectral_convergences):
        assert distance(original, original, RATE).tolist() == [0, 0, 0]
    assert spectral_convergences(original * 0, original, RATE).isnan().all()
    one_silent = torch.cat([original[:1] * 0, original[1:]])
    assert spectral_convergences(one_silent, original, RATE).nan_to_num(-1).tolist() == [-1, 0, 0]
    assert spectral_convergences(original, original * 0, RATE).tolist() == [1, 1, 1]


def test_the_log_spectral_distance_is_a_root_mean_square_over_bins_and_a_mean_over_frames() -> None:
    first, second = noise(1, 1, 256 + 64), noise(1, 1, 256 + 64, amplitude=0.02, seed=1)
    decibels = [10 * power(clip[0, 0].double() / 2**15, RATE).clamp(min=1e-8).log10() for clip in (first, second)]
    by_frame = [math.sqrt(float((a - b).square().mean())) for a, b in zip(*(side.T for side in decibels), strict=True)]
    assert len(by_frame) == 2
    assert float(log_spectral_distances(first, second, RATE)) == pytest.approx(sum(by_frame) / 2)


def test_si_sdr_is_the_power_of_the_best_fit_over_that_of_the_rest() -> None:
    original, restored = noise(5, 2, 300), noise(5, 2, 300, seed=1) // 3
    restored = restored + original // torch.tensor([1, 2, 5, -3, 9]).view(5, 1, 1).short()
    expected = torch.zeros(5, 2, dtype=torch.float64)
    for clip, channel in np.ndindex(5, 2):
        signal_, estimate = (side[clip, channel].double().numpy() for side in (original, restored))
        (scale,), (rest,) = np.linalg.lstsq(signal_[:, None], estimate, rcond=None)[:2]
        expected[clip, channel] = 10 * math.log10(scale**2 * (signal_**2).sum() / rest)
    torch.testing.assert_close(si_sdr(original, restored), expected.mean(1))


def test_si_sdr_has_ends_and_leaves_out_silence() -> None:
    original = noise(3, 1, 300)
    assert si_sdr(original, original).tolist() == [SI_SDR_BOUND_DB] * 3
    assert si_sdr(original, -original).tolist() == [SI_SDR_BOUND_DB] * 3
    assert si_sdr(original, original * 0).tolist() == [-SI_SDR_BOUND_DB] * 3
    assert si_sdr(original * 0, original).isnan().all()
    silent = torch.zeros(1, 1, 300, dtype=torch.int16)
    mixed = torch.cat([original, silent])
    found = METRICS["signal_to_distortion"].compute(evidence_of(mixed, mixed, originals=mixed, reconstructions=mixed))
    assert found == {"si_sdr": SI_SDR_BOUND_DB}
    alone = evidence_of(silent, silent, originals=silent, reconstructions=silent)
    assert METRICS["signal_to_distortion"].compute(alone) == {}
    assert METRICS["spectral_distances"].compute(alone) == {"log_spectral_distance": 0}


def test_bits_of_a_uniform_guess_over_16_bits_are_sixteen() -> None:
    assert bits_per_dimension(torch.full((4,), -50 * math.log(65_536)), 50) == pytest.approx(16)


# All metrics


def test_what_is_no_clip_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^clips: expected int16 clips of shape \(N, C, T\), got torch.uint8 \(2"):
        by_clip(lambda part: part, torch.zeros(2, 1, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"^reconstruction: \(2, 1, 9\) originals, \(2, 1, 8\) reconstructions$"):
        check_pairs(noise(2, 1, 9), noise(2, 1, 8))
    for sides in ((torch.zeros(2, 9), noise(2, 1, 9)), (noise(2, 1, 9), torch.zeros(2, 9))):
        name = "reconstructions" if sides[0].ndim == 3 else "originals"
        with pytest.raises(
            ValueError, match=rf"^{name}: expected int16 clips of shape .*, got torch.float32 \(2, 9\)$"
        ):
            check_pairs(*sides)


def test_clips_are_taken_in_parts_of_so_many_values_and_at_least_one_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "_CHUNK_VALUES", 12)
    taken: list[int] = []

    def noted(part: Tensor) -> Tensor:
        taken.append(len(part))
        return part

    for shape, counts in (((5, 2, 3), [2, 2, 1]), ((3, 2, 7), [1, 1, 1]), ((13, 1, 1), [12, 1])):
        taken.clear()
        items = noise(*shape)
        assert by_clip(noted, items).equal(items.double() / 2**15)
        assert taken == counts
    with pytest.raises(ValueError, match="shorter"):  # rather than leave out what has no partner
        by_clip(lambda first, second: first - second, noise(3, 2, 7), noise(2, 2, 7))


def test_of_many_long_clips_some_are_looked_at() -> None:
    long = torch.zeros(1, dtype=torch.int16).expand(CLIP_LEAST + 30, 1, CLIP_VALUES // CLIP_LEAST)
    assert len(some(long)) == CLIP_LEAST
    assert some(long[:CLIP_LEAST]).shape == (CLIP_LEAST, 1, CLIP_VALUES // CLIP_LEAST)
    counted = torch.arange(CLIP_LEAST + 30, dtype=torch.int16)[:, None, None].expand(long.shape)
    assert some(counted)[:, 0, 0].equal(some(counted)[:, 0, 0].unique())
    rows = torch.randperm(CLIP_LEAST + 30, generator=torch.Generator().manual_seed(0))[:CLIP_LEAST].sort().values
    assert some(counted)[:, 0, 0].equal(rows.short())
    few = noise(CLIP_LEAST, 1, 9)
    assert some(few) is few
    assert some(as_many := long[:CLIP_LEAST]) is as_many  # all of them, and no copy


def test_the_clips_that_are_looked_at_are_those_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "CLIP_VALUES", 1)
    monkeypatch.setattr(clips, "CLIP_LEAST", 5)
    louder = torch.linspace(0.01, 4, 40)[:, None, None]
    samples = (noise(40, 1, 600, amplitude=0.2) * louder).clamp(-(2**15), 2**15 - 1).short()
    samples[::3] = 0
    samples[1::3] = sines(*range(200, 330, 10), length=600)[:13]
    found = []
    for seed in (3, 4):
        rows = torch.randperm(40, generator=torch.Generator().manual_seed(seed))[:5].sort().values
        evidence, few = evidence_of(samples, samples, seed=seed), evidence_of(samples[rows], samples)
        for row, names in (("sound_statistics", ("loudness_w1", "frequency_w1")), ("pitch", ("voiced_share",))):
            numbers, expected = METRICS[row].compute(evidence), METRICS[row].compute(few)
            found.append([numbers[name] for name in names])
            assert found[-1] == [expected[name] for name in names]
    assert found[0] != found[2]
    assert found[1] != found[3]


def test_means_over_clips_have_the_standard_error_of_a_mean() -> None:
    original, samples = (
        noise(120, 1, 600),
        (noise(120, 1, 600, seed=1) * torch.linspace(0, 9, 120)[:, None, None]).short(),
    )
    restored = (original * torch.linspace(0.1, 0.9, 120)[:, None, None]).short()
    evidence = evidence_of(samples, original, originals=original, reconstructions=restored)
    values = {
        "si_sdr": si_sdr(original, restored),
        "log_spectral_distance": log_spectral_distances(original, restored, RATE),
        "spectral_convergence": spectral_convergences(original, restored, RATE),
        "clipping_share": clipping(samples),
        "silence_share": silence(samples, RATE),
        "voiced_share": pitch_shares(samples, RATE).voiced,
    }
    numbers = {n: v for row in ("signal_to_distortion", "spectral_distances", "sound_statistics", "pitch")
               for n, v in METRICS[row].compute(evidence).items()}  # fmt: skip
    for name, found in values.items():
        assert numbers[name] == pytest.approx(float(found.mean()))
        expected = float(found.std()) / math.sqrt(120)
        assert standard_error(name, evidence) == pytest.approx(expected, rel=0.01, abs=1e-12), name
    few = evidence_of(samples[:99], original, originals=original[:99], reconstructions=restored[:99])
    assert all(standard_error(name, few) is None for name in values)


@pytest.mark.parametrize("name", ["voiced_share", "log_spectral_distance"])
def test_an_error_needs_as_many_measured_clips_as_it_needs_clips(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(120, 1, 600)
    sides = {"originals": samples, "reconstructions": samples // 2}
    monkeypatch.setattr(clips, "CLIP_VALUES", 1)
    found = []
    for measured in (LEAST - 1, LEAST):
        monkeypatch.setattr(clips, "CLIP_LEAST", measured)
        found.append(standard_error(name, evidence_of(samples, samples, **sides)))
    assert found[0] is None
    assert found[1] is not None
