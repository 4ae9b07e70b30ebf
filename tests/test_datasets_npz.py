"""`npz:PATH`: which layouts and names are read, how it is split, and what each fault says."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import numpy.lib.format as npy
import pytest
import torch
from PIL import Image

from genbench.datasets import arrays, load, npy_file, npz, presence_of, storage
from genbench.errors import InputError

COUNT, HELD_OUT = 12, 5
RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(256, size=(COUNT + HELD_OUT, 6, 8, 3), dtype=np.uint8)
LABELS = RANDOM.permutation(np.arange(COUNT + HELD_OUT) % 3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.npz"


def numbered(count: int) -> np.ndarray:
    """Grey images whose first pixel is their index in the file."""
    images = np.zeros((count, 4, 4), np.uint8)
    images[:, 0, 0] = np.arange(count)
    return images


def places(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def fault(path: Path, part: str = "", **options: int) -> str:
    spec = f"npz:{path}{part}"
    with pytest.raises(InputError) as caught:
        load(spec, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"dataset '{spec}': ")
    return message.removeprefix(f"dataset '{spec}': ").removeprefix(f"{path}: ")


# Layouts and names


def split_arrays(images: np.ndarray, labels: np.ndarray | None = LABELS) -> dict[str, np.ndarray]:
    """The first `COUNT` images to train on and the others held out, with their order in memory unchanged."""
    order = "F" if images.flags.f_contiguous else "C"
    arrays = {"images": images[:COUNT].copy(order), "held_out_images": images[COUNT:].copy(order)}
    if labels is not None:
        arrays |= {"labels": labels[:COUNT], "held_out_labels": labels[COUNT:]}
    return arrays


@pytest.mark.parametrize("image_size", [None, 5])
@pytest.mark.parametrize("grey", [False, True])
def test_both_layouts_are_the_dataset_that_a_folder_of_the_same_images_is(tmp_path, path, grey, image_size):
    images = COLOUR[..., :1] if grey else COLOUR
    order = np.concatenate(
        [np.argsort(LABELS[:COUNT], kind="stable"), COUNT + np.argsort(LABELS[COUNT:], kind="stable")]
    )
    for index in order:  # a folder is read class by class
        target = tmp_path / "images" / ("train" if index < COUNT else "test") / str(LABELS[index]) / f"{index:02}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index, ..., 0] if grey else images[index]).save(target)
    expected = load(f"folder:{tmp_path / 'images'}", image_size=image_size)
    images = images[order]
    layouts = [images, images.transpose(0, 3, 1, 2), np.asfortranarray(images)]
    for layout in [*layouts, images[..., 0]] if grey else layouts:
        np.savez(path, **split_arrays(layout, LABELS[order]))
        found = load(f"npz:{path}", image_size=image_size)
        assert found.fingerprint == expected.fingerprint
        assert torch.equal(found.train.items, expected.train.items)
        assert torch.equal(found.held_out.labels, expected.held_out.labels)
        assert (found.name, found.class_names) == (f"npz:{path}", expected.class_names)
        path.unlink()


@pytest.mark.parametrize("name", ["images", "arr_0", "samples", "other"])
def test_the_images_go_by_several_names(path, name):
    np.savez_compressed(path, **{name: numbered(20), "labels": np.arange(20) % 2})
    found = load(f"npz:{path}")
    assert (found.shape, found.classes, found.remark) == (torch.Size([1, 4, 4]), 2, None)
    assert torch.equal(found.train.labels, torch.tensor(places(found.train.items)) % 2)
    assert torch.equal(found.held_out.labels, torch.tensor(places(found.held_out.items)) % 2)


def test_what_is_not_read_is_named(path):
    np.savez(path, numbered(20), np.arange(20), mu=np.zeros(3))
    found = load(f"npz:{path}")
    assert found.train.labels is None
    assert set((found.remark or "").removeprefix(f"{path}: passed over: ").split(", ")) == {"arr_1", "mu"}


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, ">i4", np.uint64])
def test_labels_are_any_whole_numbers_and_the_classes_their_values_in_order(path, kind):
    values = np.array([7, 3, 100] if np.dtype(kind).kind == "u" else [7, -3, 100], kind)
    np.savez(path, **split_arrays(COLOUR, values[LABELS]))
    found = load(f"npz:{path}")
    names = sorted(values.tolist())
    assert found.class_names == tuple(map(str, names))
    assert [names[label] for label in found.train.labels] == values[LABELS[:COUNT]].tolist()
    assert [names[label] for label in found.held_out.labels] == values[LABELS[COUNT:]].tolist()


# Splits


def test_a_tenth_is_held_out_in_the_proportions_of_the_classes(path):
    labels = np.repeat([0, 1, 2], [140, 40, 20])
    np.savez(path, images=numbered(200), labels=labels)
    found = load(f"npz:{path}")
    assert found.held_out.labels.bincount().tolist() == [14, 4, 2]
    assert sorted(places(found.train.items) + places(found.held_out.items)) == list(range(200))
    for split in (found.train, found.held_out):
        assert places(split.items) == sorted(places(split.items))
        assert split.labels.tolist() == labels[places(split.items)].tolist()
    assert set(places(found.held_out.items)) != set(range(180, 200))


def test_without_labels_a_tenth_is_held_out_and_one_of_few(path):
    for count, held_out in ((2, 1), (4, 1), (200, 20)):
        np.savez(path, images=numbered(count))
        found = load(f"npz:{path}")
        assert (len(found.train), len(found.held_out), found.classes) == (count - held_out, held_out, None)


def test_a_split_of_its_own_is_kept(path):
    np.savez(path, **split_arrays(numbered(COUNT + HELD_OUT), None))
    found = load(f"npz:{path}")
    assert places(found.train.items) == list(range(COUNT))
    assert places(found.held_out.items) == list(range(COUNT, COUNT + HELD_OUT))
    assert len(load(f"npz:{path},held_out=2").held_out) == 2


@pytest.mark.parametrize("own", [False, True])
def test_the_first_of_more_images_than_the_reference_takes_are_of_every_class(path, monkeypatch, own):
    """In a file sorted by class, as many are, the first would all be of one class, and they represent the whole set."""
    monkeypatch.setattr(npz, "REFERENCE_LIMIT", 50)
    more = {"held_out_images": numbered(2), "held_out_labels": np.arange(2)} if own else {}
    np.savez(path, images=numbered(100), labels=np.repeat([0, 1], 50), **more)
    found = load(f"npz:{path}")
    assert found.train.labels[:50].bincount().tolist() == [25, 25]
    assert torch.equal(found.train.labels, (torch.tensor(places(found.train.items)) >= 50).long())


# What is cached


def test_a_file_is_read_once_and_again_when_it_changes(path, cache, monkeypatch):
    np.savez(path, images=numbered(20))
    first = load(f"npz:{path}")
    with monkeypatch.context() as patched:
        patched.setattr(npz, "open_array", lambda *_: pytest.fail("read twice"))
        assert load(f"npz:{path}").fingerprint == first.fingerprint
    np.savez(path, images=numbered(20)[::-1])
    os.utime(path, ns=(1, 1))
    assert load(f"npz:{path}").fingerprint != first.fingerprint
    assert len(list(cache.glob("*.bin"))) == 1


def test_a_file_in_another_size_is_not_taken_from_the_cache_of_the_first(path):
    np.savez(path, images=numbered(20))
    for size in (2, 3, None, 2):
        assert load(f"npz:{path}", image_size=size).shape == torch.Size([1, size or 4, size or 4])


def test_two_files_are_cached_side_by_side(path, monkeypatch):
    other = path.with_name("other.npz")
    for each, count in ((path, 20), (other, 30)):
        np.savez(each, images=numbered(count))
        load(f"npz:{each}")
    monkeypatch.setattr(npz, "_plan", lambda *_: pytest.fail("read twice"))
    counts = [len(found.train) + len(found.held_out) for found in (load(f"npz:{each}") for each in (path, other))]
    assert counts == [20, 30]


@pytest.mark.parametrize("size", [None, 3])
def test_chunks_and_mapping_change_nothing_and_progress_counts_images(path, cache, monkeypatch, size):
    np.savez(path, **split_arrays(COLOUR))
    whole = load(f"npz:{path}", image_size=size)
    monkeypatch.setattr(arrays, "_CHUNK_BYTES", 3 * COLOUR[0].size)
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    monkeypatch.setenv("GENBENCH_CACHE", str(cache.parent.parent / "other"))
    seen: list[tuple[int, int]] = []
    found = load(f"npz:{path}", image_size=size, progress=lambda done, total: seen.append((done, total)))
    assert found.fingerprint == whole.fingerprint
    assert torch.equal(found.held_out.items, whole.held_out.items)
    assert seen == [(done, 17) for done in (3, 6, 9, 12, 15, 17)]


# Faults


def of(**arrays: object) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in arrays.items()}


IMAGES, SPLIT = numbered(6), split_arrays(COLOUR)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (of(images=np.array([object()])), "images: holds Python objects, which genbench never unpickles"),
        (
            of(images=IMAGES, labels=np.array([None] * 6)),
            "labels: holds Python objects, which genbench never unpickles",
        ),
        (of(images=IMAGES / 255), "images: holds float64, expected uint8 in 0..255; round and clip before saving"),
        (of(images=IMAGES[:0]), "images: holds no images: it is of shape (0, 4, 4)"),
        (of(images=IMAGES[:1]), "holds 1 image; at least one to train on and one to hold out are needed"),
        (of(images=IMAGES[:, 0]), "images: of shape (6, 4), expected (N, H, W, C) or (N, C, H, W)"),
        (of(images=IMAGES[:, :, :, None].repeat(4, 3)), "with C of 1 or 3; lay transparent images on a background"),
        *(
            (
                of(images=np.zeros(shape, np.uint8)),
                f"{shape}, expected (N, H, W, C) or (N, C, H, W) with C of 1 or 3; transpose it",
            )
            for shape in ((6, 5, 3, 5), (3, 6, 5, 5), (5, 5, 1, 6))
        ),
        (of(images=IMAGES[:, :3, :, None].repeat(3, 3)), "(6, 3, 4, 3), so its channels may be the second or the last"),
        (of(), "holds no array"),
        (of(labels=np.arange(6)), "holds labels and no images; save them as images, (N, H, W, C) uint8"),
        (of(a=IMAGES, b=IMAGES), "holds a, b; name the images arr_0, images or samples"),
        (of(mu=0, sigma=0), "holds only mu and sigma, the statistics of another tool's features"),
        (of(images=IMAGES, labels=np.arange(5)), "labels: of shape (5,), expected (6,): one label for each image"),
        (of(images=IMAGES, labels=np.zeros((6, 1), int)), "labels: of shape (6, 1), expected (6,)"),
        (of(images=IMAGES, labels=np.arange(6.0)), "labels: holds float64, expected whole numbers, one for each image"),
        (of(images=IMAGES, labels=["a"] * 6), "labels: holds <U1, expected whole numbers"),
        (of(images=IMAGES, labels=[4] * 6), "its labels are of one class, 4; leave them out"),
        (of(images=IMAGES, labels=np.array([2**63] * 6, np.uint64)), "labels: holds 9223372036854775808, more than"),
        ({**SPLIT, "held_out_images": IMAGES}, "images are 8x6x3 and held_out_images 4x4x1; save images of one size"),
        ({**SPLIT, "held_out_labels": np.arange(5)}, "class 3 has held-out images but none to train on"),
        ({**SPLIT, "held_out_images": COLOUR[:0]}, "held_out_images: holds no images"),
        ({n: a for n, a in SPLIT.items() if n != "labels"}, "holds held_out_labels and no labels; save both"),
        ({n: a for n, a in SPLIT.items() if n != "held_out_labels"}, "holds labels and no held_out_labels; save both"),
        ({n: a for n, a in SPLIT.items() if n != "held_out_images"}, "holds held_out_labels and no held_out_images"),
    ],
)
def test_what_is_no_dataset(path, cache, content, message):
    np.savez(path, **content)
    assert message in fault(path)
    assert not list(cache.glob("npz-*"))  # no partial file is left


def test_a_class_whose_every_image_is_held_out(path):
    np.savez(path, images=IMAGES, labels=[0, 0, 0, 0, 0, 1])
    assert fault(path, ",held_out=5").startswith("class ")
    assert fault(path, ",held_out=6") == "held_out=6 leaves nothing to train on: it has 6 in all; hold out fewer"


def test_what_is_no_file(tmp_path, path):
    assert fault(path) == "no such file"
    assert not presence_of(f"npz:{path}").available
    path.mkdir()
    assert fault(path) == f"a folder; for a folder of images write folder:{path}"
    path.rmdir()
    os.mkfifo(path)
    assert fault(path) == "not a regular file; give an .npz"
    np.savez(tmp_path / "b.npz", images=IMAGES)
    with pytest.raises(InputError, match=f"for a file of images write npz:{tmp_path}/b.npz"):
        load(f"{tmp_path}/b.npz")


@pytest.mark.parametrize("damage", [lambda data: data[:300], lambda data: b"", lambda data: bytes(300) + data[300:]])
def test_a_damaged_file(path, damage):
    np.savez(path, images=numbered(20), labels=np.arange(20) % 2)
    path.write_bytes(damage(path.read_bytes()))
    assert "damaged or no .npz file: " in fault(path)


def claim(path: Path, shape: tuple[int, ...], held: int, **entry: int) -> None:
    """Write an .npz whose images claim `shape` and hold `held` bytes; `entry` sets fields of its zip directory."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("images.npy", "w") as file:
            npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.write(bytes(held))
        for name, value in entry.items():
            setattr(archive.infolist()[0], name, value)


def test_what_the_header_claims_is_held_against_the_file_and_the_memory(path, monkeypatch):
    claim(path, (10, 4, 4), 100)
    assert fault(path) == "images: damaged: its header claims 160 bytes of pixels, and it holds 100"
    claim(path, (10**6, 100, 100), 100)
    memory = npy_file.psutil.virtual_memory()._replace(total=8 * 10**9)
    with monkeypatch.context() as patched:
        patched.setattr(npy_file.psutil, "virtual_memory", lambda: memory)
        assert "claims 10.0 GB of pixels, more than this machine's memory of 8.0 GB" in fault(path)
    claim(path, (10, 4, 4), 160, flag_bits=1)
    assert fault(path) == "encrypted; unpack it first"
    claim(path, (10, 4, 4), 160)
    assert len(load(f"npz:{path}").train) == 9
