"""`fraction=` and `held_out=`: which items are taken, what is shared between parts, and what each fault says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench import features
from genbench.cell import preflight
from genbench.config import Settings
from genbench.config.benchmark import Cell
from genbench.config.model_spec import ModelSpec
from genbench.datasets import folder, load, mapping, npz, presence_of, reads_data_root, room, storage, subset
from genbench.datasets.dataset import Split, fingerprint
from genbench.datasets.order import balanced_order
from genbench.errors import InputError
from genbench.seeding import generator

# Each is divisible by a different power of two, so no two classes share a (j - 1/2) / n, and seats are never tied.
SIZES = {0: 301, 1: 128, 2: 44, 3: 2}
HELD_OUT_SIZES = {0: 83, 1: 30, 2: 8}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def numbered(first: int, count: int) -> np.ndarray:
    """Images of two pixels that encode the image's number."""
    return np.array([divmod(first + index, 256) for index in range(count)], np.uint8).reshape(count, 1, 2)


def numbers(split: Split) -> list[int]:
    return [256 * high + low for high, low in split.items.flatten(1).tolist()]


def shuffled_labels(sizes: dict[int, int]) -> np.ndarray:
    labels = np.repeat(list(sizes), list(sizes.values()))
    return np.random.default_rng(0).permutation(labels)


@pytest.fixture
def spec(tmp_path, cache) -> str:
    """A labelled file with its own held-out split."""
    labels, held_out = shuffled_labels(SIZES), shuffled_labels(HELD_OUT_SIZES)
    path = tmp_path / "a.npz"
    np.savez(
        path,
        images=numbered(0, len(labels)),
        labels=labels,
        held_out_images=numbered(1000, len(held_out)),
        held_out_labels=held_out,
    )
    return f"npz:{path}"


@pytest.fixture
def plain(tmp_path, cache) -> str:
    """A file without labels or a split of its own."""
    np.savez(tmp_path / "plain.npz", images=numbered(0, 100))
    return f"npz:{tmp_path / 'plain.npz'}"


def seats(sizes: dict[int, int], count: int) -> list[int]:
    """Sainte-Laguë: each seat goes to the class with the largest n / (2 s + 1)."""
    given = dict.fromkeys(sizes, 0)
    for _ in range(count):
        given[max(sizes, key=lambda name: sizes[name] / (2 * given[name] + 1))] += 1
    return list(given.values())


# Which items are taken


@pytest.mark.parametrize(
    ("drawn", "count"), [("shapes:size=16,count=300,held_out=40,", 300), ("grammar:held_out=40,count=300,", 300)]
)
def test_a_fraction_of_what_is_drawn_is_its_first_part(drawn, count):
    whole, part, more = (load(f"{drawn}fraction={fraction}") for fraction in ("1", "0.1", "0.5"))
    assert whole.fingerprint == load(drawn.rstrip(",")).fingerprint != part.fingerprint
    assert torch.equal(part.held_out.items, whole.held_out.items)
    rows = [bytes(item.numpy().tobytes()) for item in whole.train.items]
    for share, size in ((part, 0.1), (more, 0.5)):
        found = [bytes(item.numpy().tobytes()) for item in share.train.items]
        labels = whole.train.labels
        places = range(len(rows)) if labels is None else _first_of_each(labels.tolist(), round(size * count))
        assert found == [rows[place] for place in list(places)[: round(size * count)]]


def _first_of_each(labels: list[int], wanted: int) -> list[int]:
    """The indices of the items that Sainte-Laguë seats, each class's items in the order of the draw."""
    sizes = {label: labels.count(label) for label in sorted(set(labels))}
    stands = sorted(
        (Fraction(2 * labels[:place].count(label) + 1, 2 * sizes[label]), place) for place, label in enumerate(labels)
    )
    return sorted(place for _, place in stands[:wanted])


def test_a_mixture_is_taken_in_part_as_any_dataset():
    whole, part = load("gaussians:ring"), load("gaussians:ring,fraction=0.01,held_out=80")
    assert (len(part.train), len(part.held_out), part.mode_count) == (500, 80, 8)
    assert part.train.labels.bincount().tolist() == seats(dict(enumerate(whole.train.labels.bincount().tolist())), 500)
    assert load("gaussians:fraction=0.01,held_out=80").fingerprint == part.fingerprint
    assert load("gaussians:fraction=1").fingerprint == whole.fingerprint


@pytest.mark.parametrize("fraction", ["0.002", "0.01", "0.1", "0.5", "0.973", ".25", "5e-2"])
def test_a_fraction_has_the_classes_in_their_proportions_and_one_of_each(spec, fraction):
    part = load(f"{spec},fraction={fraction}")
    count = round(float(fraction) * sum(SIZES.values()))
    assert part.train.labels.bincount(minlength=4).tolist() == [max(1, n) for n in seats(SIZES, max(1, count))]
    whole = load(spec)
    labels = dict(zip(numbers(whole.train), whole.train.labels.tolist(), strict=True))
    assert [labels[number] for number in numbers(part.train)] == part.train.labels.tolist()
    assert part.class_names == whole.class_names


@pytest.mark.parametrize("name", ["spec", "plain"])
def test_a_smaller_fraction_is_a_part_of_a_larger_one_in_the_order_of_the_whole(name, request):
    spec = request.getfixturevalue(name)
    parts = [numbers(load(f"{spec},fraction={f}").train) for f in ("0.01", "0.02", "0.3", "0.31", "0.9", "1")]
    assert parts[-1] == numbers(load(spec).train)
    for smaller, larger in itertools.pairwise(parts):
        assert set(smaller) < set(larger)
        assert smaller == [number for number in parts[-1] if number in smaller]
    assert parts[2] != parts[-1][: len(parts[2])]  # not simply the first items


@pytest.mark.parametrize(
    ("fraction", "count"), [("0.575", 58), ("0.01", 1), ("0.001", 1), ("0.994", 99), ("0.999", 100)]
)
def test_a_fraction_is_rounded_as_it_is_written(tmp_path, cache, fraction, count):
    """0.575 × 100 is 57.49999999999999 in floating point."""
    np.savez(tmp_path / "a.npz", images=numbered(0, 100), held_out_images=numbered(100, 3))
    assert len(load(f"npz:{tmp_path / 'a.npz'},fraction={fraction}").train) == count


def test_held_out_is_whole_beside_a_fraction_and_training_beside_held_out(spec):
    whole, share, fewer = load(spec), load(f"{spec},fraction=0.1"), load(f"{spec},held_out=40")
    assert torch.equal(share.held_out.items, whole.held_out.items)
    assert torch.equal(share.held_out.labels, whole.held_out.labels)
    assert torch.equal(fewer.train.items, whole.train.items)
    assert len(fewer.held_out) == 40
    assert fewer.held_out.labels.bincount().tolist() == seats(HELD_OUT_SIZES, 40)
    both = load(f"{spec},held_out=40,fraction=0.1")
    assert (numbers(both.train), numbers(both.held_out)) == (numbers(share.train), numbers(fewer.held_out))
    assert (
        set(numbers(load(f"{spec},held_out=7").held_out)) < set(numbers(fewer.held_out)) < set(numbers(whole.held_out))
    )


def test_the_fingerprint_is_of_what_is_used(spec):
    whole = load(spec)
    for all_of_it in ("fraction=1", "fraction=1.0,held_out=121", "held_out=121"):
        assert load(f"{spec},{all_of_it}").fingerprint == whole.fingerprint
    parts = [
        load(f"{spec},{part}") for part in ("fraction=0.1", "held_out=40", "fraction=0.1,held_out=40", "fraction=0.2")
    ]
    assert len({whole.fingerprint, *(part.fingerprint for part in parts)}) == 5
    for part in parts:
        assert part.fingerprint == fingerprint(part.train, part.held_out)
        assert part.train.items.is_contiguous()
    assert load(f"{spec},fraction=.1").fingerprint == parts[0].fingerprint


def test_the_name_is_the_user_s_and_the_source_is_the_dataset(spec, tmp_path):
    part = load(f"{spec},held_out=100,fraction=0.5")
    assert (part.name, part.source) == (f"{spec},held_out=100,fraction=0.5", "npz")
    assert features.resolve("auto", part, None, tmp_path) == "classifier"
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    digits = replace(part, name="digits:fraction=0.5", train=Split(images, torch.arange(3)))
    assert features.resolve("auto", digits, None, tmp_path) == "digits-cnn"


# A dataset without a held-out split of its own


def test_held_out_takes_the_place_of_the_tenth(plain):
    for count in (1, 37, 99):
        part = load(f"{plain},held_out={count}")
        assert (len(part.train), len(part.held_out)) == (100 - count, count)
        assert sorted(numbers(part.train) + numbers(part.held_out)) == list(range(100))
    assert load(f"{plain},held_out=10").fingerprint == load(plain).fingerprint
    share = load(f"{plain},held_out=37,fraction=0.5")
    assert numbers(share.held_out) == numbers(load(f"{plain},held_out=37").held_out)
    assert len(share.train) == round(63 / 2)
    assert set(numbers(share.train)) < set(range(100)) - set(numbers(share.held_out))


def test_held_out_of_a_folder(tmp_path, cache, monkeypatch):
    for number in range(10):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(numbered(number, 1)[0]).save(path)
    spec = f"folder:{tmp_path / 'images'}"
    three, five = load(f"{spec},held_out=3"), load(f"{spec},held_out=5,fraction=0.4")
    assert (len(three.train), len(three.held_out)) == (7, 3)
    assert set(numbers(load(spec).held_out)) < set(numbers(three.held_out)) < set(numbers(five.held_out))
    assert (len(five.train), len(five.held_out)) == (2, 5)
    assert sorted(numbers(three.train) + numbers(three.held_out)) == list(range(10))
    assert len(list(cache.glob("*.bin"))) == 3
    monkeypatch.setattr(folder, "_plan", lambda *_: pytest.fail("decoded twice"))
    for part, count in (("", 9), (",held_out=3", 7), (",held_out=5", 5), (",fraction=0.3", 3)):
        assert len(load(spec + part).train) == count
    with pytest.raises(InputError, match="held_out=10 leaves nothing to train on: it has 10 in all; hold out fewer"):
        load(f"{spec},held_out=10")


def test_held_out_of_a_folder_with_a_split(tmp_path, cache):
    for number in range(10):
        path = tmp_path / ("train" if number < 6 else "test") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(numbered(number, 1)[0]).save(path)
    part = load(f"folder:{tmp_path},held_out=3")
    assert numbers(part.train) == list(range(6))
    assert len(set(numbers(part.held_out)) & set(range(6, 10))) == 3
    assert len(load(f"folder:{tmp_path}").held_out) == 4
    assert len(list(cache.glob("*.bin"))) == 1
    with pytest.raises(InputError, match="held_out=5 is more than the 4 images that it holds out"):
        load(f"folder:{tmp_path},held_out=5")


# What is cached


def test_nothing_is_decoded_for_another_fraction(spec, cache, monkeypatch):
    first = load(f"{spec},fraction=0.1")
    monkeypatch.setattr(npz, "_plan", lambda *_: pytest.fail("decoded twice"))
    assert load(f"{spec},fraction=0.1").fingerprint == first.fingerprint
    assert len(load(f"{spec},fraction=0.2,held_out=5").train) == 96
    assert len(load(spec).train) == 475
    assert len(list(cache.glob("*.bin"))) == 1


def test_parts_that_are_split_otherwise_are_kept_side_by_side(plain, cache, monkeypatch):
    for part in ("", ",held_out=5", ",held_out=6"):
        load(plain + part)
    monkeypatch.setattr(npz, "_plan", lambda *_: pytest.fail("decoded twice"))
    for part in (",held_out=5", "", ",held_out=6,fraction=0.5", ",fraction=0.5"):
        load(plain + part)
    assert len(list(cache.glob("*.bin"))) == 3


def test_of_a_mapped_array_only_what_is_taken_is_copied(spec, monkeypatch):
    in_memory = [load(f"{spec},{part}") for part in ("fraction=0.1", "held_out=9")]
    monkeypatch.setattr(storage, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(subset, "_CHUNK_BYTES", 5)  # two images
    mapped = [load(f"{spec},{part}") for part in ("fraction=0.1", "held_out=9")]
    assert [part.fingerprint for part in mapped] == [part.fingerprint for part in in_memory]
    for one, other in zip(in_memory, mapped, strict=True):
        assert torch.equal(one.train.items, other.train.items)
        assert torch.equal(one.held_out.labels, other.held_out.labels)

    def is_mapped(split: Split) -> bool:
        address = split.items.data_ptr()
        spans = ((start, found) for start, held in mapping._MAPPINGS.items() if (found := held()) is not None)
        return any(start <= address < start + len(found) for start, found in spans)

    assert [(is_mapped(part.train), is_mapped(part.held_out)) for part in mapped] == [(False, True), (True, False)]


def test_a_part_that_does_not_fit_into_the_memory_is_refused(spec, monkeypatch):
    load(spec)
    little = room.psutil.virtual_memory()._replace(available=100)
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: little)
    assert len(load(f"{spec},fraction=0.1").train) == 49
    with pytest.raises(InputError, match=r",fraction=0\.2': its images need 0\.0 GB of memory, and 0\.0 GB are free"):
        load(f"{spec},fraction=0.2")


# What follows the colon


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("fraction=0", "fraction must be a number above 0 and at most 1, such as 0.1, not '0'"),
        ("fraction=0e5", "fraction must be a number above 0 and at most 1, such as 0.1, not '0e5'"),
        ("fraction=2", "fraction must be a number above 0 and at most 1, such as 0.1, not '2'"),
        ("fraction=-0.1", "fraction must be a number above 0 and at most 1, such as 0.1, not '-0.1'"),
        ("fraction=1e999999999", "fraction must be a number above 0 and at most 1, such as 0.1, not '1e999999999'"),
        ("fraction=nan", "fraction must be a number above 0 and at most 1, such as 0.1, not 'nan'"),
        ("fraction=", "fraction must be a number above 0 and at most 1, such as 0.1, not ''"),
        ("fraction=10%", "fraction must be a number above 0 and at most 1, such as 0.1, not '10%'"),
        ("held_out=0", "held_out must be a whole number of 1 or more, not '0'"),
        ("held_out=-1", "held_out must be a whole number of 1 or more, not '-1'"),
        ("held_out=2.5", "held_out must be a whole number of 1 or more, not '2.5'"),
        ("fraction=0.1,fraction=0.1", "option fraction is given twice"),
        ("held_out=3,fraction=0.1,held_out=3", "option held_out is given twice"),
        ("fractoin=0.1", "no option is called 'fractoin'; did you mean fraction?"),
        ("size=3,fraction=0.1", "no option is called 'size'; known: fraction, held_out"),
    ],
)
@pytest.mark.parametrize("kind", ["digits", "npz", "folder"])
def test_an_option_that_makes_no_sense(tmp_path, part, message, kind):
    (tmp_path / "a,b").touch()
    spec = f"{kind}:{part}" if kind == "digits" else f"{kind}:{tmp_path}/a,b,{part}"
    for ask in (load, presence_of, reads_data_root):
        with pytest.raises(InputError) as caught:
            ask(spec)
        assert str(caught.value) == f"dataset {spec!r}: {message}"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("shapes:fractoin=0.1", "no option is called 'fractoin'; did you mean fraction?"),
        ("shapes:fraction=0.1,fraction=0.1", "option fraction is given twice"),
        (
            "grammar:count=9,fraction=1.5",
            "fraction must be a number above 0 and at most 1, such as 0.1, not '1.5'",
        ),
        ("shapes:held_out=0,fraction=0.5", "held_out must be at least 1, not 0"),
        ("gaussians:grid,ring,fraction=0.1", "no mixture is called 'grid,ring'; did you mean ring or grid?"),
        ("digits:held_out=many", "held_out must be a whole number of 1 or more, not 'many'"),
        ("gaussians:held_out=10001", "held_out=10001 is more than the 10,000 images that it holds out"),
        ("digits:", "nothing follows the colon; write digits, or digits:fraction=F,held_out=N"),
        ("folder:,fraction=0.1", "folder needs its argument; write folder:PATH"),
        ("text:a.txt:window=50", "options follow a path after a comma; write text:a.txt,window=50"),
        ("npz:a.npz:held_out=3,fraction=0.5", "options follow a path after a comma; write npz:a.npz,held_out=3"),
        ("folder:a:b=3", "a:b=3: no such folder"),
    ],
)
def test_a_part_that_makes_no_sense(spec, message):
    with pytest.raises(InputError) as caught:
        load(spec)
    assert str(caught.value) == f"dataset {spec!r}: {message}"


@pytest.mark.parametrize(
    "name", ["a,b=c,d.npz", "x=1,held_out=3.npz", "fraction=0.5,fraction=0.5.npz", "a:b,c.npz", "a:fraction=0.5.npz"]
)
def test_a_path_may_hold_commas_and_equals_signs(tmp_path, cache, name):
    np.savez(tmp_path / name, images=numbered(0, 20))
    for written in (name, f"{name},held_out=4", f"{name},fraction=0.5,held_out=4"):
        spec = f"npz:{tmp_path / written}"
        assert presence_of(spec).looked_for == tmp_path / name
        part = load(spec)
        assert len(part.held_out) == (4 if "held_out=4" in written else 2)
        assert len(part.train) == (8 if "fraction=0.5,held_out=4" in written else 20 - len(part.held_out))


def test_a_folder_whose_name_ends_like_an_option_is_reached_with_a_slash(tmp_path):
    (tmp_path / "a,fraction=0.5").mkdir()
    assert presence_of(f"folder:{tmp_path}/a,fraction=0.5/").available
    assert presence_of(f"folder:{tmp_path}/a,fraction=0.5/,held_out=3").available
    assert not presence_of(f"folder:{tmp_path}/a,fraction=0.5").available


def test_where_a_part_lies_is_where_the_whole_does(tmp_path):
    assert reads_data_root("mnist:fraction=0.1")
    assert not reads_data_root("digits:fraction=0.1")
    assert presence_of("digits:held_out=3").available
    assert presence_of("mnist:fraction=0.1", tmp_path) == presence_of("mnist", tmp_path)


def test_a_batch_that_a_fraction_cannot_fill_is_refused_before_anything_runs(spec):
    cell = Cell(ModelSpec("vae"), f"{spec},fraction=0.0001", 0, Settings())
    with pytest.raises(InputError) as caught:
        preflight.check_data(cell, lambda event: None)
    assert str(caught.value) == (
        f"batch size 64 is larger than the training split of {spec},fraction=0.0001, which has 4 images; "
        "use --batch-size 4 or less"
    )


# The order


def test_every_beginning_of_the_order_is_balanced():
    sizes = {0: 50, 1: 50, 2: 100}
    labels = torch.tensor(shuffled_labels(sizes))
    order = balanced_order(200, labels, generator(3, "a"))
    assert sorted(order.tolist()) == list(range(200))
    for count in range(1, 200):
        found = labels[order[:count]].bincount(minlength=3)
        assert (found - count * torch.tensor([0.25, 0.25, 0.5])).abs().max() < 1
    # When two classes are tied, chance decides each time which one comes first.
    ties = [int(labels[row]) for row in order if labels[row] < 2]
    assert {ties[index] for index in range(0, 100, 2)} == {0, 1}
    assert not torch.equal(order, balanced_order(200, labels, generator(4, "a")))
