"""`text:FOLDER`: the lines of all text files below a folder, with class sub-folders or a split of its own."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import torch

from genbench.datasets import load, presence_of
from genbench.datasets.dataset import Dataset, Split
from genbench.errors import InputError


def fault(spec: str) -> str:
    with pytest.raises(InputError) as caught:
        load(spec)
    message = str(caught.value)
    assert message.startswith(f"dataset {spec!r}: ")
    assert "\n" not in message
    return message.removeprefix(f"dataset {spec!r}: ")


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def lines(prefix: str, count: int) -> str:
    return "".join(f"{prefix}{number}\n" for number in range(count))


def texts(split: Split) -> list[str]:
    return split.kind.texts(split.items)  # type: ignore[attr-defined,no-any-return]


def named(dataset: Dataset) -> dict[str, set[str]]:
    """Class -> its texts of both splits."""
    assert dataset.class_names is not None
    found: dict[str, set[str]] = {name: set() for name in dataset.class_names}
    for split in (dataset.train, dataset.held_out):
        assert split.labels is not None
        for text, label in zip(texts(split), split.labels.tolist(), strict=True):
            found[dataset.class_names[label]].add(text)
    return found


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """60 texts of cats in two files, one of them further below, 40 of dogs in one."""
    return written(
        tmp_path / "animals",
        {"cat/a.txt": lines("cat ", 50), "cat/more/b.TXT": lines("lynx ", 10), "dog/a.txt": lines("dog ", 40)},
    )


def test_sub_folders_are_classes_and_each_line_is_a_text(animals: Path) -> None:
    dataset = load(f"text:{animals}")
    assert dataset.class_names == ("cat", "dog")
    assert (len(dataset.train), len(dataset.held_out)) == (90, 10)
    assert named(dataset) == {
        "cat": {f"cat {k}" for k in range(50)} | {f"lynx {k}" for k in range(10)},
        "dog": {f"dog {k}" for k in range(40)},
    }
    assert dataset.remark is None
    assert dataset.kind.name == "text"


def test_held_out_texts_are_of_all_classes_and_files_and_always_the_same(animals: Path, tmp_path: Path) -> None:
    dataset = load(f"text:{animals},held_out=30")
    assert (len(dataset.train), len(dataset.held_out)) == (70, 30)
    assert {text.split()[0] for text in texts(dataset.held_out)} == {"cat", "lynx", "dog"}
    again = load(f"text:{animals},held_out=30")
    assert torch.equal(again.train.items, dataset.train.items)
    assert again.fingerprint == dataset.fingerprint
    moved = tmp_path / "elsewhere"
    animals.rename(moved)
    assert load(f"text:{moved},held_out=30").fingerprint == dataset.fingerprint
    # The first training texts are the reference: they must not be those of one class.
    assert len(set(dataset.train.labels[:20].tolist())) == 2  # type: ignore[index]


def test_the_same_texts_under_other_classes_are_another_dataset(animals: Path) -> None:
    before = load(f"text:{animals}").fingerprint
    (animals / "dog").rename(animals / "bird")  # first by name now, so the labels change places
    assert load(f"text:{animals}").fingerprint != before


def test_files_in_no_sub_folder_have_no_class(tmp_path: Path) -> None:
    folder = written(tmp_path / "x", {"a.txt": lines("a", 10), "b.txt": lines("b", 10)})
    dataset = load(f"text:{folder}")
    assert dataset.class_names is None
    assert dataset.train.labels is None
    assert len(dataset.train) + len(dataset.held_out) == 20


def test_one_sub_folder_is_no_class(tmp_path: Path) -> None:
    dataset = load(f"text:{written(tmp_path / 'x', {'only/a.txt': lines('a', 10)})}")
    assert dataset.class_names is None


def test_train_and_test_are_the_split(tmp_path: Path) -> None:
    files = {f"{part}/{name}/x.txt": lines(f"{name} {part} ", 4) for part in ("train", "test") for name in ("a", "b")}
    dataset = load(f"text:{written(tmp_path / 'x', files)}")
    assert dataset.class_names == ("a", "b")
    assert Counter(text.split()[1] for text in texts(dataset.train)) == {"train": 8}
    assert Counter(text.split()[1] for text in texts(dataset.held_out)) == {"test": 8}


def test_a_held_out_folder_of_your_own(animals: Path, tmp_path: Path) -> None:
    own = written(tmp_path / "own", {"cat/x.txt": "cat 3\ncat Ω\n", "cat/.y.txt": "no"})
    dataset = load(f"text:{animals},held_out={own}")
    assert (len(dataset.train), sorted(texts(dataset.held_out))) == (100, ["cat 3", "cat Ω"])
    assert dataset.held_out.labels is not None
    assert dataset.held_out.labels.tolist() == [0, 0]
    assert dataset.remark == (
        f"of {own} passed over: 1 hidden file; no text is held out of dog; 1 of the 2 held-out texts are trained on as "
        f"well: {own} and {animals} share them; {own}: 1 of its characters, such as 'Ω', are nowhere in {animals}"
    )


def test_what_is_passed_over_is_said(animals: Path) -> None:
    written(animals, {"notes.md": "x", ".hidden.txt": "x", "dog/b.txt": "\nwolf\n\n"})
    os.symlink(animals / "cat", animals / "lions")
    dataset = load(f"text:{animals}")
    assert dataset.remark == (
        f"of {animals} passed over: 1 file of another kind, 1 hidden file, 1 link to a folder that was read already; "
        f"{animals}: 2 empty lines were passed over"
    )
    assert "wolf" in named(dataset)["dog"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"x.md": "a"}, "", "no texts in {root} or below (passed over: 1 file of another kind); genbench reads .txt, "
         "one text per line"),
        ({}, "", "no texts in {root} or below; genbench reads .txt, one text per line"),
        ({"a.txt": "x\n"}, "", "{root} holds one text; at least one to train on and one to hold out are needed"),
        ({"a.txt": "x\ny\n"}, ",window=3", "window= cuts one running text, and {root} is a folder; leave it out, or "
         "give a file"),
        ({"a.txt": "x\ny\n"}, ",held_out=2", "held_out=2 leaves nothing to train on: it has 2 in all; hold out fewer"),
        ({"a.txt": "\n\n"}, "", "{root}/a.txt: holds nothing but white space"),
        ({"a/x.txt": "x\n", "b/x.txt": "\0"}, "", "{root}/b/x.txt: binary, with a zero byte in line 1"),
        ({"train/a/x.txt": "x\n", "train/b/x.txt": "x\n", "test/x.txt": "x\n"}, "", "{root}/test/x.txt lies in no "
         "class folder, and {root}/train has them; move it into one"),
        ({"test/a/x.txt": "x\n", "test/b/x.txt": "x\n", "train/x.txt": "x\n"}, "", "{root}/test has class folders and "
         "{root}/train has none; give both the same, or neither"),
        ({"train/x.txt": "x\n", "test/x.md": "x\n"}, "", "no texts in {root}/test or below (passed over: 1 file of "
         "another kind); genbench reads .txt, one text per line"),
        ({"train/x.txt": "x\n", "test/x.txt": "y\n"}, ",held_out={root}/test", "{root} holds a split of its own, train "
         "and test; name one of these folders"),
        ({"a.txt": "x\n"}, ",held_out={root}/none", "{root}/none: no such folder"),
        ({"a.txt": "x\n"}, ",held_out={root}/a.txt", "{root}/a.txt: is a file, and {root} is a folder; give both the "
         "same"),
    ],
)  # fmt: skip
def test_a_folder_that_makes_no_sense(tmp_path: Path, files: dict[str, str], options: str, message: str) -> None:
    root = tmp_path / "x"
    root.mkdir()
    written(root, files)
    assert fault(f"text:{root}{options.format(root=root)}") == message.format(root=root)


def test_a_held_out_class_must_be_trained_on(animals: Path, tmp_path: Path) -> None:
    own = written(tmp_path / "own", {"cat/x.txt": "a\n", "cow/x.txt": "b\n"})
    assert fault(f"text:{animals},held_out={own}") == (
        "class 'cow' has held-out texts but none to train on; move its folder"
    )


def test_a_class_whose_only_text_is_held_out_is_refused(tmp_path: Path) -> None:
    files = {f"{name}/x.txt": "one\n" for name in "abcdefghij"}
    message = fault(f"text:{written(tmp_path / 'x', files)},held_out=3")
    assert message.endswith("has held-out texts but none to train on; move its folder")


def test_a_held_out_folder_of_a_file_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, {"x.txt": "a\nb\n"}) / "x.txt"
    assert fault(f"text:{file},held_out={tmp_path}") == f"{tmp_path}: a folder; give a text file"


def test_it_is_found_where_it_is(animals: Path, tmp_path: Path) -> None:
    assert presence_of(f"text:{animals}").available
    assert presence_of(f"text:{animals}/dog/a.txt").available
    missing = presence_of(f"text:{tmp_path}/none")
    assert (missing.available, missing.advice) == (False, "no such file or folder")


def test_a_folder_that_is_named_alone_is_recognised(animals: Path) -> None:
    with pytest.raises(InputError, match=f"of texts text:{animals}, of clips audio:{animals}$"):
        load(str(animals))
