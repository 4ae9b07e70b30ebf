"""A study's page and key: what they contain, what they must not reveal, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import operator
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genbench.cli import cli
from genbench.errors import InputError
from genbench.kinds import grid, listing
from genbench.study import design
from genbench.study.items import pool
from genbench.study.making import Wish, make
from genbench.study.order import is_swapped, shuffled


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@pytest.mark.parametrize("shape", [(1, 4, 3), (3, 40, 40), (1, 8, 8)])
@pytest.mark.parametrize("count", [1, 8, 13])
def test_images_are_cut_out_of_a_grid_to_the_pixel(tmp_path: Path, shape: tuple[int, ...], count: int) -> None:
    import torch

    from genbench.kinds.pictures import save_grid

    items = torch.randint(256, (count, *shape), dtype=torch.uint8)
    save_grid(tmp_path / "grid.png", items)
    cut = np.stack(grid.cut(tmp_path / "grid.png", shape, count))
    expected = items.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(cut.reshape(expected.shape), expected)


def test_a_grid_that_is_none_or_was_changed_is_refused(tmp_path: Path) -> None:
    import torch

    from genbench.kinds.pictures import save_grid

    path = tmp_path / "grid.png"
    save_grid(path, torch.zeros(8, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="not a grid"):
        grid.cut(path, (1, 9, 9), 8)
    with pytest.raises(ValueError, match="channels"):
        grid.cut(path, (2, 8, 8), 8)
    image = Image.open(path)
    image.putpixel((3, 3), 9)
    image.save(path)
    with pytest.raises(ValueError, match="modified"):
        grid.cut(path, (1, 8, 8), 8)


def test_texts_are_read_as_they_were_written(tmp_path: Path) -> None:
    texts = ["plain", "two\nlines\tand a tab", "back\\slash \\n", "", "é€"]
    listing.save(tmp_path / "texts.txt", texts)
    assert listing.read(tmp_path / "texts.txt") == texts


def test_the_page_says_nothing_of_whose_items_they_are(benchmark_folder: Path) -> None:
    made = make(benchmark_folder, Wish("real-or-fake", 24))
    data, key, page = embedded(made.page.read_text()), json.loads(made.key.read_text()), made.page.read_text()
    for secret in (
        "one",
        "two",
        "three",
        *(item["cell"] for each in key["questions"].values() for item in each["items"]),
    ):
        assert f'"{secret}"' not in page
    assert not re.search(r"catch|role|noise|seed", json.dumps(data))
    # Neither the order of the items nor their ids reveal the model: the models are mixed all over the page.
    models = [key["questions"][name]["models"][0] for name in data["questions"] if data["questions"][name]]
    assert sum(one != other for one, other in itertools.pairwise(models)) > 3
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("protocol", ["real-or-fake", "preference"])
def test_what_the_page_holds_cannot_be_computed_from_the_seed(finished: Callable[..., Path], protocol: str) -> None:
    """Two studies with the same questions and seed: an id, or a place in a form, that stood for the same in both would
    tell a rater of one, or a reader of this code, what is real in the other."""
    folders = finished("real", "noise", "one", "two"), finished("real", "noise", "one", "two", count=56)
    keys = [json.loads(make(folder, Wish(protocol, 16)).key.read_text()) for folder in folders]
    assert not keys[0]["questions"].keys() & keys[1]["questions"].keys()
    kinds = [[[key["questions"][name]["models"] for name in form] for form in key["forms"]] for key in keys]
    assert kinds[0][0] != kinds[1][0]


def test_the_page_lists_either_of_two_items_first(benchmark_folder: Path) -> None:
    key = json.loads(make(benchmark_folder, Wish("preference", 24)).key.read_text())
    data = embedded(make(benchmark_folder, Wish("preference", 24)).page.read_text())
    turned = {
        kind: [one["turned"] for one in key["questions"].values() if one["role"] == kind] for kind in ("catch", "pair")
    }
    assert all(0.2 < sum(each) / len(each) < 0.8 for each in turned.values())
    for name, one in key["questions"].items():
        listed = [
            hashlib.sha256(pixels_of(data["items"][item]["content"])).hexdigest() for item in data["questions"][name]
        ]
        assert listed == [item["sha256"] for item in one["items"]][:: -1 if one["turned"] else 1]


def pixels_of(content: str) -> bytes:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    return repr(pixels.shape).encode() + pixels.tobytes()


@pytest.mark.parametrize("rater", ["somebody", "another"])
def test_each_rater_sees_half_of_each_pair_the_other_way_round(benchmark_folder: Path, rater: str) -> None:
    key = json.loads(make(benchmark_folder, Wish("preference", 15)).key.read_text())
    for form in key["forms"]:
        sides: dict[tuple[str, ...], list[bool]] = {}
        for place, name in enumerate(form):
            one = key["questions"][name]
            swapped = is_swapped(key["study"], rater, place) != one["turned"]
            sides.setdefault(tuple(one["models"]), []).append(swapped)
        assert all(abs(2 * sum(each) - len(each)) == 1 for each in sides.values())  # five of each: two and three


def test_which_half_of_the_questions_is_swapped_depends_on_the_rater_and_on_the_study() -> None:
    raters = [f"rater {number}" for number in range(400)]
    first = {study: [is_swapped(study, rater, 0) for rater in raters] for study in ("one", "other")}
    for swapped in first.values():
        assert 0.4 < sum(swapped) / len(swapped) < 0.6  # ± 4 deviations of a fair coin
    assert 0.4 < sum(map(operator.ne, *first.values())) / len(raters) < 0.6
    for rater in raters[:20]:
        swapped = [is_swapped("one", rater, place) for place in range(4)]
        assert swapped in ([True, False, True, False], [False, True, False, True])


def test_items_are_those_of_the_cells_at_the_stated_magnification(
    finished: Callable[..., Path], write_cell: Callable[..., Any]
) -> None:
    directory = finished("real", "noise")
    stored = write_cell(directory, "one", 0)
    made = make(directory, Wish("real-or-fake", 20, magnification=7))
    data, key = embedded(made.page.read_text()), json.loads(made.key.read_text())
    assert data["magnification"] == 7
    seen = 0
    for name, question in key["questions"].items():
        if question["models"] == ["one"]:
            (item,) = data["questions"][name]
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["items"][item]["content"]))))
            assert np.array_equal(pixels, stored[question["items"][0]["place"], 0].numpy())
            seen += 1
    assert seen >= 10


@pytest.mark.parametrize(("protocol", "each"), [("real-or-fake", 1), ("preference", 2)])
def test_every_form_is_balanced_and_shows_each_item_once(benchmark_folder: Path, protocol: str, each: int) -> None:
    key = json.loads(make(benchmark_folder, Wish(protocol, 14)).key.read_text())
    shown = [
        (label, item["place"])
        for question in key["questions"].values()
        for label, item in zip(question["models"], question["items"], strict=True)
    ]
    assert len(shown) == len(set(shown)) == each * len(key["questions"])
    assert len(key["forms"]) >= 2
    for form in key["forms"]:
        counted = Counter((key["questions"][name]["role"], *key["questions"][name]["models"]) for name in form)
        if protocol == "preference":
            assert {counted["pair", *pair] for pair in (("one", "three"), ("one", "two"), ("three", "two"))} == {4}
            assert counted["catch", "real", "noise"] == 5
        else:
            assert {counted["fake", label] for label in ("one", "two", "three")} == {2}
            assert counted["real", "real"] + counted["real again", "real"] == 6  # half of what is judged is real
            assert (counted["catch", "noise"], counted["catch", "real"]) == (5, 3)


def test_the_seed_decides_and_the_same_wish_gives_the_same_bytes(benchmark_folder: Path) -> None:
    first = make(benchmark_folder, Wish("preference", 6, seed=1))
    page, key = first.page.read_bytes(), first.key.read_bytes()
    again = make(benchmark_folder, Wish("preference", 6, seed=1))
    assert (again.page.read_bytes(), again.key.read_bytes()) == (page, key)
    assert make(benchmark_folder, Wish("preference", 6, seed=2)).study != first.study
    assert shuffled(range(9), 1, "x") != shuffled(range(9), 2, "x")


def test_a_page_of_large_items_has_fewer_forms(benchmark_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = Wish("real-or-fake", 14)
    assert len(json.loads(make(benchmark_folder, wish).key.read_text())["forms"]) > 2
    monkeypatch.setattr(design, "_LARGEST_PAGE", 1)
    assert len(json.loads(make(benchmark_folder, wish).key.read_text())["forms"]) == 1


def test_texts_are_inlined_and_harmless(finished: Callable[..., Path]) -> None:
    directory = finished("real", "noise", "one", kind="text")
    (directory / "samples" / "one-0.txt").write_text("</script><script>alert(1)</script>\n" * 64)
    page = make(directory, Wish("real-or-fake", 20)).page.read_text()
    assert page.count("<script") == 2
    assert "</script><script>alert(1)</script>" in {item["content"] for item in embedded(page)["items"].values()}


def test_what_real_cells_drew_twice_counts_once(finished: Callable[..., Path], write_cell: Callable[..., Any]) -> None:
    directory = finished("real")
    write_cell(directory, "real", 1)
    (directory / "samples" / "real-1.png").write_bytes((directory / "samples" / "real-0.png").read_bytes())
    from genbench.study.items import chosen_records

    records = chosen_records(directory, None, None).records["real"]
    assert len(records) == 2
    assert len(pool(directory, "real", records)) == 64


@pytest.mark.parametrize(
    ("labels", "wish", "said"),
    [
        (("real", "noise", "one"), Wish("preference", 20), "compares at least 2 models, and there are 1"),
        (("real", "noise", "one", "two"), Wish("preference", 1000), "64 items, and 1000 questions need"),
        (("noise", "one"), Wish("real-or-fake", 20), "`-m real` added"),
        (("real", "one"), Wish("real-or-fake", 20), "`-m noise` added"),
        (("real", "noise", "one"), Wish("real-or-fake", 20, models=("oen",)), "did you mean one"),
        (("real", "noise", "one"), Wish("real-or-fake", 20, models=("noise",)), "its ceiling and floor"),
        (("real", "noise", "one"), Wish("real-or-fake", 1), "ask 2 or more"),
        (("real", "noise", "one", "two", "three"), Wish("preference", 2), "ask 3 or more"),
        (("real", "noise", "one"), Wish("real-or-fake", 20, dataset="tinny"), "did you mean tiny"),
        ((), Wish("real-or-fake", 20), "no finished records"),
    ],
)
def test_a_study_that_cannot_be_is_refused(
    finished: Callable[..., Path], labels: tuple[str, ...], wish: Wish, said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        make(finished(*labels), wish)
    assert "\n" not in str(refusal.value)


def test_samples_that_are_gone_or_broken_are_named(finished: Callable[..., Path]) -> None:
    directory = finished("real", "noise", "one")
    path = directory / "samples" / "one-0.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"samples of one, seed 0: .*one-0\.png"):
        make(directory, Wish("real-or-fake", 20))
    path.unlink()
    with pytest.raises(InputError, match=r"samples of one, seed 0 are missing: .*one-0\.png"):
        make(directory, Wish("real-or-fake", 20))
    path.symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"samples of one, seed 0: samples/one-0\.png is a link out of "):
        make(directory, Wish("real-or-fake", 20))


def test_several_datasets_budgets_and_settings_must_be_told_apart(
    finished: Callable[..., Path], write_cell: Callable[..., Any]
) -> None:
    directory = finished("real", "noise", "one")
    write_cell(directory, "one", 0, budget="20steps")
    with pytest.raises(InputError, match="several budgets"):
        make(directory, Wish("real-or-fake", 20))
    made = make(directory, Wish("real-or-fake", 20, budget="20steps"))
    assert json.loads(made.key.read_text())["recipe"]["budget"] == "20steps"
    write_cell(directory, "one", 0, budget="20steps", batch_size=7)
    with pytest.raises(InputError, match="two records of one with seed 0"):
        make(directory, Wish("real-or-fake", 20, budget="20steps"))
    write_cell(directory, "one", 1, dataset={"name": "tiny", "kind": "image", "shape": [1, 4, 3], "fingerprint": "cd"})
    with pytest.raises(InputError, match="two datasets called tiny"):
        make(directory, Wish("real-or-fake", 20))
    write_cell(directory, "one", 0, dataset={"name": "other", "kind": "image", "shape": [1, 4, 3], "fingerprint": "cd"})
    with pytest.raises(InputError, match=r"several datasets \(other, tiny\)"):
        make(directory, Wish("real-or-fake", 20, budget="20steps"))


def test_the_command_says_what_the_study_can_resolve(
    benchmark_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["study", "new", str(benchmark_folder), "--protocol", "preference", "--questions", "30", "--raters", "20"]
    cli.main([*given, "--time-limit", "400", "--models", "one,two"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "20 raters judge 600 votes on each pair of models" in said
    assert "55.7% or more from 50%" in said  # by hand: (0.97998 + 0.8416 * 0.4967)² / 0.057² = 600
    assert "783 for 55%, 194 for 60%, 47 for 70%" in said
    assert list((benchmark_folder / "studies").glob("preference-*/study.html"))


def test_one_rater_and_one_model_are_spoken_of_as_one(finished: Callable[..., Path]) -> None:
    said = make(finished("real", "noise", "one"), Wish("real-or-fake", 4, raters=1)).said
    assert said[0].startswith("1 model, ")
    assert said[1] == "1 rater judges 2 items of each model: too few to tell any share from 50%"
