"""How one change and one judgement are put into words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from genbench.changes import Change, compare, judge, parse
from genbench.changes.wording import Shown, cells, change_text, headline, judgement_text, split
from genbench.records.statistics import difference
from genbench.report.formatting import interval, percent, plain

# The mean of AROUND_0 is indistinguishable from 0, so its changes have no percentages.
AROUND_0, ABOVE = [-1.0, 0.5, 1.0], [2.0, 3.0, 4.5]


def shown(base: list, new: list, expression: str = "") -> Shown:
    terms = parse(expression) if expression else []
    comparison = compare(base, new, terms)
    return Shown(Path("base"), Path("new"), comparison, terms, judge(comparison, terms))


@pytest.fixture
def kid(make):
    """The change in one number between two sets."""

    def of(old: list[float], new: list[float], **more: object) -> Change:
        (change,) = compare(make(numbers={"kid": old}, **more), make(numbers={"kid": new}, **more)).changes
        return change

    return of


def test_a_change_of_what_may_be_0_is_in_its_own_unit_with_a_sign(kid) -> None:
    up = difference(dict(enumerate(ABOVE)), dict(enumerate(AROUND_0)))
    assert change_text(kid(AROUND_0, ABOVE)) == f"+{interval(up.mean, up.half_width)}"
    assert change_text(kid(AROUND_0, [-value for value in ABOVE])).startswith("-")
    small = change_text(kid([1e-9 * value for value in AROUND_0], [1e-9 * value for value in ABOVE]))
    assert small.startswith("(3.")
    assert small.endswith("e-9")
    assert change_text(kid(ABOVE, [math.nan] * 3)) == "–"


def test_a_change_without_an_interval_is_a_percentage_alone(kid) -> None:
    assert change_text(kid([2.0], [3.0])) == "+50.0%"
    assert change_text(kid([2.0, 2.0], [3.0, 3.0])) == "+50.0%"
    assert change_text(kid([2.0, 2.0], [2.0, 2.0])) == "0"
    found = kid([2.0, 2.1, 2.2], [3.0, 3.1, 3.3])
    assert change_text(found) == f"{percent(found.relative)} ({percent(found.low)} to {percent(found.high)})"


def test_cells_say_both_numbers_of_seeds_where_they_differ_and_sizes_with_a_prefix(make) -> None:
    base = make(numbers={"fd": [1.0, 2.0, 3.0]}, costs={"parameters": [1_463_296] * 3})
    new = make(numbers={"fd": [1.0, 2.0]}, costs={"parameters": [1_463_296] * 2})
    quality, size = map(cells, compare(base, new).changes)
    assert (quality[2], size[2:5]) == ("3, 2", ("3, 2", "1.46 M", "1.46 M"))


def names(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.pair.label, change.measure.name) for change in changes]


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("", ["gan fd", "vae fd"]),
        ("coverage<-1%", ["gan fd", "gan coverage", "vae fd", "vae coverage"]),
        ("gan:coverage<-1%", ["gan fd", "gan coverage", "vae fd"]),
        ("vae@digits:coverage<-1%", ["gan fd", "vae fd", "vae coverage"]),
        ("gan@shapes:coverage<-1%", ["gan fd", "vae fd"]),
    ],
)
def test_what_a_term_names_stands_first_though_it_is_not_resolved(make, expression: str, first: list[str]) -> None:
    both = [
        record
        for label in ("gan", "vae")
        for record in make(label, {"fd": [1.0, 2.0], "kid": [1.0, 2.0], "coverage": [0.5, 0.6]})
    ]
    found, others = split(shown(both, both, expression))
    assert [" ".join(name) for name in names(found)] == first
    rest = {(label, name) for label in ("gan", "vae") for name in ("kid", "coverage")} - set(names(found))
    assert set(names(others)) == rest


def test_what_is_resolved_stands_first_and_so_do_images_a_second_and_memory(make) -> None:
    numbers = {"kid": [1.0, 1.1, 1.2], "coverage": [0.5, 0.6, 0.7]}
    costs = {name: [1.0, 2.0, 3.0] for name in ("train_s", "train_items_per_s", "peak_resident_bytes", "joules")}
    first, others = split(
        shown(make(numbers=numbers, costs=costs), make(numbers=numbers | {"kid": [9.0, 9.1, 9.2]}, costs=costs))
    )
    assert {name for _, name in names(first)} == {"kid", "train_items_per_s", "peak_resident_bytes"}
    assert {name for _, name in names(others)} == {"coverage", "train_s", "joules"}


@pytest.mark.parametrize(("bound", "is_open"), [("20%", True), ("60%", False), ("0.5", True), ("1", False)])
@pytest.mark.parametrize("sign", [">", "<-"])
def test_a_passed_check_reports_an_end_of_the_interval_beyond_the_bound(
    make, bound: str, is_open: bool, sign: str
) -> None:
    """A mean of 2 that grew by 0.1, with an interval from -0.59 to 0.79: a third of the mean either way."""
    old, new, expression = [1.9, 2.0, 2.1], [1.75, 2.05, 2.5], f"kid{sign}{bound}"
    view = shown(make(numbers={"kid": old}), make(numbers={"kid": new}), expression)
    (judgement,) = view.verdict.judgements
    assert judgement.outcome == "ok"
    change = judgement.change
    assert change is not None
    assert change.half_width is not None
    upwards = ">" in expression
    if "%" in expression:
        end = percent(change.high if upwards else change.low)
    else:
        end = plain(change.absolute + (change.half_width if upwards else -change.half_width))
    text = judgement_text(judgement)
    assert text.startswith(f"ok: {expression}: gan on digits: {change_text(change)}")
    assert text.endswith(f"; {end} is not excluded") == is_open
    assert ("is not excluded" in text) == is_open


def test_a_passed_check_without_an_interval_reports_no_end(make) -> None:
    """A number around 0 has no percentages, and memory has no interval in bytes."""
    (judged,) = shown(
        make(costs={"peak_resident_bytes": [1, 2, 3]}),
        make(costs={"peak_resident_bytes": [1, 2, 4]}),
        "peak_resident_bytes>9",
    ).verdict.judgements
    assert judged.outcome == "ok"
    assert "excluded" not in judgement_text(judged)


@pytest.mark.parametrize(("failed", "said"), [(1, "1 cell that"), (2, "2 cells that")])
def test_the_headline_counts_lost_cells(make, fail, failed: int, said: str) -> None:
    base = make()
    new = [*base[failed:], *map(fail, base[:failed])]
    assert headline(shown(base, new)) == f"regression: {said} finished in BASE failed in NEW"


@pytest.mark.parametrize(("terms", "said"), [("fd>5%", "1 check passed"), ("fd>5%,fd<-9", "2 checks passed")])
def test_the_headline_counts_checks(make, terms: str, said: str) -> None:
    assert headline(shown(make(), make(), terms)) == f"no regression: {said}"


def test_the_headline_joins_what_could_not_be_decided_or_compared(make) -> None:
    assert headline(shown(make("gan"), make("vae"), "fd>5%")) == (
        "not comparable: 1 of 1 checks could not be decided; no number of a model could be compared"
    )


def test_a_flag_is_shown_in_words(make) -> None:
    base, new = ({"numbers": {"fewer_than_dimensions": values}} for values in ([0.0, 0.0], [1.0, 0.0]))
    (change,) = compare(make(**base), make(**new)).changes
    assert cells(change)[3:5] == ("no", "yes in 50%")
