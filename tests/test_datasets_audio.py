"""Sound files as datasets: every format, resampling, mixing, padding and cutting, downloads, and every bad input."""

from __future__ import annotations

import hashlib
import io
import math
import os
import sys
import tarfile
import threading
import wave
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import signal

from genbench.datasets import load, sound_file, sounds, spoken
from genbench.datasets.resampling import FILTER
from genbench.datasets.sound_file import clip, read_header, windows
from genbench.errors import InputError

soundfile = pytest.importorskip("soundfile")
Array = npt.NDArray[np.float64]
RATE = 8_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))


def sine(hertz: float, length: int, rate: int = RATE, peak: float = 0.5) -> Array:
    return peak * np.sin(2 * np.pi * hertz * np.arange(length) / rate)


def write(path: Path, samples: Array, rate: int = RATE, subtype: str | None = None) -> Path:
    """Write (T,) or (T, C) samples; 16 bits unless a subtype is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), samples, rate, subtype=subtype)
    return path


def folder_of(root: Path, count: int = 4, length: int = 400) -> Path:
    for number in range(count):
        write(root / f"{number}.wav", sine(200 + 50 * number, length))
    return root


def refused(spec: str) -> str:
    with pytest.raises(InputError) as error:
        load(spec)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_read_in_another_form_or_split_is_not_taken_from_the_cache_of_the_first(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "a", length=800)
    for options, length, held_out in (
        ("held_out=1", 800, 1),
        ("held_out=2", 800, 2),
        ("held_out=1,seconds=0.05", 400, 1),
        ("held_out=1", 800, 1),
    ):
        found = load(f"audio:{root},{options}")
        assert (found.shape, len(found.held_out)) == (torch.Size([1, length]), held_out)


def test_16_bit_files_are_stored_as_they_are(tmp_path: Path) -> None:
    written = np.random.default_rng(0).integers(-32768, 32768, (3, 500)).astype(np.int16)
    written[:, :3] = [-32768, 32767, 0]
    (tmp_path / "a").mkdir()
    for number, samples in enumerate(written):
        soundfile.write(str(tmp_path / "a" / f"{number}.wav"), samples, RATE)
    found = load(f"audio:{tmp_path / 'a'}")
    stored = torch.cat([found.train.items, found.held_out.items])[:, 0].sort(0).values
    assert torch.equal(stored, torch.from_numpy(written).sort(0).values)
    assert (found.shape, found.data.sample_rate, found.remark) == (torch.Size([1, 500]), RATE, None)
    again = load(f"audio:{tmp_path / 'a'}")
    assert again.fingerprint == found.fingerprint
    assert torch.equal(again.train.items, found.train.items)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 1 / 128),
        ("wav", "PCM_24", 1 / 32768),
        ("wav", "PCM_32", 1 / 32768),
        ("wav", "FLOAT", 1 / 32768),
        ("wav", "DOUBLE", 1 / 32768),
        ("flac", "PCM_16", 1 / 32768),
        ("flac", "PCM_24", 1 / 32768),
        ("ogg", "VORBIS", 0.06),
    ],
)
def test_every_format_is_read(tmp_path: Path, suffix: str, subtype: str, tolerance: float) -> None:
    expected = sine(440, 4000)
    sound = read_header(write(tmp_path / f"x.{suffix}", expected, subtype=subtype))
    assert (sound.rate, sound.channels, sound.frames) == (RATE, 1, 4000)
    assert float(np.abs(clip(sound, RATE, 4000, 1)[0] - expected).max()) <= tolerance


def test_another_rate_a_stereo_file_a_short_and_a_long_one_are_changed_and_said(tmp_path: Path) -> None:
    root = tmp_path / "x"
    for number in range(4):
        write(root / f"plain{number}.wav", sine(300, 1600))
    write(root / "fast.flac", sine(440, 44_100 // 5, 44_100), 44_100)
    both = np.stack([sine(440, 1600), sine(440, 1600, peak=0.1)], 1)
    write(root / "stereo.wav", both)
    write(root / "short.wav", sine(440, 600))
    write(root / "long.wav", sine(440, 5000))
    found = load(f"audio:{root},seconds=0.2,rate=8000,channels=1,held_out=1")
    assert found.shape == torch.Size([1, 1600])
    assert found.remark == (
        f"{root}: 1 of 8 files were resampled from 44100 to 8000 Hz ({FILTER}); "
        "of 1 of 8 files the mean of the channels was taken; "
        "1 of 8 files are shorter than 0.2 s, and were padded with silence; 1 of 8 files were cut to 0.2 s"
    )
    expected = 32768 * sine(440, 1600)
    for name, level in (("fast.flac", 1.0), ("stereo.wav", 0.6), ("long.wav", 1.0)):
        samples = clip(read_header(root / name), RATE, 1600, 1)[0] * 32768
        assert float(np.abs(samples - level * expected)[50:-50].max()) < 40, name
    padded = clip(read_header(root / "short.wav"), RATE, 1600, 1)[0]
    assert float(np.abs(padded[600:]).max()) == 0
    assert float(np.abs(padded[:600]).max()) > 0.4


def test_two_channels_stay_two_and_class_folders_are_labels(tmp_path: Path) -> None:
    root, random = tmp_path / "x", np.random.default_rng(1)
    for name in ("high", "low"):
        for number in range(6):
            write(root / name / f"{number}.wav", 0.1 * random.standard_normal((300, 2)))
    found = load(f"audio:{root},held_out=3")
    assert (found.shape, found.class_names) == (torch.Size([2, 300]), ("high", "low"))
    assert found.train.labels is not None
    assert (len(found.train), len(found.held_out)) == (9, 3)
    first = clip(read_header(root / "high" / "0.wav"), RATE, 300, 2)
    assert (first[0] != first[1]).any()
    one = load(f"audio:{root},channels=1")
    assert one.shape == torch.Size([1, 300])


def test_windows_are_taken_one_after_the_other_and_the_end_of_a_single_file_is_held_out(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 1050).astype(np.int16)
    (tmp_path / "x").mkdir()
    soundfile.write(str(tmp_path / "x" / "one.wav"), samples, RATE)
    found = load(f"audio:{tmp_path / 'x'},window=0.0125,held_out=2")
    assert (len(found.train), len(found.held_out), found.shape) == (8, 2, torch.Size([1, 100]))
    stored = torch.cat([found.train.items, found.held_out.items]).flatten()
    assert torch.equal(stored, torch.from_numpy(samples[:1000]))
    assert found.remark == f"{tmp_path / 'x'}: 0.0 s do not fill a window and were left out"


def test_each_window_has_the_class_of_its_file(tmp_path: Path) -> None:
    root = tmp_path / "x"
    for folder, name, level, windows_in_it in (
        ("train", "above", 0.5, 3),
        ("train", "below", -0.5, 1),
        ("test", "above", 0.5, 1),
        ("test", "below", -0.5, 4),
    ):
        write(root / folder / name / "one.wav", np.full(100 * windows_in_it, level))
    found = load(f"audio:{root},window=0.0125")
    assert found.class_names == ("above", "below")
    for split, labels in ((found.train, [0, 0, 0, 1]), (found.held_out, [0, 1, 1, 1, 1])):
        assert split.labels is not None
        assert split.labels.tolist() == labels
        assert (split.items.flatten(1).float().mean(dim=1) < 0).long().tolist() == labels


def test_one_folder_with_two_held_out_ones_is_cached_once_with_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, *held_out = (folder_of(tmp_path / name, count) for name, count in (("a", 4), ("b", 2), ("c", 3)))
    for number in range(2):
        write(held_out[0] / f"{number}.wav", sine(700 + 50 * number, 400))
    for number in range(3):
        write(held_out[1] / f"{number}.wav", sine(900 + 50 * number, 400))
    specs = [f"audio:{train},held_out={other}" for other in held_out]
    found = [load(spec) for spec in specs]
    assert [len(each.held_out) for each in found] == [2, 3]
    monkeypatch.setattr(sounds, "fill", None)  # nothing is read a second time
    assert [load(spec).fingerprint for spec in specs] == [each.fingerprint for each in found]


def test_windows_of_another_rate_follow_each_other(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", sine(100, 44_100, 44_100), 44_100)
    found = np.concatenate([each[0] for each in windows(read_header(path), RATE, 1000, 1)])
    expected = sine(100, 8000)
    assert len(found) == 8000
    assert float(np.abs(found - expected)[30:-30].max()) < 0.01, "only where the file begins and ends is there silence"


@pytest.mark.parametrize(("rate", "wanted"), [(22_050, 16_000), (44_100, 8_000), (16_000, 44_100), (8_000, 1_999)])
@pytest.mark.parametrize("seconds", [0.123, 0.4])
def test_windows_and_clips_of_another_rate_are_parts_of_the_whole_file_resampled(
    tmp_path: Path, rate: int, wanted: int, seconds: float
) -> None:
    """Equal to what scipy gives for the whole file: no fading at the ends of a part, and no shift between parts."""
    written = 0.3 * np.random.default_rng(0).standard_normal(2 * rate + 7)
    sound = read_header(write(tmp_path / "x.wav", written, rate, subtype="DOUBLE"))
    factor = math.gcd(rate, wanted)
    whole = signal.resample_poly(written, wanted // factor, rate // factor, window=("kaiser", 5.0))
    length = round(seconds * wanted)
    found = np.stack([each[0] for each in windows(sound, wanted, length, 1)])
    assert len(found) == len(whole) // length
    assert float(np.abs(found - whole[: found.size].reshape(found.shape)).max()) < 1e-5
    assert float(np.abs(clip(sound, wanted, length, 1)[0] - whole[:length]).max()) < 1e-5


def test_a_long_file_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten hours at 8 kHz in a sparse file: one window is read at a time, and a clip reads only its own frames."""
    path, frames = tmp_path / "long.wav", 10 * 3600 * RATE
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(b"\1\0" * 100)
    header = bytearray(path.read_bytes()[:44])
    header[4:8], header[40:44] = (36 + 2 * frames).to_bytes(4, "little"), (2 * frames).to_bytes(4, "little")
    with path.open("r+b") as hole:
        hole.write(header)
        hole.truncate(44 + 2 * frames)
    asked: list[int] = []
    read = sound_file._read
    monkeypatch.setattr(
        sound_file, "_read", lambda file, path, at, frames: asked.append(frames) or read(file, path, at, frames)
    )
    sound = read_header(path)
    assert sound.seconds == 36_000
    every = windows(sound, RATE, 800, 1)
    assert next(every).shape == next(every).shape == (1, 800)
    assert clip(sound, 4_000, 800, 1).shape == (1, 800)
    assert asked == [800, 800, 1600 + 19], "with what the filter reaches beyond the clip's end"


def test_samples_beyond_full_scale_are_clipped_and_counted_also_from_the_cache(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x")
    write(root / "loud.wav", sine(200, 400, peak=3.0), subtype="FLOAT")
    for _ in range(2):
        found = load(f"audio:{root}")
        assert found.remark == f"{root}: 1 of 5 clips have samples beyond full scale, which were clipped"
    items = torch.cat([found.train.items, found.held_out.items])
    assert (int(items.min()), int(items.max())) == (-32768, 32767)


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x")
    (root / "notes.txt").write_text("no sound")
    (root / ".hidden.wav").write_text("no sound")
    assert load(f"audio:{root}").remark == f"{root}: passed over: 1 file of another kind, 1 hidden file"


def spoilt(root: Path, content: bytes, name: str = "bad.wav") -> Path:
    folder_of(root)
    (root / name).write_bytes(content)
    return root


def test_files_that_are_no_sound_are_one_line(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.wav", sine(200, 400)).read_bytes()
    flac = write(tmp_path / "whole.flac", np.random.default_rng(0).standard_normal(9000) * 0.1).read_bytes()
    bad = {
        "empty": (b"", "bad.wav", "empty; remove it"),
        "text": (b"no sound" * 9, "bad.wav", "not a readable sound file"),
        "cut": (whole[:500], "bad.wav", "truncated: it has 500 of 844 bytes; replace or remove it"),
        "flac": (flac[:9000], "bad.flac", ""),
        "none": (write(tmp_path / "none.wav", np.zeros(0)).read_bytes(), "bad.wav", "holds no samples; remove it"),
        "rate": (whole[:24] + bytes(4) + whole[28:], "bad.wav", ""),
    }
    for case, (content, name, message) in bad.items():
        root = spoilt(tmp_path / case, content, name)
        said = refused(f"audio:{root},seconds=2")
        assert f"{root / name}: " in said, case
        assert message in said, case


@pytest.mark.parametrize(
    ("name", "form", "fault"),
    [
        ("x.wav", {"endian": "BIG"}, "it has {:,} of {:,} bytes"),
        ("x.wav", {"format": "RF64"}, "it has {:,} of {:,} bytes"),
        ("x.wav", {"format": "W64"}, "it has {:,} of {:,} bytes"),
        ("x.wav", {"format": "AIFF"}, "it has {:,} of {:,} bytes"),
        ("x.ogg", {"subtype": "VORBIS"}, "its last page is incomplete"),
        ("x.ogg", {"subtype": "OPUS"}, "its last page is incomplete"),
    ],
)
def test_a_file_cut_anywhere_is_refused_and_a_whole_one_is_not(
    tmp_path: Path, name: str, form: dict[str, str], fault: str
) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(8000)
    soundfile.write(str(tmp_path / name), samples, RATE, **form)
    assert read_header(tmp_path / name).frames == 8000
    whole = (tmp_path / name).read_bytes()
    for size in (len(whole) * 6 // 10, len(whole) - 2):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(InputError) as error:
            read_header(tmp_path / name)
        assert str(error.value).endswith(f": truncated: {fault.format(size, len(whole))}; replace or remove it")


def test_an_ogg_file_without_the_page_that_ends_it_is_refused_and_one_with_something_appended_is_not(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "x.ogg", 0.1 * np.random.default_rng(0).standard_normal(80_000), subtype="VORBIS")
    whole = path.read_bytes()
    path.write_bytes(whole + b"TAG" + bytes(125))
    assert read_header(path).frames == 80_000
    path.write_bytes(whole[: whole.rindex(b"OggS")])
    with pytest.raises(InputError, match="truncated: the page that ends its stream is missing; replace or remove it"):
        read_header(path)


def test_a_wav_file_whose_samples_end_before_their_chunk_is_refused_unless_it_is_a_stream(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.wav", sine(200, 400)).read_bytes()
    path = tmp_path / "cut.wav"
    path.write_bytes(whole[:4] + (492).to_bytes(4, "little") + whole[8:500])
    with pytest.raises(InputError, match="truncated: it has 500 of 844 bytes"):
        read_header(path)
    for size in (0, 0xFFFFFFFF):
        path.write_bytes(whole[:4] + size.to_bytes(4, "little") + whole[8:500])
        assert read_header(path).frames == 228
    open_size = 0x7FFFF000  # what sox writes into a pipe
    head = whole[:4] + (open_size + 36).to_bytes(4, "little") + whole[8:40] + open_size.to_bytes(4, "little")
    path.write_bytes(head + whole[44:])
    assert read_header(path).frames == 400


@pytest.mark.parametrize("rate", [1, 99, 1_000_001, 2_000_000_011])
def test_a_file_whose_header_gives_an_absurd_rate_is_named_whatever_rate_is_asked_for(
    tmp_path: Path, rate: int
) -> None:
    """The filter's length grows with the rate: for two gigahertz it took 300 GB."""
    root = folder_of(tmp_path / "x")
    whole = (root / "2.wav").read_bytes()
    (root / "2.wav").write_bytes(whole[:24] + rate.to_bytes(4, "little") + whole[28:])
    assert refused(f"audio:{root},rate=8000,seconds=0.1").endswith(
        f"{root / '2.wav'}: its header says {rate:,} samples a second, and rates from 100 to 1,000,000 Hz are read; "
        "repair or remove it"
    )


def test_a_flac_stream_of_unknown_length_is_named(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x")
    path = write(root / "stream.flac", sine(200, 400))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the number of samples
    path.write_bytes(content)
    for options in ("seconds=0.05", "window=0.05"):
        assert refused(f"audio:{root},{options}").endswith(
            f"{path}: does not say how long it is, as it was written as a stream; convert it to a file"
        )


@pytest.mark.filterwarnings("error")
def test_values_near_the_largest_float_are_clipped_or_refused_without_a_warning(tmp_path: Path) -> None:
    root = tmp_path / "x"
    for number in range(4):
        write(root / f"{number}.wav", np.full((400, 2), 3.3e38), subtype="FLOAT")
    found = load(f"audio:{root}")
    assert found.remark == f"{root}: 4 of 4 clips have samples beyond full scale, which were clipped"
    assert torch.equal(found.train.items, torch.full_like(found.train.items, 32767))
    for options in ("channels=1", "channels=1,rate=4000", "rate=16000"):
        assert refused(f"audio:{root},{options}").endswith(
            ".wav: holds values so large that their sums are infinite; repair or remove it"
        )


def test_a_format_that_can_only_be_read_in_sequence_has_a_beginning_and_no_windows(tmp_path: Path) -> None:
    root = tmp_path / "x"
    for number in range(4):
        write(root / f"{number}.wav", sine(200, 3200), subtype="GSM610")
    assert load(f"audio:{root}").shape == torch.Size([1, 3200])
    assert load(f"audio:{root},seconds=0.2,rate=4000").shape == torch.Size([1, 800])
    assert refused(f"audio:{root},window=0.1").endswith(
        ".wav: its format has no windows, as it can only be read from the start; convert it"
    )


def test_a_pipe_among_clips_is_named(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x")
    os.mkfifo(root / "pipe.wav")  # opening it would block
    with pytest.raises(InputError, match=r"pipe\.wav: is not a regular file; remove it"):
        read_header(root / "pipe.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_file_with_nan_is_named(tmp_path: Path, value: float) -> None:
    root = folder_of(tmp_path / "x")
    samples = sine(200, 400)
    samples[7] = value
    write(root / "nan.wav", samples, subtype="FLOAT")
    assert refused(f"audio:{root}").endswith(
        f"{root / 'nan.wav'}: holds values that are NaN or infinite; repair or remove it"
    )
    assert not list((tmp_path / "cache" / "datasets").glob("*.bin")), (
        "a file with such values leaves nothing in the cache"
    )


def test_files_that_differ_are_refused_with_what_to_do(tmp_path: Path) -> None:
    rates = folder_of(tmp_path / "rates")
    write(rates / "x.wav", sine(200, 800, 16_000), 16_000)
    assert "files differ in sample rate: " in refused(f"audio:{rates}")
    assert refused(f"audio:{rates}").endswith("; rate=N resamples all to N")
    assert load(f"audio:{rates},rate=8000").shape == torch.Size([1, 400])
    lengths = folder_of(tmp_path / "lengths")
    write(lengths / "x.wav", sine(200, 800))
    assert "seconds=S takes the first S of each, window=S all windows of S" in refused(f"audio:{lengths}")
    many = folder_of(tmp_path / "many")
    write(many / "x.wav", np.zeros((400, 6)))
    assert "x.wav has 6 channels; channels=1 takes their mean" in refused(f"audio:{many}")
    assert load(f"audio:{many},channels=1").shape == torch.Size([1, 400])
    mixed = folder_of(tmp_path / "mixed")
    write(mixed / "x.wav", np.zeros((400, 2)))
    found = load(f"audio:{mixed}")
    assert found.shape == torch.Size([1, 400])
    assert found.remark == f"{mixed}: of 1 of 5 files the mean of the channels was taken"
    doubled = load(f"audio:{mixed},channels=2")
    assert doubled.shape == torch.Size([2, 400])
    assert doubled.remark == f"{mixed}: of 4 of 5 files the one channel was repeated"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("rate=0", "rate must be at least 1, not 0"),
        ("rate=50", "a rate must be from 100 to 1,000,000 Hz, not 50"),
        ("seconds=0", "seconds must be a number above 0, such as 0.5, not '0'"),
        ("seconds=1e-9", "1e-09 seconds at 8000 Hz are less than one sample; use more"),
        ("channels=3", "channels must be 1 or 2, not 3"),
        ("window=0.01,seconds=1", "seconds= takes the beginning of each file, window= all windows; give one of them"),
        ("window=9", "windows of 9 s are longer than all files of a split; ask for shorter ones"),
        ("second=1", "no option is called 'second'"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, options: str, message: str) -> None:
    root = folder_of(tmp_path / "x")
    assert message in refused(f"audio:{root},{options}")


def test_folders_without_sounds_are_one_line(tmp_path: Path) -> None:
    assert refused(f"audio:{tmp_path / 'none'}").endswith("none: no such folder")
    (tmp_path / "empty").mkdir()
    assert "no sounds in" in refused(f"audio:{tmp_path / 'empty'}")
    path = write(tmp_path / "one" / "x.wav", sine(200, 400))
    assert refused(f"audio:{path}").endswith("is a file; give the folder that holds it")
    assert "holds 1 sound; at least one to train on" in refused(f"audio:{path.parent}")
    with pytest.raises(InputError, match="--image-size 8 has no effect on clips"):
        load(f"audio:{path.parent}", image_size=8)


def test_without_soundfile_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path / "x")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert refused(f"audio:{root}").endswith("0.wav: needs the package soundfile: pip install genbench[audio]")


# Downloads


def recording(seed: int) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(seed).standard_normal(600) * 0.1
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


FSDD = {
    **{
        f"free-spoken-digit-dataset-1.0.9/recordings/{digit}_{speaker}_{take}.wav": recording(take)
        for digit in range(10)
        for speaker in ("jackson", "yweweler")
        for take in (0, 4, 5, 49)
    },
    "free-spoken-digit-dataset-1.0.9/README.md": b"words",
    "free-spoken-digit-dataset-1.0.9/utils/../../outside.wav": b"no recording",
}
SC09 = {
    **{f"./{word}/{name}_nohash_0.wav": recording(7) for word in (*spoken.DIGITS, "bed") for name in "abcd"},
    "./validation_list.txt": b"\n".join(f"{word}/a_nohash_0.wav".encode() for word in (*spoken.DIGITS, "bed")),
    "./testing_list.txt": b"\n".join(f"{word}/b_nohash_0.wav".encode() for word in (*spoken.DIGITS, "bed")),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Small versions of both archives, on a local server; the list holds the requested paths."""
    asked: list[str] = []
    content = {"spoken-digits": tar(FSDD), "sc09": tar(SC09)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = content[self.path[1:]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        rows = {}
        for name, row in spoken._ROWS.items():
            digest = hashlib.sha256(content[name]).hexdigest()
            archive = replace(row.archive, urls=(f"http://127.0.0.1:{http.server_port}/{name}",), checksum=digest)
            rows[name] = replace(row, archive=archive)
        monkeypatch.setattr(spoken, "_ROWS", rows)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield asked
        http.shutdown()
        thread.join()


def test_spoken_digits_are_fetched_once_and_split_by_their_takes(server: list[str], tmp_path: Path) -> None:
    found = load("spoken-digits:seconds=0.1", data_root=tmp_path / "data")
    assert (found.shape, found.data.sample_rate) == (torch.Size([1, 800]), 8_000)
    assert (len(found.train), len(found.held_out)) == (40, 40)
    assert found.class_names == tuple(f"{digit} {word}" for digit, word in enumerate(spoken.DIGITS))
    assert found.train.labels is not None
    assert torch.bincount(found.train.labels).tolist() == [4] * 10
    assert found.remark is not None
    assert "80 of 80 files are shorter than 0.1 s" in found.remark
    assert not list(tmp_path.rglob("outside.wav"))
    again = load("spoken-digits:seconds=0.1", data_root=tmp_path / "data", download=False)
    assert again.fingerprint == found.fingerprint
    assert server == ["/spoken-digits"]
    assert load("spoken-digits", data_root=tmp_path / "data").shape == torch.Size([1, 8000])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("seconds=0", "seconds must be a number above 0"),
        ("rate=0", "rate must be at least 1, not 0"),
        ("rate=99", "a rate must be from 100 to 1,000,000 Hz, not 99"),
        ("channels=3", "channels must be 1 or 2, not 3"),
        ("seconds=1,window=1", "give one of them"),
    ],
)
def test_a_bad_option_is_refused_before_the_archive_is_fetched(tmp_path: Path, option: str, message: str) -> None:
    for name in ("spoken-digits", "sc09"):
        with pytest.raises(InputError) as error:
            load(f"{name}:{option}", data_root=tmp_path / "data", download=False)
        assert message in str(error.value)


def test_sc09_takes_the_ten_digits_and_the_lists_of_its_authors(server: list[str], tmp_path: Path) -> None:
    found = load("sc09:rate=8000,seconds=0.05", data_root=tmp_path / "data")
    assert (len(found.train), len(found.held_out), found.classes) == (20, 10, 10)
    assert found.held_out.labels is not None
    assert found.held_out.labels.tolist() == list(range(10))
    assert not (tmp_path / "data" / "sc09" / "recordings" / "bed").exists()


def test_what_cannot_be_fetched_or_unpacked_is_one_line(
    server: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"could not be fetched \(downloading is switched off\); put free-spoken-"):
        load("spoken-digits", data_root=tmp_path / "a", download=False)
    row = spoken._ROWS["sc09"]
    monkeypatch.setitem(spoken._ROWS, "sc09", replace(row, archive=replace(row.archive, checksum="0" * 64)))
    with pytest.raises(InputError, match="corrupt, its SHA-256 is"):
        load("sc09", data_root=tmp_path / "a")
    folder = tmp_path / "b" / "sc09" / "recordings"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="recordings is incomplete") as error:
        load("sc09", data_root=tmp_path / "b")
    assert "\n" not in str(error.value)


def test_stored_form_is_the_same_for_one_file_and_for_many(tmp_path: Path) -> None:
    """`fill` processes files in order, however many windows each one has."""
    first, second = write(tmp_path / "a.wav", sine(200, 350)), write(tmp_path / "b.wav", sine(300, 250))
    found = [read_header(path) for path in (first, second)]
    form = sounds.common_form(found, 0.0125, None, None, windowed=True)
    assert sounds.clip_counts(found, form) == [3, 2]
    target = np.zeros((5, 1, 100), np.int16)
    assert sounds.fill(found, form, target) is None
    expected = np.concatenate([sine(200, 300), sine(300, 200)])
    assert float(np.abs(target.reshape(-1) - 32768 * expected).max()) <= 1
