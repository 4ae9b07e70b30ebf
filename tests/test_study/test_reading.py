"""Answers in, results and a part of the report out; and every kind of file that does not count."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genbench.cli import cli
from genbench.errors import InputError
from genbench.records import rendered
from genbench.report import render_directory
from genbench.report.study_page import study_parts
from genbench.study.answers import LARGEST, Unusable, read_answers
from genbench.study.asking import Answered, Asked
from genbench.study.choosing import PREFERENCE
from genbench.study.making import Wish
from genbench.study.reading import find_key, read_study, stored_results
from genbench.study.real_or_fake import REAL_OR_FAKE

RATES = {"real": 0.9, "one": 0.1, "two": 0.4, "three": 0.7}


def honest(question: dict[str, Any]) -> str:
    return "real" if question["models"] == ["real"] else "fake"


@pytest.fixture(scope="module")
def study(benchmark_folder: Path, asked: Callable[..., Any]) -> Any:
    return asked(benchmark_folder, Wish("real-or-fake", 24))


@pytest.fixture(scope="module")
def preference(benchmark_folder: Path, asked: Callable[..., Any]) -> Any:
    return asked(benchmark_folder, Wish("preference", 12))


@pytest.fixture
def fresh(finished: Callable[..., Path], asked: Callable[..., Any]) -> Any:
    """A study in a folder of its own."""
    return asked(finished("real", "noise", "one"), Wish("real-or-fake", 20))


def test_error_rates_and_what_a_report_says_of_them(study: Any, rates: Callable[..., Any]) -> None:
    paths = [study.send(f"{n}.json", study.answers(f"rater {n}", rates(RATES, n))) for n in range(30)]
    found = read_study(study.made.key, paths).results
    error = {label: one["error"] for label, one in found["results"]["models"].items()}
    for label in ("one", "two", "three"):
        assert error[label]["value"] == pytest.approx((0.1 + RATES[label]) / 2, abs=0.08)
    assert found["results"]["ceiling"]["error"]["value"] == pytest.approx(0.5, abs=0.08)
    assert found["results"]["floor"]["fake_as_real"]["value"] == 0.0
    assert found["votes"]["each"] == 30 * 4
    assert found["recipe"]["raters"] == 30
    said = "\n".join(study_parts([found]))
    assert "`three` above `one` (p < 0.001)" in said
    assert "equal" not in said


def test_the_order_of_files_changes_nothing(study: Any, rates: Callable[..., Any]) -> None:
    paths = [study.send(f"{n}.json", study.answers(f"rater {n}", rates(RATES, n))) for n in range(6)]
    assert read_study(study.made.key, paths).results == read_study(study.made.key, paths[::-1]).results


def test_a_report_says_why_a_level_has_no_interval(study: Any) -> None:
    paths = [study.send(f"{n}.json", study.answers(f"rater {n}", honest)) for n in range(6)]
    said = "\n".join(study_parts([read_study(study.made.key, paths).results]))
    assert "A number has no interval where all raters answered alike." in said
    assert re.search(r"\| `one` \| 0.0% \(0.0% to [\d.]+%\) .*\| \d\.\d\d \| -?\d\.\d\d \|", said)


def test_what_was_not_resolved_is_called_so(study: Any, rates: Callable[..., Any]) -> None:
    alike = dict.fromkeys(RATES, 0.5)
    paths = [study.send(f"{n}.json", study.answers(f"rater {n}", rates(alike, n))) for n in range(8)]
    said = "\n".join(study_parts([read_study(study.made.key, paths).results]))
    assert said.count("not resolved") == 3
    assert "above" not in said.split("Pairs by")[1]


def test_preferences_and_their_matrix(preference: Any) -> None:
    order = ["one", "three", "two"]

    def decide(question: dict[str, Any]) -> str:
        if question["role"] == "catch":
            return "first"
        return "first" if order.index(question["models"][0]) < order.index(question["models"][1]) else "second"

    paths = [preference.send(f"{n}.json", preference.answers(f"rater {n}", decide)) for n in range(9)]
    found = read_study(preference.made.key, paths).results
    elo = {label: one["value"] for label, one in found["results"]["models"].items()}
    assert sorted(elo, key=elo.__getitem__, reverse=True) == order
    assert found["results"]["regularised"]
    assert all(pair["share"]["value"] == 1.0 for pair in found["results"]["pairs"])
    assert found["results"]["left"]["value"] == 0.5  # the preferred item is on the left in half of the questions
    said = "\n".join(study_parts([found]))
    assert "Some models won or lost everything" in said
    assert "on one side only, so they have no intervals" in said
    assert not re.search(r"\| `one` \| -?\d+ \(", said)
    assert "Strengths on one scale" not in said  # nothing contradicts or supports it
    assert "`one` above `two`" in said


def test_who_always_takes_the_left_side_is_seen(preference: Any) -> None:
    def decide(question: dict[str, Any]) -> str:
        return "first" if question["role"] == "catch" else "left"

    paths = [preference.send(f"{n}.json", preference.answers(f"rater {n}", decide)) for n in range(12)]
    found = read_study(preference.made.key, paths).results
    assert found["results"]["left"]["value"] == 1.0
    assert "a position bias" in "\n".join(study_parts([found]))
    assert all(pair["share"]["value"] == 0.5 for pair in found["results"]["pairs"])  # no model gains from it


def test_ties_are_half_a_win_of_each(preference: Any) -> None:
    def decide(question: dict[str, Any]) -> str:
        return "first" if question["role"] == "catch" else "same"

    paths = [preference.send(f"{n}.json", preference.answers(f"rater {n}", decide)) for n in range(6)]
    found = read_study(preference.made.key, paths).results
    assert found["results"]["ties"]["value"] == 1.0
    assert all(one["value"] == pytest.approx(0.0) for one in found["results"]["models"].values())
    assert "–" in "\n".join(study_parts([found]))  # without a decided answer, the left side has no share


Edit = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize(
    ("edit", "kind", "said"),
    [
        (lambda d: d.update(study="0" * 64), "of another study", "answers study 00000000"),
        (lambda d: d["answers"].pop(), "edited", "its questions are not this rater's questions"),
        (lambda d: d["answers"].reverse(), "edited", "its questions are not this rater's questions"),
        (lambda d: d.update(rater="another"), "edited", "its questions are not this rater's questions"),
        (lambda d: d["answers"][0].update(choice="left"), "edited", "no button gives"),
        (lambda d: d["answers"][3].update(ms=99), "impossible times", "after 99 ms"),
        (lambda d: d.update(finished=d["started"]), "impossible times", "in 0 ms"),
    ],
)
def test_a_file_that_does_not_count_is_left_out(
    study: Any, seal: Callable[..., Any], edit: Edit, kind: str, said: str
) -> None:
    good = study.send("good.json", study.answers("somebody", honest))
    document = study.answers("x<b>y", honest)
    edit(document)
    document.pop("sha256")
    bad = study.send("bad.json", seal(document))
    found = read_study(study.made.key, [good, bad])
    assert found.results["left_out"] == {kind: 1}
    (line,) = found.left_out
    assert line.startswith(f"{bad}: left out: ")
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("decide", "said"),
    [
        (lambda question: "real", "took 5 of 5 items of noise for real"),
        (lambda question: "fake", "took 3 of 3 real items of the catch trials for fake"),
    ],
)
def test_who_does_not_look_is_left_out(study: Any, decide: Callable[..., str], said: str) -> None:
    paths = [study.send("good.json", study.answers("good", honest)), study.send("b.json", study.answers("b", decide))]
    found = read_study(study.made.key, paths)
    assert found.results["left_out"] == {"failed catch trials": 1}
    assert said in found.left_out[0]
    assert found.results["recipe"]["raters"] == 1


@pytest.mark.parametrize(
    ("shown", "fault"),
    [
        (["left", "left", "left", "left"], ""),
        (["left", "left", "left", "right"], ""),  # three quarters are enough
        (["left", "left", "same", "right"], "did not prefer real to noise in 2 of 4 catch trials"),
        (["right", "right", "right", "right"], "did not prefer real to noise in 4 of 4 catch trials"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_preference_for_noise_does_not_count(shown: list[str], fault: str, swapped: bool) -> None:
    mirrored = {"left": "right", "right": "left", "same": "same"}
    catch, pair = Asked("catch", ("real", "noise")), Asked("pair", ("one", "two"))
    answers = [Answered(catch, mirrored[one] if swapped else one, swapped) for one in shown]
    assert PREFERENCE.fault([*answers, Answered(pair, "right", False), Answered(pair, "same", True)]) == fault


@pytest.mark.parametrize(("right", "fault"), [(5, ""), (4, ""), (3, "took 2 of 5 items of noise for real")])
def test_noise_may_be_taken_for_real_once_in_five(right: int, fault: str) -> None:
    noise = [Answered(Asked("catch", ("noise",)), "fake" if place < right else "real", False) for place in range(5)]
    doubted = [Answered(Asked("catch", ("real",)), "real" if place == 0 else "fake", False) for place in range(4)]
    assert REAL_OR_FAKE.fault([*noise, *doubted]) == fault  # a quarter of the real ones is enough


def test_the_ceiling_is_real_against_real_and_the_floor_real_against_noise() -> None:
    def said(role: str, label: str, real: int, shown: int) -> list[Answered]:
        return [Answered(Asked(role, (label,)), "real" if place < real else "fake", False) for place in range(shown)]

    # Of one rater, how many of how many of each kind were called real.
    raters = [
        said("real", "real", 4, 5)
        + said("real again", "real", 2, 5)
        + said("catch", "noise", 1, 4)
        + said("catch", "real", 0, 3)  # counts for attention alone
        + said("fake", "one", 3, 10)
    ] * 2
    found = REAL_OR_FAKE.results(["one"], raters, 0)
    # HYPE's error is the mean of the share of real items called fake and of the others called real.
    assert found["models"]["one"]["error"]["value"] == pytest.approx((4 / 10 + 3 / 10) / 2)
    assert found["ceiling"]["error"]["value"] == pytest.approx((1 / 5 + 2 / 5) / 2)
    assert found["floor"]["error"]["value"] == pytest.approx((4 / 10 + 1 / 4) / 2)
    assert [found[name]["answers"] for name in ("ceiling", "floor")] == [10, 8]


def test_of_two_files_by_one_rater_the_first_counts(study: Any, seal: Callable[..., Any]) -> None:
    late = study.answers("Somebody", honest)
    late = seal(
        {**{name: value for name, value in late.items() if name != "sha256"}, "finished": "2027-01-01T00:00:00Z"}
    )
    paths = [study.send("late.json", late), study.send("early.json", study.answers("Somebody", honest))]
    found = read_study(study.made.key, paths)
    assert found.results["left_out"] == {"double": 1}
    assert found.left_out[0].startswith(str(paths[0]))


def edited(document: dict[str, Any]) -> str:
    document["answers"][0]["choice"] = "real" if document["answers"][0]["choice"] == "fake" else "fake"
    return json.dumps(document)


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (lambda d: "<html>", "no answers", "not JSON"),
        (lambda d: "[" * 100_000, "no answers", "not JSON"),
        (lambda d: "[]", "no answers", "not an object"),
        (lambda d: json.dumps({"genbench_answers": 1}), "no answers", "study is missing"),
        (lambda d: json.dumps({**d, "genbench_answers": 2}), "no answers", "genbench_answers is invalid"),
        (lambda d: json.dumps({**d, "more": 1}), "no answers", "not in this schema"),
        (lambda d: json.dumps({**d, "rater": "n" * 1000}), "no answers", "rater is invalid"),
        (lambda d: json.dumps({**d, "rater": "\ud800"}), "no answers", "not valid Unicode"),
        (
            lambda d: json.dumps({**d, "answers": [{"question": 1, "choice": "real", "ms": 200}]}),
            "no answers",
            "answers is",
        ),
        (lambda d: json.dumps({**d, "answers": {}}), "no answers", "answers is"),
        (lambda d: json.dumps({**d, "finished": "yesterday"}), "no answers", "finished is invalid"),
        (lambda d: json.dumps({**d, "screen": {"width": 1e308}}), "no answers", "screen is invalid"),
        (lambda d: json.dumps({**d, "sessions": True}), "no answers", "sessions is invalid"),
        (edited, "edited", "checksum"),
        (lambda d: " " * (LARGEST + 1), "too large", "larger than 1 MiB"),
    ],
)
def test_a_strangers_file_is_read_with_care(
    study: Any, content: Callable[[dict[str, Any]], str], kind: str, said: str
) -> None:
    path = study.send("bad.json", content(study.answers("a", honest)))
    with pytest.raises(Unusable, match=said) as refusal:
        read_answers(path)
    assert refusal.value.kind == kind


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(Unusable, match="larger than 1 MiB"):
        read_answers(path)
    with pytest.raises(Unusable, match="no such file"):
        read_answers(tmp_path / "none.json")
    os.mkfifo(tmp_path / "fifo.json")  # opening it would block
    for path in (tmp_path, tmp_path / "fifo.json", Path("/dev/zero")):
        with pytest.raises(Unusable, match="not a regular file"):
            read_answers(path)


def test_no_file_that_counts_is_an_error_in_one_line(fresh: Any) -> None:
    with pytest.raises(InputError, match=r"no file of answers counts; .*not JSON") as refusal:
        read_study(fresh.made.key, [fresh.send("bad.json", "nothing")])
    assert "\n" not in str(refusal.value)
    assert not stored_results(fresh.directory)


def test_a_key_or_results_that_were_edited_are_refused(fresh: Any) -> None:
    path = fresh.send("a.json", fresh.answers("a", honest))
    read_study(fresh.made.key, [path])
    for changed in (fresh.made.key, fresh.made.key.parent / "results.json"):
        changed.write_text(changed.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match=r"results\.json is truncated, edited"):
        stored_results(fresh.directory)
    with pytest.raises(InputError, match=r"study-key\.json is truncated, edited"):
        read_study(fresh.made.key, [path])
    results = fresh.made.key.parent / "results.json"
    results.unlink()
    os.mkfifo(results)  # opening it would block
    with pytest.raises(InputError, match=r"results\.json is truncated, edited"):
        stored_results(fresh.directory)


def test_a_report_is_made_again_for_new_results(fresh: Any) -> None:
    report = render_directory(fresh.directory)
    assert (fresh.directory / rendered.NOTE).exists()
    read_study(fresh.made.key, [fresh.send("a.json", fresh.answers("a", honest))])
    assert "## Human evaluation" not in report.read_text()
    assert "## Human evaluation" in render_directory(fresh.directory).read_text()


def test_the_study_that_is_meant_must_be_clear(fresh: Any, asked: Callable[..., Any], tmp_path: Path) -> None:
    name = fresh.made.key.parent.name
    assert find_key(fresh.directory, None) == find_key(fresh.directory, name) == fresh.made.key
    asked(fresh.directory, Wish("real-or-fake", 10))
    with pytest.raises(InputError, match="several studies"):
        find_key(fresh.directory, None)
    with pytest.raises(InputError, match="did you mean"):
        find_key(fresh.directory, f"{name}x")
    with pytest.raises(InputError, match="no study; create one"):
        find_key(tmp_path, None)


def test_the_command_reads_and_the_report_names_no_rater(fresh: Any, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(fresh.send(f"{n}.json", fresh.answers(f"<img src=x onerror=alert({n})>", honest))) for n in range(2)]
    files += [str(fresh.send("again.json", fresh.answers("<img src=x onerror=alert(0)>\x1b[2J", honest)))]
    files += [str(fresh.send("same.json", fresh.answers("<img src=x onerror=alert(1)>", honest)))]
    cli.main(["study", "read", str(fresh.directory), *files], standalone_mode=False)
    said = capsys.readouterr()
    assert "3 of 4 files count" in said.out
    assert said.err.count("left out") == 1
    assert "\x1b" not in said.err
    report = (fresh.directory / "report.md").read_text()
    assert "## Human evaluation" in report
    assert "1 double" in report
    assert "onerror" not in report
    assert "onerror" not in (fresh.made.key.parent / "results.json").read_text()
    # A study whose results are gone is not in the report.
    (fresh.made.key.parent / "results.json").unlink()
    assert "Human evaluation" not in render_directory(fresh.directory).read_text()
