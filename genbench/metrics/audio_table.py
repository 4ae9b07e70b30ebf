"""The rows of the metrics table that are valid only for audio. Imports no torch."""

from __future__ import annotations

from genbench.metrics.constants import (
    CLIP_LEAST,
    CLIP_VALUES,
    FRAME_S,
    LOUDNESS_STEP_DB,
    PITCH_HIGHEST,
    PITCH_LOWEST,
    PITCH_STEP,
    PITCH_THRESHOLD,
    SI_SDR_BOUND_DB,
    SILENCE_DB,
    SPECTRUM_FLOOR_DB,
)
from genbench.metrics.metric import Metric, Value

__all__ = ["AUDIO_METRICS"]

_SOME = {"clip_values": CLIP_VALUES, "least_clips": CLIP_LEAST}
_SPECTRUM = {"frame_s": FRAME_S, "window": "periodic Hann", "overlap": 4}

AUDIO_METRICS = (
    Metric(
        name="spectral_distances",
        kinds=("audio",),
        values=(Value("log_spectral_distance", "lower"), Value("spectral_convergence", "lower")),
        needs=("originals", "reconstructions", "sample_rate"),
        least_count=1,
        function="spectral_distances:measure",
        summary="spectral differences between held-out clips and their reconstructions, in dB and as a share",
        paper="https://doi.org/10.1109/TASSP.1976.1162849",
        parameters={**_SPECTRUM, "floor_db": SPECTRUM_FLOOR_DB, **_SOME},
    ),
    Metric(
        name="signal_to_distortion",
        kinds=("audio",),
        values=(Value("si_sdr", "higher"),),
        needs=("originals", "reconstructions"),
        least_count=1,
        function="si_sdr:measure",
        summary="signal-to-distortion ratio of reconstructed held-out clips, in dB, whatever their loudness",
        paper="https://arxiv.org/abs/1811.02508",
        parameters={"bound_db": SI_SDR_BOUND_DB, "mean": "kept"},
    ),
    Metric(
        name="sound_statistics",
        kinds=("audio",),
        values=(
            Value("loudness_w1", "lower"),
            Value("frequency_w1", "lower"),
            Value("clipping_share", None),
            Value("silence_share", None),
        ),
        needs=("sample_items", "reference_items", "sample_rate"),
        least_count=1,
        function="sound_gaps:measure",
        summary="Wasserstein distances of loudness (dB) and frequency (Hz), and the clipped and silent shares",
        paper="https://doi.org/10.1121/1.410152",
        parameters={**_SPECTRUM, "silence_db": SILENCE_DB, "loudness_step_db": LOUDNESS_STEP_DB, **_SOME},
    ),
    Metric(
        name="pitch",
        kinds=("audio",),
        values=(Value("pitch_w1", "lower"), Value("voiced_share", None)),
        needs=("sample_items", "reference_items", "sample_rate"),
        least_count=1,
        function="pitch:measure",
        version=2,
        summary="Wasserstein distance between pitches of voiced frames, in semitones, and the share of voiced frames",
        paper="https://doi.org/10.1121/1.1458024",
        parameters={
            "lowest_hz": PITCH_LOWEST,
            "highest_hz": PITCH_HIGHEST,
            "threshold": PITCH_THRESHOLD,
            "pitch_step": PITCH_STEP,
            "silence_db": SILENCE_DB,
            **_SOME,
        },
    ),
)
