"""The remarks that accompany a comparison's figures, line by line."""

from __future__ import annotations

import math

import pytest

from genbench.changes import compare
from genbench.changes.remarks import remarks


def said(base: list, new: list) -> list[str]:
    return remarks(compare(base, new))


def test_two_equal_sets_have_no_remarks(make) -> None:
    assert said(make(), make()) == []


def test_what_failed_is_told_first(make, fail) -> None:
    base = [*make("gan", {"fd": [1.0] * 3, "kid": [1.0] * 3}), *make("vae")]
    vae = base[3:]
    broken = make("gan", {"fd": [1.0] * 3, "kid": [1.0, None, math.nan]})
    assert said(base, [*broken, fail(broken[2]), *vae[:2], fail(vae[2])])[:3] == [
        "failed in NEW: vae on digits, seed 2: training: loss became nan",
        "failed in one run of NEW but finished in another, whose numbers are compared: gan on digits, seed 2",
        "kid of gan on digits is not finite in NEW, seeds 1, 2",
    ]


def test_a_refusal_names_its_numbers_and_the_fields_that_differ_with_both_values(make) -> None:
    numbers = {"fd": [1.0, 2.0], "kid": [1.0, 2.0]}
    other = {"metric": "frechet_distance", "extractor": "inception", "layers": ["pool", 3]}
    assert said(make(numbers=numbers), make(numbers=numbers, recipe=other)) == [
        "not compared: gan on digits: fd, kid: recipes differ: extractor is digits-cnn in BASE and inception in NEW; "
        'samples is 500 in BASE and – in NEW; layers is – in BASE and ["pool", 3] in NEW'
    ]
    assert said(make(), make(budget="9steps")) == [
        "not compared: gan on digits: budgets differ: budget is 1500steps in BASE and 9steps in NEW"
    ]
    twice = [*make(batch_size=64), *make(batch_size=128)]
    assert said(twice, make(batch_size=64)) == [
        "not compared: gan on digits: the label occurs 2 times in BASE and once in NEW, differing in batch size; "
        "compare folders that hold one version of it"
    ]


@pytest.mark.parametrize(
    ("base", "new", "told"),
    [
        ([0.1, 0.31], [0.0, 0.2], "up to 31% of the training in BASE and up to 20% of the training in NEW"),
        ([0.099, None], [0.1, 0.05], "up to 10% of the training in NEW"),
        ([0.5, 0.1], [0.0, 0.09], "up to 50% of the training in BASE"),
        ([0.0, None], [0.09, 0.0], None),
    ],
)
def test_trainings_that_had_to_wait_for_a_processor_are_named(
    make, base: list[float | None], new: list[float | None], told: str | None
) -> None:
    sides = make(numbers={"fd": [1.0, 2.0]}), make(numbers={"fd": [1.0, 2.0]})
    for records, shares in zip(sides, (base, new), strict=True):
        for record, share in zip(records, shares, strict=True):
            record["cost"]["waited_share"] = share
    line = f"something else used the processor: gan: threads waited for it {told}, so speeds are too low"
    assert said(*sides) == ([line] if told else [])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0123456789abcdef", "0123456789abcdef"),
        ("0123456789abcdef0", "01234567…"),
        ("0123456789abcdefg", "0123456789abcdefg"),
        ("X" * 17, "X" * 17),
        (64, "64"),
        (None, "–"),
    ],
)
def test_of_a_long_digest_its_first_digits_are_shown(make, value: object, shown: str) -> None:
    new = make(batch_size=value, training_precision="bf16")
    assert said(make(batch_size="x"), new) == [
        f"settings: gan: batch size is x in BASE and {shown} in NEW; training precision is – in BASE and bf16 in NEW"
    ]


def test_of_many_rows_and_numbers_the_first_are_named(make) -> None:
    names = [f"m{number}" for number in range(7)]
    alone = [record for name in names for record in make(name, {"fd": [1.0]})]
    both = make("gan", {"fd": [1.0]})
    assert said([*both, *alone[:6]], both) == [f"only in BASE: {', '.join(f'{name} on digits' for name in names[:6])}"]
    assert said(both, [*both, *alone]) == [
        f"only in NEW: {', '.join(f'{name} on digits' for name in names[:6])} and 1 more rows"
    ]
    eight = {f"x{number}": [1.0] for number in range(8)}
    (line,) = said(make("gan", {"fd": [1.0], **eight}), both)
    assert line == f"measured only in BASE: {', '.join(eight)}"
    (line,) = said(both, make("gan", {"fd": [1.0], **eight, "x8": [1.0]}))
    assert line == f"measured only in NEW: {', '.join(eight)} and 1 more numbers"
    many = {**eight, "x8": [1.0]}
    (line,) = said(make("gan", many), make("gan", many, recipe={"metric": "other"}))
    assert line.startswith(f"not compared: gan on digits: {', '.join(eight)} and 1 more numbers: recipes differ")
    (line,) = said([*alone, *both], [*both, *(record | {"cell": record["cell"] | {"budget": "9"}} for record in alone)])
    assert line.startswith("not compared: m0 on digits, m1 on digits, ")
    assert ", m5 on digits and 1 more rows: budgets differ" in line
    told = [record for name in names for record in make(name, {"fd": [1.0]}, batch_size=8)]
    assert said(alone, told) == [
        f"settings: {', '.join(names[:6])} and 1 more rows: batch size is – in BASE and 8 in NEW"
    ]


def test_what_is_said_of_several_rows_is_said_once(make) -> None:
    base = [*make("gan"), *make("vae"), *make("ae", {"fd": [1.0]})]
    new = [
        *make("gan", batch_size=8, first_seed=1),
        *make("vae", batch_size=8, first_seed=1),
        *make("ae", {"fd": [1.0]}, batch_size=9),
    ]
    assert said(base, new) == [
        "not compared seed by seed: gan, vae: BASE has seeds 0, 1, 2, NEW has seeds 1, 2, 3",
        "settings: ae: batch size is – in BASE and 9 in NEW",
        "settings: gan, vae: batch size is – in BASE and 8 in NEW",
    ]


def test_a_number_that_several_models_lack_is_named_once(make) -> None:
    base = [*make("gan", {"fd": [1.0], "kid": [1.0]}), *make("vae", {"fd": [1.0], "kid": [1.0]})]
    assert said(base, [*make("gan", {"fd": [1.0]}), *make("vae", {"fd": [1.0]})]) == ["measured only in BASE: kid"]


def test_a_side_without_finished_cells_has_no_seeds_to_tell(make, fail) -> None:
    base = make()
    assert said(base, [fail(record) for record in base]) == [
        "failed in NEW: gan on digits, seeds 0, 1, 2: training: loss became nan"
    ]


def test_a_control_that_moved_and_other_software_are_told_last(make) -> None:
    machine = {**make()[0]["environment"], "torch": "2.14.0", "genbench": "0.2.0"}
    base = [*make(), *make("real", {"fd": [0.5] * 3}, role="control", budget=None)]
    new = [
        *make(machine=machine),
        *make("real", {"fd": [0.625] * 3}, role="control", budget=None, machine=machine),
    ]
    assert said(base, new) == [
        "software: genbench is 0.1.0 in BASE and 0.2.0 in NEW; torch is 2.13.0 in BASE and 2.14.0 in NEW",
        "the control real has fd 0.5 in BASE and 0.625 in NEW: the measurement itself has changed, so no change can be "
        "ascribed to a model",
    ]
