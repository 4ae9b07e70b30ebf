"""`held_out=PATH`: the user's own held-out data, as folders, arrays, texts or sounds; each fault is one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.datasets import folder, load, npz, presence_of, storage
from genbench.datasets.dataset import Dataset
from genbench.datasets.source import Part
from genbench.errors import InputError

TRAIN, HELD_OUT = 6, 3


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def numbered(first: int, count: int, side: int = 4) -> np.ndarray:
    """Grey images in which every pixel is the image's number."""
    return np.repeat(np.arange(first, first + count, dtype=np.uint8), side * side).reshape(count, side, side)


def folder_of(root: Path, images: np.ndarray, classes: list[str] | None = None) -> Path:
    for index, image in enumerate(images):
        path = root / ("" if classes is None else classes[index]) / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


def npz_of(path: Path, **arrays: object) -> Path:
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})
    return path


def first_values(items: torch.Tensor) -> list[int]:
    return items.flatten(1)[:, 0].tolist()


def fault(spec: str, **options: int) -> str:
    with pytest.raises(InputError) as caught:
        load(spec, **options)
    message = str(caught.value)
    assert message.startswith(f"dataset {spec!r}: ")
    assert "\n" not in message
    return message.removeprefix(f"dataset {spec!r}: ")


def digest_of(dataset: Dataset) -> str:
    """The fingerprint, computed from its description: both splits' shapes, bytes and labels."""
    digest = hashlib.sha256(dataset.kind.identity)
    for split in (dataset.train, dataset.held_out):
        labels = b"no labels" if split.labels is None else split.labels.numpy().tobytes()
        digest.update(f"{tuple(split.items.shape)}".encode() + split.items.numpy().tobytes() + labels)
    return digest.hexdigest()


# What is trained on and held out


@pytest.fixture
def pairs(tmp_path) -> dict[str, str]:
    """The same images in two folders and in two files."""
    one, two = numbered(0, TRAIN), numbered(100, HELD_OUT)
    folders = folder_of(tmp_path / "a", one), folder_of(tmp_path / "b", two)
    files = npz_of(tmp_path / "a.npz", images=one), npz_of(tmp_path / "b.npz", samples=two)
    return {
        "folder": f"folder:{folders[0]},held_out={folders[1]}",
        "npz": f"npz:{files[0]},held_out={files[1]}",
    }


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_all_of_one_path_is_trained_on_and_all_of_the_other_held_out(pairs, kind):
    found = load(pairs[kind])
    assert (found.name, found.remark) == (pairs[kind], None)
    assert first_values(found.train.items) == list(range(TRAIN))
    assert first_values(found.held_out.items) == list(range(100, 100 + HELD_OUT))
    assert found.fingerprint == digest_of(found)


def test_a_folder_and_a_file_of_the_same_images_are_the_same_data(pairs):
    assert load(pairs["folder"]).fingerprint == load(pairs["npz"]).fingerprint


@pytest.mark.parametrize(("kind", "module"), [("folder", folder), ("npz", npz)])
def test_it_is_read_once_beside_the_dataset_without_it_and_again_when_either_part_changes(
    pairs, cache, tmp_path, monkeypatch, kind, module
):
    first, alone = load(pairs[kind]), load(pairs[kind].partition(",")[0])
    assert len(alone.train) + len(alone.held_out) == TRAIN
    with monkeypatch.context() as patched:
        patched.setattr(module, "_plan", lambda *_: pytest.fail("read twice"))
        assert load(pairs[kind]).fingerprint == first.fingerprint
        assert load(pairs[kind].partition(",")[0]).fingerprint == alone.fingerprint
    assert len(list(cache.glob("*.bin"))) == 2
    npz_of(tmp_path / "b.npz", images=numbered(200, HELD_OUT + 1))
    folder_of(tmp_path / "b", numbered(200, HELD_OUT + 1))
    changed = load(pairs[kind])
    assert first_values(changed.held_out.items) == list(range(200, 200 + HELD_OUT + 1))
    assert torch.equal(changed.train.items, first.train.items)


def test_a_fraction_leaves_what_is_held_out_whole(pairs):
    whole = load(pairs["npz"])
    for spec in (f"{pairs['npz']},fraction=0.5", pairs["npz"].replace(",held_out", ",fraction=0.5,held_out")):
        part = load(spec)
        assert len(part.train) == 3
        assert torch.equal(part.held_out.items, whole.held_out.items)


def test_memory_mapped_images_are_the_same(pairs, monkeypatch, tmp_path):
    whole = load(pairs["npz"])
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "other"))
    assert load(pairs["npz"]).fingerprint == whole.fingerprint


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_classes_are_those_trained_on_and_one_that_is_not_held_out_is_reported(tmp_path, kind):
    one, two = ["x", "y", "z"] * 2, ["x", "z", "x"]
    if kind == "folder":
        paths = folder_of(tmp_path / "a", numbered(0, 6), one), folder_of(tmp_path / "b", numbered(100, 3), two)
    else:
        paths = (
            npz_of(tmp_path / "a.npz", images=numbered(0, 6), labels=[ord(name) for name in one]),
            npz_of(tmp_path / "b.npz", images=numbered(100, 3), labels=[ord(name) for name in two]),
        )
    found = load(f"{kind}:{paths[0]},held_out={paths[1]}")
    names = ("x", "y", "z") if kind == "folder" else ("120", "121", "122")
    assert found.class_names == names
    for split, first, given in ((found.train, 0, one), (found.held_out, 100, two)):
        for value, label in zip(first_values(split.items), split.labels.tolist(), strict=True):
            assert label == "xyz".index(given[value - first])
    assert found.remark == f"{paths[0]}: {paths[1]} holds no {names[1]}"


def test_images_of_two_sizes_are_brought_to_one(tmp_path):
    one, two = folder_of(tmp_path / "a", numbered(0, 4)), folder_of(tmp_path / "b", numbered(9, 2, side=8))
    files = npz_of(tmp_path / "a.npz", images=numbered(0, 4)), npz_of(tmp_path / "b.npz", images=numbered(9, 2, side=8))
    for spec in (f"folder:{one},held_out={two}", f"npz:{files[0]},held_out={files[1]}"):
        found = load(spec, image_size=4)
        assert first_values(found.held_out.items) == [9, 10]
        assert found.held_out.items.shape == (2, 1, 4, 4)


# Held-out items that are also trained on


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_held_out_items_that_are_trained_on_are_counted_by_content_also_from_the_cache(tmp_path, kind):
    one, two = numbered(0, 6), np.concatenate([numbered(4, 3), numbered(5, 1)])  # 4, 5, 6 and 5 again
    if kind == "folder":
        paths = folder_of(tmp_path / "a", one), folder_of(tmp_path / "b", two)
    else:
        paths = npz_of(tmp_path / "a.npz", images=one), npz_of(tmp_path / "b.npz", images=two)
    for _ in range(2):
        found = load(f"{kind}:{paths[0]},held_out={paths[1]}")
        assert found.remark == (
            f"{paths[0]}: 3 of the 4 held-out images are trained on as well: {paths[1]} and {paths[0]} share them"
        )


def test_what_is_all_trained_on_is_no_held_out_part(tmp_path, cache):
    one, two = folder_of(tmp_path / "a", numbered(0, 6)), folder_of(tmp_path / "a" / "inner", numbered(7, 2))
    same = npz_of(tmp_path / "a.npz", images=numbered(0, 6))
    for kind, first, second, count in (("folder", one, two, 2), ("folder", one, one, 8), ("npz", same, same, 6)):
        assert fault(f"{kind}:{first},held_out={second}") == (
            f"{second} holds nothing that is not trained on: all of its {count} images are in {first} too; hold out "
            "others"
        )
    assert not list(cache.glob("*.bin"))


# Faults of folders and files


def test_a_part_that_is_missing_or_empty_or_of_another_sort(tmp_path):
    images, file = folder_of(tmp_path / "a", numbered(0, 4)), npz_of(tmp_path / "a.npz", images=numbered(0, 4))
    (tmp_path / "empty").mkdir()
    none = tmp_path / "none"
    assert fault(f"folder:{images},held_out={none}") == f"{none}: no such folder"
    assert fault(f"folder:{images},held_out={file}") == f"{file}: is a file; give the folder that holds it"
    assert fault(f"folder:{images},held_out={tmp_path}/empty").startswith(f"no images in {tmp_path}/empty or below; ")
    assert fault(f"npz:{file},held_out={none}") == f"{none}: no such file"
    assert fault(f"npz:{file},held_out={images}") == f"{images}: a folder; give an .npz"
    npz_of(tmp_path / "empty.npz", images=numbered(0, 0))
    assert "images: holds no images: it is of shape (0, 4, 4)" in fault(f"npz:{file},held_out={tmp_path}/empty.npz")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (numbered(9, 2, side=5), "images are 4x4x1 and those of {b}: images 5x5x1; save images of one size and number"),
        (np.stack([numbered(9, 2)] * 3, -1), "images are 4x4x1 and those of {b}: images 4x4x3; save images of one"),
        (numbered(9, 2) / 255, "{b}: images: holds float64, expected uint8 in 0..255"),
    ],
)
def test_an_array_of_another_shape(tmp_path, images, message):
    one, two = npz_of(tmp_path / "a.npz", images=numbered(0, 4)), npz_of(tmp_path / "b.npz", images=images)
    assert message.format(b=two) in fault(f"npz:{one},held_out={two}")


def test_images_of_another_size_or_colour(tmp_path):
    one = folder_of(tmp_path / "a", numbered(0, 4))
    large = folder_of(tmp_path / "large", numbered(9, 2, side=5))
    assert f"000.png is 4x4, {large}/000.png is 5x5; with --image-size N" in fault(f"folder:{one},held_out={large}")
    colour = folder_of(tmp_path / "colour", np.stack([numbered(9, 2)] * 3, -1))
    assert fault(f"folder:{one},held_out={colour}") == (
        f"the images in {one} are all grey, and those in {colour} have colours; save both as one"
    )
    assert "have colours, and those in" in fault(f"folder:{colour},held_out={one}")


def test_another_set_of_classes(tmp_path):
    plain, other = folder_of(tmp_path / "plain", numbered(0, 4)), folder_of(tmp_path / "other", numbered(100, 2))
    one = folder_of(tmp_path / "one", numbered(0, 4), ["x", "y", "x", "y"])
    two = folder_of(tmp_path / "two", numbered(100, 2), ["x", "w"])
    assert fault(f"folder:{plain},held_out={two}") == (
        f"{two} has class folders and {plain} has none; give both the same, or neither"
    )
    assert fault(f"folder:{one},held_out={other}") == (
        f"{other}/000.png lies in no class folder, and {one} has them; move it into one"
    )
    assert fault(f"folder:{one},held_out={two}") == (
        "class 'w' has held-out images but none to train on; move its folder"
    )
    files = {
        name: npz_of(tmp_path / f"{name}.npz", images=numbered(first, 4), **labels)
        for name, first, labels in (
            ("without", 0, {}),
            ("with", 100, {"labels": [0, 1, 0, 1]}),
            ("more", 200, {"labels": [0, 1, 2, 1]}),
        )
    }
    assert fault(f"npz:{files['without']},held_out={files['with']}") == (
        f"{files['with']} holds labels, and {files['without']} none; save both, or leave them out"
    )
    assert f"{files['with']} holds labels, and" in fault(f"npz:{files['with']},held_out={files['without']}")
    assert fault(f"npz:{files['with']},held_out={files['more']}") == (
        f"{files['more']}: class 2 has held-out images but none to train on; move some of them"
    )


def test_a_split_of_its_own_beside_another(tmp_path):
    for name in ("train", "test"):
        folder_of(tmp_path / "split" / name, numbered(0, 3))
    plain = folder_of(tmp_path / "plain", numbered(100, 3))
    for spec in (f"folder:{tmp_path}/split,held_out={plain}", f"folder:{plain},held_out={tmp_path}/split"):
        assert fault(spec) == f"{tmp_path}/split holds a split of its own, train and test; name one of these folders"
    own = npz_of(tmp_path / "own.npz", images=numbered(0, 3), held_out_images=numbered(10, 3))
    file = npz_of(tmp_path / "a.npz", images=numbered(20, 3))
    for spec in (f"npz:{own},held_out={file}", f"npz:{file},held_out={own}"):
        assert fault(spec) == f"{own}: holds held_out_images of its own; leave them out of the file, or held_out= away"


# What follows the colon


@pytest.mark.parametrize("held_out", ["b", "b/c.npz", "b,c=d/e.npz", "x,fraction=0.5/../b.npz", "./500"])
@pytest.mark.parametrize("more", ["", ",fraction=0.5"])
def test_a_path_may_hold_slashes_commas_and_equals_signs_and_options_follow_it(tmp_path, monkeypatch, held_out, more):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x,fraction=0.5").mkdir()
    (tmp_path / held_out).parent.mkdir(parents=True, exist_ok=True)
    with open(held_out, "wb") as file:
        np.savez(file, images=numbered(100, 3))
    npz_of(tmp_path / "a,held.npz", images=numbered(0, 4))
    spec = f"npz:a,held.npz,held_out={held_out}{more}"
    assert presence_of(spec).available
    found = load(spec)
    assert (len(found.train), len(found.held_out)) == (2 if more else 4, 3)


def test_a_number_is_a_count_and_a_path_that_is_missing_is_not_available(tmp_path):
    path = npz_of(tmp_path / "a.npz", images=numbered(0, 10))
    assert len(load(f"npz:{path},held_out=3").held_out) == 3
    missing = presence_of(f"npz:{path},held_out={tmp_path}/b.npz")
    assert (missing.available, missing.looked_for, missing.advice) == (False, tmp_path / "b.npz", "no such file")
    assert presence_of(f"npz:{tmp_path}/none.npz,held_out={path}").looked_for == tmp_path / "none.npz"
    assert fault(f"npz:{path},held_out={path},held_out=3") == "option held_out is given twice"
    assert fault(f"npz:{path},held_out={path},fractoin=0.5") == "no option is called 'fractoin'; did you mean fraction?"
    assert Part() == Part(held_out=None)


# Texts


@pytest.fixture
def poems(tmp_path) -> tuple[Path, Path]:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("ab\n\nba\nabba\n")
    two.write_text("ab\nbac\n")
    return one, two


def test_all_lines_of_another_file_are_held_out_over_one_alphabet(poems):
    one, two = poems
    found = load(f"text:{one},held_out={two}")
    assert found.kind.texts(found.train.items) == ["ab", "ba", "abba"]
    assert found.kind.texts(found.held_out.items) == ["ab", "bac"]
    assert found.data.symbols == ("", "a", "b", "c")
    assert found.fingerprint == digest_of(found)
    assert found.remark == (
        f"{one}: 1 empty lines were passed over; 1 of the 2 held-out texts are trained on as well: {two} and {one} "
        f"share them; {two}: 1 of its characters, such as 'c', are nowhere in {one}"
    )


def test_windows_of_another_file_are_held_out(poems):
    one, two = poems
    two.write_text("bbbbaaa")
    found = load(f"text:{one},window=4,held_out={two}")
    assert found.kind.texts(found.train.items) == ["ab\n\n", "ba\na", "bba\n"]
    assert found.kind.texts(found.held_out.items) == ["bbbb"]
    assert load(f"text:{one},held_out={two},window=4").fingerprint == found.fingerprint


def test_texts_that_are_missing_empty_short_or_the_same(poems, tmp_path):
    one, two = poems
    (tmp_path / "empty.txt").touch()
    assert fault(f"text:{one},held_out={tmp_path}/none.txt") == f"{tmp_path}/none.txt: no such file"
    assert fault(f"text:{one},held_out={tmp_path}/empty.txt") == f"{tmp_path}/empty.txt: empty"
    assert fault(f"text:{one},held_out={one}").startswith(f"{one} holds nothing that is not trained on: all of its 3 ")
    assert "the text that is held out has 7 symbols, fewer than a window of 9" in fault(
        f"text:{one},window=9,held_out={two}"
    )


# Sounds


@pytest.fixture
def clips(tmp_path) -> tuple[Path, Path]:
    soundfile = pytest.importorskip("soundfile")
    roots = tmp_path / "one", tmp_path / "two"
    for place, (root, count) in enumerate(zip(roots, (4, 2), strict=True)):
        root.mkdir()
        for number in range(count):
            samples = np.full(200, 100 * place + number, np.int16)
            soundfile.write(str(root / f"{number}.wav"), samples, 1000)
    return roots


def test_all_sounds_of_another_folder_are_held_out(clips):
    one, two = clips
    found = load(f"audio:{one},held_out={two}")
    assert (first_values(found.train.items), first_values(found.held_out.items)) == ([0, 1, 2, 3], [100, 101])
    assert (found.remark, found.fingerprint) == (None, digest_of(found))
    windows = load(f"audio:{one},window=0.1,held_out={two}")
    assert (len(windows.train), len(windows.held_out)) == (8, 4)


def test_sounds_of_another_form_are_refused_unless_a_form_is_asked_for(clips, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    one = clips[0]
    assert fault(f"audio:{one},held_out={one}").startswith(f"{one} holds nothing that is not trained on: all of its 4 ")
    assert fault(f"audio:{one},held_out={tmp_path}/none") == f"{tmp_path}/none: no such folder"
    stereo = tmp_path / "stereo"
    stereo.mkdir()
    soundfile.write(str(stereo / "0.wav"), np.full((150, 2), 7, np.int16), 500)
    assert fault(f"audio:{one},held_out={stereo}") == (
        f"{one} holds clips of 0.2 s at 1000 Hz, 1 channel, and {stereo} clips of 0.3 s at 500 Hz, 2 channels; with "
        "rate=, channels= and seconds= convert both to one form"
    )
    found = load(f"audio:{one},rate=500,channels=1,seconds=0.1,held_out={stereo}")
    assert found.held_out.items.shape == (1, 1, 50)
