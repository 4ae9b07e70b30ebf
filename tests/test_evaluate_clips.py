"""`genbench evaluate` of clips: files from another program, scored as a run scores them; one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluating import refused, run
from PIL import Image

from genbench import datasets
from genbench.datasets.dataset import Dataset
from genbench.kinds import wave_file

soundfile = pytest.importorskip("soundfile")
SPEC = "tones:seconds=0.2,rate=4000,count=120,held_out=40"
METRICS = ("--metrics", "fd,modes_covered")


@pytest.fixture(scope="module")
def tones() -> Dataset:
    return datasets.load(SPEC)


@pytest.fixture
def clips(tmp_path: Path, tones: Dataset) -> Path:
    """The held-out clips, one file each."""
    for number, clip in enumerate(tones.held_out.items):
        wave_file.save(tmp_path / "clips" / f"{number:03}.wav", clip, 4_000)
    return tmp_path / "clips"


def test_held_out_clips_score_as_the_control_real(clips: Path) -> None:
    answer = json.loads(run(clips, "-d", SPEC, *METRICS, "--json")[0])
    found, floor = answer["numbers"], answer["real"]
    assert found["fd"]["value"] == pytest.approx(floor["fd"]["value"], rel=1e-5)
    assert answer["extractor"] == "log-mel"
    assert answer["remarks"] == []
    title = run(clips, "-d", SPEC, *METRICS)[0].splitlines()[0]
    assert title == (
        f"{clips} (40 clips) against {SPEC}; features: log-mel, statistics of a log-mel spectrogram, so fd is not FID"
    )


def test_clips_of_another_form_are_brought_to_that_of_the_dataset_and_it_is_said(tmp_path: Path) -> None:
    root = tmp_path / "x"
    root.mkdir()
    for number in range(12):
        soundfile.write(str(root / f"{number}.flac"), 0.1 * np.ones((4410, 2)), 44_100)
    _, told = run(root, "-d", SPEC, "--metrics", "fd")
    assert "12 of 12 files were resampled from 44100 to 4000 Hz (scipy.signal.resample_poly" in told
    assert "of 12 of 12 files the mean of the channels was taken" in told
    assert "12 of 12 files are shorter than 0.2 s, and were padded with silence" in told


def test_clips_are_compared_with_clips(clips: Path) -> None:
    answer = json.loads(run(clips, "--reference", clips, "--metrics", "fd", "--json")[0])
    assert answer["numbers"]["fd"]["value"] == pytest.approx(0, abs=1e-3)


def test_what_is_no_set_of_clips_is_one_line(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    (tmp_path / "empty").mkdir()
    assert refused(clips, "--reference", tmp_path / "texts.txt").endswith("compare items of one kind")
    assert refused(clips, "-d", "digits") == f"{clips} holds clips and digits images; compare items of one kind"
    assert "holds no" in refused(tmp_path / "empty", "-d", SPEC) or "no images" in refused(
        tmp_path / "empty", "-d", SPEC
    )
    assert refused(clips, "-d", SPEC, "--image-size", 8) == "--image-size has no effect on clips; leave it out"
    assert refused(clips, "-d", SPEC, "--skip-corrupt") == "--skip-corrupt has no effect on clips; leave it out"
    (clips / "bad.wav").write_bytes(b"no sound" * 20)
    assert "bad.wav: not a readable sound file" in refused(clips, "-d", SPEC)


def test_a_reference_of_two_lengths_is_refused(clips: Path) -> None:
    soundfile.write(str(clips / "x.wav"), np.zeros(100), 4_000)
    assert refused(clips, "--reference", clips).endswith("a reference must be of one form: convert it first")


def test_a_reference_of_two_rates_or_many_channels_is_refused_without_options_that_only_a_dataset_has(
    clips: Path,
) -> None:
    soundfile.write(str(clips / "fast.wav"), np.zeros(400), 16_000)
    assert refused(clips, "--reference", clips) == (
        f"{clips}: files differ in sample rate: 000.wav has 4000 Hz, fast.wav 16000; "
        "a reference must be of one form: convert it first"
    )
    (clips / "fast.wav").unlink()
    soundfile.write(str(clips / "many.wav"), np.zeros((400, 3)), 4_000)
    assert refused(clips, "--reference", clips) == (
        f"{clips}: many.wav has 3 channels; a reference must be of one form: convert it first"
    )


def test_clips_of_one_sample_have_no_frequency_and_are_scored_without(tmp_path: Path) -> None:
    for number in range(8):
        soundfile.write(str(tmp_path / f"{number}.wav"), np.full(1, number / 9), 8_000)
    told = run(tmp_path, "--reference", tmp_path)[1]
    assert "not measured: sound_statistics: needs clips of at least 2 samples" in told


def test_a_picture_among_clips_is_passed_over_and_a_clip_among_pictures(clips: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(clips / "cover.png")
    told = run(clips, "-d", SPEC, "--metrics", "fd")[1]
    assert f"{clips}: passed over: 1 file of another kind" in told
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        Image.new("L", (8, 8), number).save(pictures / f"{number}.png")
    soundfile.write(str(pictures / "x.wav"), np.zeros(100), 4_000)
    assert refused(pictures, "-d", SPEC).startswith(f"{pictures} holds images and {SPEC} clips; ")


def test_links_that_lead_back_are_followed_once(clips: Path) -> None:
    """Two of them give 2^40 paths."""
    for name in ("one", "two"):
        (clips / name).symlink_to(clips)
    told = run(clips, "-d", SPEC, "--metrics", "fd")[1]
    assert f"{clips}: passed over: 2 links to folders that were read already" in told
