"""`folder:PATH`: what is found, how it is split and decoded, and what each fault says."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.datasets import listing, load, storage
from genbench.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "images"


def save(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path, **options)


def colour(number: int, height: int = 6, width: int = 6) -> np.ndarray:
    return np.full((height, width, 3), (number, 255 - number, number // 2), np.uint8)


def fill(root: Path, count: int = 20, folder: str = "", height: int = 6, width: int = 6) -> None:
    for number in range(count):
        save(root / folder / f"{number:03}.png", colour(number, height, width))


def reds(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def fault(root: Path, **options: int) -> str:
    with pytest.raises(InputError) as caught:
        load(f"folder:{root}", **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"dataset 'folder:{root}': ")
    return message.removeprefix(f"dataset 'folder:{root}': ")


# What is found


def test_a_folder_is_read_in_sorted_order(root):
    fill(root)
    dataset = load(f"folder:{root}")
    assert dataset.name == f"folder:{root}"
    assert dataset.shape == torch.Size([3, 6, 6])
    assert (dataset.classes, dataset.train.labels, dataset.held_out.labels) == (None, None, None)
    assert (len(dataset.train), len(dataset.held_out)) == (18, 2)
    for split in (dataset.train, dataset.held_out):
        assert split.items.dtype == torch.uint8
        assert split.items.is_contiguous()
        assert reds(split.items) == sorted(reds(split.items))
        assert split.items[0, :, 0, 0].tolist() == [n := reds(split.items)[0], 255 - n, n // 2]
    assert sorted(reds(dataset.train.items) + reds(dataset.held_out.items)) == list(range(20))


def test_every_format_is_read_and_the_rest_passed_over(root):
    for number, suffix in enumerate(
        (".png", ".JPG", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
    ):
        save(root / "deep" / "er" / f"{number}{suffix}", colour(10 * number))
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"no image")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "0.png").write_bytes(b"no image")
    dataset = load(f"folder:{root}")
    assert len(dataset.train) + len(dataset.held_out) == 10
    assert dataset.remark == f"{root}: passed over: 1 file of another kind, 1 hidden file, 1 hidden folder"
    found = sorted(reds(dataset.train.items) + reds(dataset.held_out.items))
    assert np.abs(np.array(found) - 10 * np.arange(10)).max() <= 8  # jpg and gif are not exact


def test_linked_folders_are_followed_once(root, tmp_path):
    fill(tmp_path / "elsewhere", 10)
    fill(root, 10)
    (root / "more").symlink_to(tmp_path / "elsewhere")
    (root / "more" / "loop").symlink_to(root)
    dataset = load(f"folder:{root}")
    assert len(dataset.train) + len(dataset.held_out) == 20


def test_the_home_folder_may_be_a_tilde(root, monkeypatch):
    fill(root, 10)
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(load("folder:~/images").train) == 9


# Splits and classes


def test_the_split_stays_when_images_are_added(root):
    fill(root, 40)
    before = set(reds(load(f"folder:{root}").held_out.items))
    for number in range(40, 50):
        save(root / f"{number:03}.png", colour(number))
    after = set(reds(load(f"folder:{root}").held_out.items))
    assert len(before) == 4
    assert len(after) == 5
    assert len(before & after) >= 3
    assert before != set(range(4))


@pytest.mark.parametrize("held_out", ["held_out", "held-out", "test", "val", "valid", "validation"])
def test_a_split_of_folders_is_kept(root, held_out):
    fill(root, 6, "train")
    fill(root, 3, held_out)
    save(root / "stray.png", colour(200))
    dataset = load(f"folder:{root}")
    assert reds(dataset.train.items) == list(range(6))
    assert reds(dataset.held_out.items) == list(range(3))
    assert dataset.classes is None


def test_sub_folders_are_classes(root):
    fill(root, 10, "cats/indoors")
    fill(root, 20, "dogs")
    dataset = load(f"folder:{root}")
    assert dataset.class_names == ("cats", "dogs")
    labels = torch.cat([dataset.train.labels, dataset.held_out.labels])
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [10, 20]


def test_classes_within_split_folders_have_the_same_numbers(root):
    fill(root, 4, "train/a")
    fill(root, 5, "train/b")
    fill(root, 2, "test/b")
    dataset = load(f"folder:{root}")
    assert dataset.class_names == ("a", "b")
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 5
    assert dataset.held_out.labels.tolist() == [1, 1]


def test_the_first_of_more_images_than_the_reference_takes_are_of_every_class(root, monkeypatch):
    """In order of name the first images would all be of one class, and they represent the whole set."""
    monkeypatch.setattr(listing, "REFERENCE_LIMIT", 50)
    for name in ("a", "b"):
        fill(root, 40, name)
    first = load(f"folder:{root}").train.labels[:36].double()
    assert 0.25 < first.mean() < 0.75


@pytest.mark.parametrize("extra", ["", "only"])
def test_one_class_or_loose_images_are_no_classes(root, extra):
    fill(root, 10, "only")
    if not extra:
        save(root / "loose.png", colour(99))
    assert load(f"folder:{root}").classes is None


# Pixels


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_images_have_one_channel(root, mode):
    for number in range(4):
        save(root / f"{number}.png", Image.new("L", (5, 4), 255 * (number % 2)).convert(mode))
    dataset = load(f"folder:{root}")
    assert dataset.shape == torch.Size([1, 4, 5])
    assert set(dataset.train.items.flatten().tolist()) <= {0, 255}


def test_one_colour_image_makes_all_of_them_rgb(root):
    for number in range(4):
        save(root / f"{number}.png", Image.new("L", (5, 4), 9 * number))
    save(root / "4.png", colour(4, 4, 5))
    dataset = load(f"folder:{root}")
    assert dataset.shape == torch.Size([3, 4, 5])


def test_palettes_and_cmyk_become_rgb(root):
    save(root / "0.png", Image.fromarray(colour(40)).convert("P", palette=Image.Palette.ADAPTIVE))
    save(root / "1.jpg", Image.fromarray(colour(40)).convert("CMYK"), quality=100)
    save(root / "2.png", colour(40))
    dataset = load(f"folder:{root}")
    for image in torch.cat([dataset.train.items, dataset.held_out.items]):
        assert image[:, 3, 3].tolist() == pytest.approx([40, 215, 20], abs=3)


def test_transparent_pixels_are_white(root):
    pixels = np.zeros((4, 4, 4), np.uint8)  # black and transparent
    pixels[:2] = (200, 0, 0, 255)
    pixels[2] = (0, 0, 0, 51)
    for number in range(2):
        save(root / f"{number}.png", pixels)
    image = load(f"folder:{root}").train.items[0]
    assert image[:, :, 0].T.tolist() == [[200, 0, 0], [200, 0, 0], [204, 204, 204], [255, 255, 255]]


@pytest.mark.parametrize(("opacity", "said"), [(128, "some are transparent: laid on white"), (255, None)])
def test_what_became_of_transparency_is_said_also_from_the_cache(root, opacity, said):
    """A folder is laid on white whatever the profile, so a number under one is not its tool's."""
    fill(root)
    rgba = np.concatenate([colour(3), np.full((6, 6, 1), opacity, np.uint8)], axis=2)
    save(root / "see-through.png", rgba)
    for _ in range(2):
        assert load(f"folder:{root}").remark == (said and f"{root}: {said}")


def test_the_transparent_colour_of_a_palette_is_white(root):
    image = Image.new("P", (3, 4), 1)
    image.putpalette([200, 0, 0, 0, 0, 0])
    image.paste(0, (0, 0, 3, 2))
    for number in range(2):
        save(root / f"{number}.png", image, transparency=1)
    column = load(f"folder:{root}").train.items[0][:, :, 0]
    assert column.T.tolist() == [[200, 0, 0], [200, 0, 0], [255, 255, 255], [255, 255, 255]]


@pytest.mark.parametrize("mode", ["LA", "L"])
def test_transparent_grey_pixels_are_white_and_the_image_stays_grey(root, mode):
    """With an alpha channel, or with one of the greys declared transparent."""
    image = Image.new("LA", (3, 2), (90, 255))
    image.paste((0, 0), (0, 1, 3, 2))
    for number in range(2):
        save(root / f"{number}.png", image.convert(mode), **({} if mode == "LA" else {"transparency": 0}))
    assert load(f"folder:{root}").train.items[0, :, :, 0].tolist() == [[90, 255]]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_images_are_turned_upright(root, suffix):
    lying = np.zeros((8, 16, 3), np.uint8)
    lying[:, :8] = 255  # white on the left; at the top after a quarter turn clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        save(root / f"{number}.{suffix}", lying, exif=exif)
    dataset = load(f"folder:{root}")
    assert dataset.shape == torch.Size([3, 16, 8])
    assert float(dataset.train.items[0, :, :6].float().mean()) > 250
    assert float(dataset.train.items[0, :, 10:].float().mean()) < 5


def test_image_size_resizes_the_shorter_side_and_crops_the_centre(root):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 4:20] = 255
    save(root / "0.png", wide)
    save(root / "1.png", wide.swapaxes(0, 1))
    save(root / "2.png", np.full((3, 3, 3), 255, np.uint8))
    dataset = load(f"folder:{root}", image_size=4)
    assert dataset.shape == torch.Size([3, 4, 4])
    # Only the white centre of each is left.
    assert int(torch.cat([dataset.train.items, dataset.held_out.items]).min()) == 255


# What is cached


def test_images_are_decoded_once_and_again_when_one_changes(root, monkeypatch):
    fill(root)
    first = load(f"folder:{root}")
    with monkeypatch.context() as patched:
        patched.setattr("genbench.datasets.folder.decoded", lambda *_: pytest.fail("decoded twice"))
        assert load(f"folder:{root}").fingerprint == first.fingerprint
    path = root / "003.png"
    save(path, colour(203))
    os.utime(path, ns=(1, 1))
    second = load(f"folder:{root}")
    assert second.fingerprint != first.fingerprint
    assert 203 in reds(second.train.items) + reds(second.held_out.items)


def test_changed_images_take_the_place_of_the_old_ones(root, cache):
    fill(root)
    load(f"folder:{root}")
    fill(root, 30)
    load(f"folder:{root}")
    assert len(list((cache / "datasets").glob("*.bin"))) == 1


def test_a_folder_in_another_size_is_not_taken_from_the_cache_of_the_first(root):
    fill(root)
    for size in (4, 3, None, 4):
        assert load(f"folder:{root}", image_size=size).shape == torch.Size([3, size or 6, size or 6])


def test_two_folders_are_cached_side_by_side(root, tmp_path, monkeypatch):
    roots = {root: 20, tmp_path / "other": 10}
    for each, count in roots.items():
        fill(each, count)
        load(f"folder:{each}")
    monkeypatch.setattr("genbench.datasets.folder.decoded", lambda *_: pytest.fail("decoded twice"))
    assert [len(load(f"folder:{each}").train) for each in roots] == [18, 9]


def test_the_same_images_elsewhere_are_the_same_dataset(root, tmp_path):
    fill(root)
    fill(tmp_path / "copy")
    assert load(f"folder:{root}").fingerprint == load(f"folder:{tmp_path}/copy").fingerprint


def test_memory_mapped_images_are_the_same(root, monkeypatch):
    fill(root, 20, "a")
    fill(root, 10, "b")
    first = load(f"folder:{root}")
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    second = load(f"folder:{root}")
    assert torch.equal(first.train.items, second.train.items)
    assert torch.equal(first.held_out.items, second.held_out.items)
    assert torch.equal(first.train.labels, second.train.labels)
    assert first.fingerprint == second.fingerprint


def test_progress_counts_images(root):
    fill(root, 150)
    seen: list[tuple[int, int]] = []
    load(f"folder:{root}", progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [150] * len(seen)
    assert [done for done, _ in seen] == [64, 128, 150]


# Faults


def test_no_such_folder(root):
    assert fault(root) == f"{root}: no such folder"


def test_a_file_is_no_folder(root):
    save(root / "0.png", colour(0))
    assert fault(root / "0.png") == f"{root}/0.png: is a file; give the folder that holds it"


def test_no_images(root):
    root.mkdir()
    (root / "notes.txt").touch()
    expected = ".bmp, .gif, .jpeg, .jpg, .pbm, .pgm, .png, .pnm, .ppm, .tif, .tiff, .webp"
    beside = "(passed over: 1 file of another kind)"
    assert fault(root) == f"no images in {root} or below {beside}; genbench reads {expected}"


def test_one_image_cannot_be_split(root):
    fill(root, 1)
    assert fault(root) == f"{root} holds 1 image; at least one to train on and one to hold out are needed"


@pytest.mark.parametrize(("filled", "empty"), [("train", "test"), ("test", "train")])
def test_an_empty_split(root, filled, empty):
    fill(root, 3, filled)
    (root / empty).mkdir()
    assert fault(root).startswith(f"{root / empty} holds no images; at least one to train on")


def test_a_held_out_class_that_is_not_trained_on(root):
    fill(root, 3, "train/a")
    fill(root, 3, "train/b")
    fill(root, 3, "test/c")
    assert fault(root) == "class 'c' has held-out images but none to train on; move its folder"


def test_sizes_that_differ(root):
    fill(root, 12)
    save(root / "zz.png", colour(0, height=5, width=9))
    message = fault(root)
    assert "images differ in size: " in message
    assert ".png is 6x6, zz.png is 9x5; " in message or "zz.png is 9x5, " in message
    assert "with --image-size N the shorter side of each is resized to N and the centre cropped to N x N" in message
    assert load(f"folder:{root}", image_size=6).shape == torch.Size([3, 6, 6])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "it is not an image that PIL knows"),
        (lambda data: b"plain text, not an image", "it is not an image that PIL knows"),
        (lambda data: data[: len(data) // 2], ""),
        (lambda data: data[:60] + bytes(len(data) - 60), ""),
    ],
    ids=["empty", "text", "truncated", "zeroed"],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_corrupt_image_is_named(root, cache, damage, reason, suffix):
    fill(root, 12)
    bad = root / f"bad.{suffix}"
    save(bad, np.random.default_rng(0).integers(256, size=(6, 6, 3), dtype=np.uint8))
    bad.write_bytes(damage(bad.read_bytes()))
    message = fault(root)
    assert message.startswith(f"cannot read {bad}: {reason}")
    assert message.endswith("; replace or remove it")
    assert not list((cache / "datasets").glob("folder-*"))  # no partial file is left


def test_deep_pixels_are_refused_rather_than_cut_off(root):
    save(root / "0.png", np.full((4, 4), 60_000, np.uint16))
    save(root / "1.png", np.full((4, 4), 60_000, np.uint16))
    assert "its pixels are of more than 8 bits (mode I;16); convert it to 8 bits" in fault(root)
