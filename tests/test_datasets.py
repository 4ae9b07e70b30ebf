"""The table of datasets, its errors, the digits, and the cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench import datasets
from genbench.datasets import SOURCES, load, presence_of, storage
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.decoding import resize_all
from genbench.errors import InputError

MNIST_SUBSET = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GENBENCH_DATA", raising=False)
    return tmp_path / "cache"


def assert_same(first: Dataset, second: Dataset) -> None:
    assert first.fingerprint == second.fingerprint
    for one, other in ((first.train, second.train), (first.held_out, second.held_out)):
        assert torch.equal(one.items, other.items)
        assert (one.labels is None) == (other.labels is None)
        assert one.labels is None or torch.equal(one.labels, other.labels)


# The table


def test_table_names_every_dataset_and_imports_no_torch():
    program = (
        "import sys; from genbench.datasets import SOURCES, presence_of\n"
        "for name in SOURCES: presence_of(name)\n"
        "assert not {'torch', 'torchvision', 'sklearn', 'numpy'} & set(sys.modules), 'heavy import'\n"
        "print(*SOURCES)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {
        *("digits", "shapes", "gaussians", "folder", "npz", "mnist", "fashion-mnist", "kmnist", "emnist"),
        *("cifar10", "cifar100", "svhn", "stl10", "celeba"),
        *("grammar", "names", "text", "tiny-shakespeare", "text8"),
        *("tones", "audio", "spoken-digits", "sc09"),
    }


@pytest.mark.parametrize("name", SOURCES)
def test_every_row_is_complete(name):
    source = SOURCES[name]
    assert source.name == name
    assert source.summary
    assert "\n" not in source.summary + source.licence
    assert bool(source.files) == source.needs_download
    assert (Path(datasets.__file__).parent / f"{source.module}.py").is_file()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnst", "unknown dataset 'mnst'; did you mean mnist"),
        ("zzz", "unknown dataset 'zzz'; known: audio, celeba, cifar10"),
        ("mnist:3", "dataset 'mnist:3': no option is called '3'; known: fraction, held_out"),
        ("folder", "dataset 'folder': folder needs its argument; write folder:PATH"),
        ("gaussians:", "dataset 'gaussians:': gaussians needs its argument; write gaussians:ring or grid"),
    ],
)
def test_a_wrong_name_is_one_line(spec, message):
    with pytest.raises(InputError) as caught:
        load(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_given_as_a_name_is_pointed_to_the_right_spelling(tmp_path):
    with pytest.raises(InputError, match=f"for a folder of images write folder:{tmp_path}"):
        load(str(tmp_path))


def test_an_impossible_size_is_refused():
    with pytest.raises(InputError, match="images cannot be 0 pixels wide; give --image-size 1 or more"):
        load("digits", image_size=0)


# Where the data is


@pytest.mark.parametrize("name", ["digits", "shapes", "gaussians", "folder", "npz"])
def test_what_needs_no_download_is_available(name):
    assert presence_of(name).available


def test_presence_names_the_missing_file_and_how_to_get_it(tmp_path, monkeypatch):
    presence = presence_of("mnist", tmp_path)
    assert not presence.available
    assert presence.looked_for == tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    others = len(SOURCES["mnist"].files) - 1
    assert f"put MNIST/raw/train-images-idx3-ubyte and {others} more into the data root" in presence.advice
    for file in SOURCES["mnist"].files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert presence_of("mnist", tmp_path).available
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path))
    assert presence_of("mnist").available
    assert not presence_of("svhn").available


def test_presence_of_a_folder(tmp_path):
    assert presence_of(f"folder:{tmp_path}").available
    assert not presence_of(f"folder:{tmp_path}/none").available


def test_data_root_defaults_to_a_folder_in_the_cache(cache):
    assert datasets.default_data_root() == cache / "data"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"GENBENCH_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/genbench"),
        ({}, str(Path.home() / ".cache/genbench")),
    ],
)
def test_cache_root(environment, expected, monkeypatch):
    for name in ("GENBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert datasets.cache_root() == Path(expected)


# Digits


def test_digits():
    digits = load("digits")
    assert (digits.name, digits.classes, digits.class_names) == ("digits", 10, tuple("0123456789"))
    assert digits.shape == torch.Size([1, 8, 8])
    assert (len(digits.train), len(digits.held_out)) == (1297, 500)
    for split in (digits.train, digits.held_out):
        assert split.items.dtype == torch.uint8
        assert split.items.is_contiguous()
        assert split.labels.dtype == torch.int64
        assert split.labels.unique().tolist() == list(range(10))
        assert int(split.items.max()) == 255
    # A different order, split or rounding makes a different dataset, and shipped weights are tied to this one.
    assert digits.fingerprint == "11b0eb47f69712d61fb5e82a08751c50dd41c83317246b83f052132358a6d1df"


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    expected = {
        (tuple(round(v * 255 / 16) for v in row), int(label))
        for row, label in zip(bunch.data, bunch.target, strict=True)
    }
    digits = load("digits")
    found = {
        (tuple(image.flatten().tolist()), int(label))
        for split in (digits.train, digits.held_out)
        for image, label in zip(split.items, split.labels, strict=True)
    }
    assert found == expected


def test_a_part_of_the_digits():
    digits, part = load("digits"), load("digits:held_out=100,fraction=0.5")
    assert (part.name, part.source) == ("digits:held_out=100,fraction=0.5", "digits")
    assert (len(part.train), len(part.held_out), part.class_names) == (648, 100, digits.class_names)
    assert (part.train.labels.bincount() - digits.train.labels.bincount() / 2).abs().max() < 1
    assert load("digits:fraction=1").fingerprint == digits.fingerprint
    with pytest.raises(InputError, match="held_out=501 is more than the 500 images that it holds out"):
        load("digits:held_out=501")


def test_image_size_gives_another_dataset_in_the_same_order():
    digits, doubled = load("digits"), load("digits", image_size=16)
    assert doubled.shape == torch.Size([1, 16, 16])
    assert torch.equal(doubled.train.labels, digits.train.labels)
    assert doubled.fingerprint != digits.fingerprint
    # Averaged over 2 × 2 pixels they are nearly the digits again; a different order would differ by 70.
    back = doubled.train.items.float().unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5))
    assert float((back - digits.train.items).abs().mean()) < 15


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_antialiased(channels):
    ticks = np.arange(16)
    board = np.broadcast_to((ticks[:, None] + ticks) % 2 * 255, (5, channels, 16, 16)).astype(np.uint8)
    target = np.empty((5, channels, 5, 5), np.uint8)
    done = []
    resize_all(board, target, lambda *counts: done.append(counts))
    # An aliased resizer picks black and white pixels; if every source pixel counts, all results are grey.
    assert 100 < target.min() <= target.max() < 156
    assert done == [(5, 5)]


# Fingerprints


def test_resizing_is_pils_bicubic():
    digits, larger = load("digits"), load("digits", image_size=20)
    for index in (0, 700):
        by_pil = Image.fromarray(digits.train.items[index, 0].numpy()).resize((20, 20), Image.Resampling.BICUBIC)
        assert np.array_equal(larger.train.items[index, 0].numpy(), np.asarray(by_pil))


def split_of(*values: int, labels: list[int] | None = None) -> Split:
    images = torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return Split(images, None if labels is None else torch.tensor(labels))


def test_equal_data_has_an_equal_fingerprint():
    one, other = split_of(1, 2, 3, labels=[0, 1, 0]), split_of(4)
    assert fingerprint(one, other) == fingerprint(split_of(1, 2, 3, labels=[0, 1, 0]), split_of(4))


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        (split_of(1, 2, 9, labels=[0, 1, 0]), split_of(4)),
        (split_of(1, 2, 3, labels=[0, 1, 1]), split_of(4)),
        (split_of(1, 2, 3), split_of(4)),
        (split_of(1, 2, labels=[0, 1]), split_of(3, 4)),
        (split_of(4), split_of(1, 2, 3, labels=[0, 1, 0])),
    ],
)
def test_other_data_has_another_fingerprint(train, held_out):
    assert fingerprint(train, held_out) != fingerprint(split_of(1, 2, 3, labels=[0, 1, 0]), split_of(4))


def test_fingerprint_does_not_depend_on_chunks(monkeypatch):
    from genbench.datasets import dataset

    splits = split_of(*range(10)), split_of(4)
    whole = fingerprint(*splits)
    monkeypatch.setattr(dataset, "_CHUNK_BYTES", 3)
    assert fingerprint(*splits) == whole


@pytest.mark.skipif(not (MNIST_SUBSET / "MNIST").is_dir(), reason=f"the MNIST subset is not at {MNIST_SUBSET}")
def test_mnist_subset_is_read_and_nothing_is_written_beside_it(capfd):
    before = sorted(MNIST_SUBSET.rglob("*"))
    mnist = load("mnist", data_root=MNIST_SUBSET, download=False)
    assert (len(mnist.train), len(mnist.held_out), mnist.classes) == (8000, 2000, 10)
    assert mnist.shape == torch.Size([1, 28, 28])
    assert mnist.fingerprint == "2b02c2fa678a325e8d2dfafac5559ccd0d87a537038b262cd22e694f96b6ccfa"
    assert sorted(MNIST_SUBSET.rglob("*")) == before
    assert capfd.readouterr() == ("", "")
    assert load("mnist", data_root=MNIST_SUBSET, image_size=32).shape == torch.Size([1, 32, 32])


# What is cached


def test_a_second_load_decodes_nothing(cache, monkeypatch):
    first = load("digits")
    monkeypatch.setattr("genbench.datasets.digits._plan", lambda request: pytest.fail("made twice"))
    assert_same(first, load("digits"))


def test_large_sets_are_memory_mapped(cache, monkeypatch):
    in_memory = load("digits")
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    mapped = load("digits")
    assert_same(in_memory, mapped)
    assert fingerprint(mapped.train, mapped.held_out) == mapped.fingerprint
    (images,) = (cache / "datasets").glob("digits-*.bin")
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(images) in maps.read_text()


@pytest.mark.parametrize("fault", ["truncated", "no facts", "broken facts", "other stamp"])
def test_a_damaged_cache_is_made_again(cache, fault):
    first = load("digits")
    (images,) = (cache / "datasets").glob("digits-*.bin")
    facts = images.with_suffix(".json")
    if fault == "truncated":
        images.write_bytes(images.read_bytes()[:-8])
    elif fault == "no facts":
        facts.unlink()
    elif fault == "broken facts":
        facts.write_text("{")
    else:
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"stamp": "other", "train_count": 3}))
    assert_same(first, load("digits"))


def test_an_unwritable_cache_costs_only_the_keeping(monkeypatch):
    kept = load("digits")
    monkeypatch.setenv("GENBENCH_CACHE", "/dev/null/nowhere")
    assert_same(kept, load("digits"))


def test_an_unwritable_cache_is_an_error_for_what_does_not_fit_the_memory(monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", "/dev/null/nowhere")
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    with pytest.raises(InputError, match=r"dataset 'digits': its 0\.0 GB cannot be kept in /dev/null/nowhere.*CACHE"):
        load("digits")


def test_two_processes_make_the_same_file_once(cache, tmp_path):
    """The second process waits for the first one's lock, and then finds the file."""
    program = (
        "import sys, time\n"
        "from genbench.datasets import digits, load\n"
        "plan = digits._plan\n"
        "def slow(request):\n"
        "    print('made'); time.sleep(0.5)\n"
        "    return plan(request)\n"
        "digits._plan = slow\n"
        "load('digits')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert "".join(answers) == "made\n"
