"""`genbench evaluate` of texts: lines from another program, scored as a run scores them; one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluating import refused, run, score

from genbench import datasets
from genbench.datasets.dataset import Dataset
from genbench.kinds.text import Text

SPEC = "grammar:count=400,held_out=200"
METRICS = ("--metrics", "fd,novelty,valid_fraction,length_w1")


@pytest.fixture(scope="module")
def grammar() -> Dataset:
    return datasets.load(SPEC)


@pytest.fixture
def lines(tmp_path: Path, grammar: Dataset) -> Path:
    """The held-out sentences, one per line."""
    assert isinstance(grammar.kind, Text)
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{text}\n" for text in grammar.kind.texts(grammar.held_out.items)))
    return path


def test_held_out_lines_score_as_the_control_real(lines: Path) -> None:
    answer = json.loads(run(lines, "-d", SPEC, *METRICS, "--json")[0])
    found, floor = answer["numbers"], answer["real"]
    assert found["valid_fraction"]["value"] == 1
    assert found["fd"]["value"] == pytest.approx(floor["fd"]["value"], rel=1e-6)
    assert answer["extractor"] == "ngram"
    printed, told = run(lines, "-d", SPEC, *METRICS)
    assert printed.startswith(f"{lines} (200 texts) against {SPEC}; features: ngram, projected counts of 1- to 4-grams")
    assert "inception" not in printed, "inception takes no texts"
    assert "200 held-out texts in place of yours" in told
    assert "texts/s read and processed by ngram" in told


def test_training_lines_are_no_news_and_noise_is_no_sentence(tmp_path: Path, grammar: Dataset, lines: Path) -> None:
    assert isinstance(grammar.kind, Text)
    copies, noise = tmp_path / "copies.txt", tmp_path / "noise.txt"
    copies.write_text("\n".join(grammar.kind.texts(grammar.train.items[:200])))
    noise.write_text("dog the the\n" * 200)
    assert score(copies, "-d", SPEC, *METRICS)["novelty"] == 0
    wrong = score(noise, "-d", SPEC, *METRICS)
    assert wrong["valid_fraction"] == 0
    assert wrong["fd"] > 2 * score(lines, "-d", SPEC, *METRICS)["fd"]


def test_what_is_cut_passed_over_or_outside_the_alphabet_is_counted_and_said(tmp_path: Path) -> None:
    path = tmp_path / "strange.txt"
    path.write_text("the dög runs\n\n" + "a cat sings\n" * 150 + f"{'a' * 60}\n")
    told = run(path, "-d", SPEC, "--metrics", "length_w1")[1]
    assert f"{path}: 1 empty lines were passed over" in told
    assert "1 symbols in 1 of 152 texts, such as 'ö', are not in the alphabet" in told
    assert f"{path}: 1 of 152 texts were cut to 49 symbols" in told


def test_two_files_are_compared_over_the_alphabet_of_both(tmp_path: Path, lines: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("".join(f"{line}!\n" for line in lines.read_text().splitlines()))
    assert score(lines, "--reference", lines, *METRICS[:1], "fd,length_w1") == pytest.approx(
        {"fd": 0, "length_w1": 0, "symbol_w1": 0}, abs=1e-6
    )
    assert score(other, "--reference", lines, *METRICS[:1], "length_w1")["length_w1"] == pytest.approx(1)

    def recipe_of(path: Path) -> list[str]:
        return [
            each["dataset_fingerprint"]
            for each in json.loads(run(path, "--reference", lines, "--metrics", "length_w1", "--json")[0])[
                "recipes"
            ].values()
        ]

    assert recipe_of(lines) == recipe_of(other), "a recipe identifies the reference, not the samples"


def test_two_kinds_under_one_evaluation_are_refused(tmp_path: Path, lines: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    assert refused(lines, "-d", "digits") == f"{lines} holds texts and digits images; compare items of one kind"
    assert refused(tmp_path / "a.npy", "-d", SPEC).endswith(f"holds images and {SPEC} texts; compare items of one kind")
    for sides in ((lines, tmp_path / "a.npy"), (tmp_path / "a.npy", lines)):
        assert refused(sides[0], "--reference", sides[1]).endswith("compare items of one kind")


def test_what_has_no_effect_on_texts_or_is_not_for_them_is_refused(tmp_path: Path, lines: Path) -> None:
    assert "--image-size 8 has no effect on texts" in refused(lines, "-d", SPEC, "--image-size", "8")
    assert "--skip-corrupt has no effect on texts" in refused(lines, "-d", SPEC, "--skip-corrupt")
    assert "--data-root has no effect" in refused(lines, "-d", SPEC, "--data-root", tmp_path)
    assert "takes images" in refused(lines, "-d", SPEC, "--extractor", "inception")
    assert "is for images" in refused(lines, "-d", SPEC, "--metrics", "pixel_w1")
    (tmp_path / "empty.txt").write_text("")
    assert refused(tmp_path / "empty.txt", "-d", SPEC) == f"{tmp_path / 'empty.txt'}: empty"
    assert refused(tmp_path / "none.txt", "-d", SPEC) == f"{tmp_path / 'none.txt'}: no such file"


def test_texts_too_long_to_compare_are_refused_before_they_are_read_into_memory(tmp_path: Path) -> None:
    """All texts are as long as the longest: one line of a million symbols among 20,000 would need terabytes."""
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_text("abc\nabd\n" * 20)
    long.write_text("ab" * 500_000 + "\n" + "abc\n" * 20_000)
    for sides in ((long, "--reference", short), (short, "--reference", long)):
        said = refused(*sides)
        assert said.startswith(
            f"{long}: its 20,001 texts, as long as the longest of 1,000,000, need 4,000.2 GB of memory"
        )


def test_more_characters_than_tokens_on_two_sides_are_refused_by_name_and_bytes_compare(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("".join(f"{chr(code)}\n" for code in range(0x4E00, 0x4E00 + 20_000)))
    other.write_text("".join(f"{chr(code)}\n" for code in range(0x10000, 0x10000 + 20_000)))
    assert refused(one, "--reference", other) == (
        f"{other} with {one} holds 40,000 different characters, and at most 32,767 are supported; compare by bytes: "
        f"-d text:{other},symbols=byte"
    )
    found = score(one, "-d", f"text:{other},symbols=byte", "--metrics", "length_w1")
    assert found["length_w1"] == pytest.approx(1), "three bytes instead of four"


def test_another_kind_of_file_is_refused_with_what_is_scored(tmp_path: Path, lines: Path) -> None:
    renamed, folder = lines.rename(tmp_path / "lines.text"), tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("a\nb\n")
    for path in (renamed, folder):
        assert refused(path, "-d", SPEC).endswith(
            "; texts are a .txt with one a line, and clips a folder of WAV, FLAC or OGG files"
        )


@pytest.mark.parametrize("symbols", ["char", "byte"])
def test_windows_with_line_breaks_are_scored_from_lines_that_spell_them(tmp_path: Path, symbols: str) -> None:
    """A line cannot hold a break: without its spelling, copies of training windows are all new."""
    novel, copies, plain = (tmp_path / f"{name}.txt" for name in ("novel", "copies", "plain"))
    far = "\u2028" if symbols == "char" else ""  # a window of bytes may cut it in two
    novel.write_text("".join(f"the cat {number}\tsat\\on\r\nthe\x1b dog{far}\\n{number}\n" for number in range(60)))
    spec = f"text:{novel},window=40,held_out=4,symbols={symbols}"
    found = datasets.load(spec)
    found.kind.show(copies, found.train.items[:20])
    answer = json.loads(run(copies, "-d", spec, "--metrics", "novelty", "--json")[0])
    assert answer["numbers"]["novelty"]["value"] == 0
    assert answer["numbers"]["copied_run"]["value"] == 40
    told = run(copies, "-d", spec, "--metrics", "novelty")[1]
    said = r"line breaks were read from \n, backslashes from \\, and other control characters likewise"
    assert f"{copies}: {said}" in told
    assert "not in the alphabet" not in told
    plain.write_text("the cat\n" * 20)
    told = run(plain, "-d", spec, "--metrics", "novelty")[1]
    assert f"{plain}: no text has a line break, and the data's have; write each as \\n" in told


def test_lines_against_lines_keep_their_backslashes(tmp_path: Path) -> None:
    path = tmp_path / "tex.txt"
    path.write_text("".join(f"\\nabla {number}\n" for number in range(40)))
    for symbols in ("char", "byte"):
        found = score(path, "-d", f"text:{path},symbols={symbols}", "--metrics", "novelty")
        assert found["novelty"] == pytest.approx(0.1), "the held-out tenth alone"
