"""The cache: its contents are checked, private to the user and never more than fits, and leftovers are swept."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.cell.preflight import check_data
from genbench.config import Cell, ModelSpec, Settings
from genbench.datasets import digits as digits_module
from genbench.datasets import load, room, storage
from genbench.datasets.locking import locked
from genbench.errors import InputError
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.features import classifier_network
from genbench.features import load as load_extractor
from genbench.features.tensor_cache import read_cached, write_cached
from genbench.machine import atomic

CPU = torch.device("cpu")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(cache: Path) -> tuple[Path, Path]:
    """The file with the images and labels, and the one with the facts."""
    (images,) = (cache / "datasets").glob("*.bin")
    return images, images.with_suffix(".json")


def zero_images(images: Path, facts: Path) -> None:
    with images.open("r+b") as file:
        file.write(bytes(1000))


def zero_labels(images: Path, facts: Path) -> None:
    with images.open("r+b") as file:
        file.seek(-80, os.SEEK_END)
        file.write(bytes(80))


def restore_times(images: Path, facts: Path) -> None:
    before = images.stat()
    zero_images(images, facts)
    os.utime(images, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_a_pipe(images: Path, facts: Path) -> None:
    facts.unlink()
    os.mkfifo(facts)  # opening it would block


def change(**values: object):
    def write(images: Path, facts: Path) -> None:
        facts.write_text(json.dumps(json.loads(facts.read_text()) | values))

    return write


@pytest.mark.parametrize(
    "damage",
    [
        zero_images,
        zero_labels,
        restore_times,
        replace_by_a_pipe,
        change(class_names=["0", "1"]),
        change(train_count=1),
        change(shape=[1, 2]),
        change(shape="wide"),
        change(fingerprint="0" * 64),
        change(labelled=False),
        lambda images, facts: facts.write_text("[" * 100_000),
        lambda images, facts: facts.write_text("[]"),
        lambda images, facts: facts.write_bytes(b"\xff"),
    ],
)
def test_a_kept_dataset_with_other_content_is_made_again(cache: Path, damage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("digits")
    damage(*kept(cache))
    monkeypatch.setattr(storage, "_checked", set())  # as in a process that has not read it yet
    second = load("digits")
    assert second.fingerprint == first.fingerprint
    assert torch.equal(second.train.items, first.train.items)
    assert torch.equal(second.held_out.labels, first.held_out.labels)
    assert second.class_names == first.class_names
    monkeypatch.setattr("genbench.datasets.digits._plan", lambda request: pytest.fail("not mended"))
    load("digits")


def test_the_digits_of_another_scikit_learn_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    load("digits")
    asked, plan = [], digits_module._plan
    monkeypatch.setattr(digits_module, "_plan", lambda request: asked.append(request) or plan(request))
    load("digits")
    assert asked == []
    monkeypatch.setattr(digits_module, "version", lambda name: f"another {name}")
    load("digits")
    assert len(asked) == 1


def test_content_is_checked_once_a_process_and_again_when_the_file_changes(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = []
    plain = storage.fingerprint
    monkeypatch.setattr(storage, "fingerprint", lambda *splits, **_: checks.append(0) or plain(*splits))
    for expected in (1, 2, 2, 2):  # computed when written, checked when read back the first time
        load("digits")
        assert len(checks) == expected
    zero_images(*kept(cache))
    load("digits")
    assert len(checks) == 4  # found to differ, and computed again


def test_what_does_not_fit_the_disk_is_refused_before_anything_is_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(1, 1, 1_000_000))
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(storage, "_reserve", lambda *arguments: pytest.fail("written"))
    with pytest.raises(InputError, match=r"dataset 'digits': its 0\.0 GB cannot be kept in .*No space left on device"):
        load("digits", image_size=64)
    assert not (cache / "datasets").exists()


def test_what_fits_the_memory_alone_is_loaded_without_being_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(1, 1, 0))
    assert len(load("digits").train) == 1297
    assert not list((cache / "datasets").glob("*.bin"))


@pytest.mark.parametrize("size", [1_000_000, 10**12])  # the second needs more bytes than 64 bits can count
def test_an_image_that_does_not_fit_the_memory_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=r"^dataset 'digits': its images need [0-9,.]+ GB of memory, and [0-9,.]+ GB"):
        load("digits", image_size=size)


def test_samples_that_do_not_fit_the_memory_are_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: namedtuple("Memory", "available total")(10**7, 10**10))
    cell = Cell(ModelSpec("noise"), "digits", 0, Settings(samples=200_000, device="cpu"))
    with pytest.raises(InputError, match=r"^200,000 samples of digits need 0\.0 GB of memory"):
        check_data(cell, lambda event: None)


def test_what_killed_processes_left_is_swept_when_a_dataset_is_loaded(cache: Path) -> None:
    folder = cache / "datasets"
    folder.mkdir(parents=True)
    left, written = folder / ".partial-left.bin", folder / ".partial-written.bin"
    left.write_bytes(bytes(10))
    (folder / ".partial-link.bin").symlink_to(folder / "elsewhere")
    with written.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)  # its writer is still alive
        load("gaussians")
        assert not left.exists()
        assert written.exists()


# Files in a folder that others can write to


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_kept_is_for_the_user_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_network, "_FEWEST_STEPS", 2)
    monkeypatch.setattr(classifier_network, "_MOST_STEPS", 2)
    digits = load("digits")
    extractor = load_extractor("classifier", dataset=replace(digits, name="few"), device=CPU)
    reference_for(digits, extractor)
    paths = [path for path in cache.rglob("*") if path.name not in (".", "..")]
    assert {path.parent.name for path in paths if path.is_file()} == {"datasets", "classifiers", "features"}
    assert {mode(path) for path in paths if path.is_file()} == {0o600}
    assert {mode(path) for path in (cache, *paths) if path.is_dir()} == {0o700}


def test_results_are_as_readable_as_any_other_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "made" / "report.md", "text")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert mode(tmp_path / "made" / "report.md") == 0o640
    assert mode(tmp_path / "made") == 0o750


def test_a_link_in_place_of_a_lock_is_refused_and_what_it_names_left_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock = tmp_path / ".data.bin.lock"
    lock.symlink_to(victim)
    message = r"\.data\.bin\.lock: a symbolic link where a lock belongs; remove it$"
    with pytest.raises(InputError, match=message), locked(tmp_path / "data.bin"):
        pytest.fail("locked")
    assert victim.read_text() == "precious"


def test_a_lock_empties_nothing_and_is_held_once(tmp_path: Path) -> None:
    lock = tmp_path / "made" / ".data.bin.lock"
    lock.parent.mkdir()
    lock.write_text("of another program")
    with locked(lock.parent / "data.bin"):
        assert lock.read_text() == "of another program"
        with lock.open() as other, pytest.raises(OSError) as caught:  # noqa: PT011 - its errno is checked below
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert caught.value.errno == errno.EWOULDBLOCK
    with lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert lock.read_text() == "of another program"


@pytest.mark.parametrize("private", [True, False])
def test_a_lock_leaves_no_file_and_no_folder_that_it_made(tmp_path: Path, private: bool) -> None:
    (tmp_path / "there").mkdir()
    for data in (tmp_path / "there" / "data.bin", tmp_path / "a" / "b" / "data.bin"):
        lock = locked(data, private)
        lock.__enter__()
        assert [path.name for path in data.parent.iterdir()] == [".data.bin.lock"]
        assert not lock.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    with locked(tmp_path / "a" / "data.bin"):
        (tmp_path / "a" / "data.bin").write_text("built")
    assert (tmp_path / "a" / "data.bin").read_text() == "built"


def test_a_lock_that_is_removed_is_never_held_twice(tmp_path: Path) -> None:
    """Those who waited for a file that is gone by then take another; the folder comes and goes too."""
    inside, overlaps = threading.Semaphore(1), 0

    def work() -> None:
        nonlocal overlaps
        for _ in range(60):
            with locked(tmp_path / "made" / "data.bin", private=False):
                overlaps += not inside.acquire(blocking=False)
                time.sleep(0.0002)
                inside.release()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == 0
    assert [*tmp_path.rglob("*.lock")] == []


def test_writing_to_a_link_replaces_the_link(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "report.md"
    victim.write_text("precious")
    link.symlink_to(victim)
    atomic.write_text(link, "new")
    assert (victim.read_text(), link.read_text(), link.is_symlink()) == ("precious", "new", False)


# Features and statistics


def test_cached_tensors_keep_their_bits_and_types(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 5),
        "b": torch.randn(4, dtype=torch.float64),
        "c": torch.arange(3),
        "d": torch.ones(()),
    }
    write_cached(tmp_path / "t.safetensors", tensors)
    found = read_cached(tmp_path / "t.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)


@pytest.mark.parametrize("place", [-1, -30, 20])
def test_a_flipped_bit_in_cached_tensors_is_found(tmp_path: Path, place: int) -> None:
    path = tmp_path / "t.safetensors"
    write_cached(path, {"a": torch.zeros(3, 5), "b": torch.zeros(4, dtype=torch.float64)})
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert read_cached(path) == {}


def test_a_pipe_in_place_of_cached_tensors_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.safetensors")  # opening it would block
    assert read_cached(tmp_path / "t.safetensors") == {}


@pytest.mark.parametrize("kind", ["features", "statistics"])
def test_damaged_features_and_statistics_are_made_again(cache: Path, kind: str) -> None:
    digits = load("digits")
    extractor = load_extractor("digits-cnn", dataset=digits, device=CPU)

    def numbers() -> dict[str, float]:
        evaluator = Evaluator(digits, extractor, reference_for(digits, extractor), select(["fd"]))
        return {name: number.value for name, number in evaluator.score(digits.held_out.items[:100], None).items()}

    first = numbers()
    paths = list((cache / kind).glob("*.safetensors"))
    assert paths
    for path in paths:
        data = bytearray(path.read_bytes())
        data[-2000:] = bytes(2000)  # same size, and still finite
        path.write_bytes(data)
    assert numbers() == first
    whole: list[dict[str, Tensor]] = [read_cached(path) for path in paths]
    assert all(whole)
