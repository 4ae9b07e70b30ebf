"""Which rows and numbers of two sets are paired, which are refused or lost, and under which names."""

from __future__ import annotations

import math

import pytest

from genbench.changes import compare, parse
from genbench.changes.losses import losses
from genbench.changes.measures import Measure, cost_value, measures
from genbench.changes.pairing import pairing
from genbench.records.statistics import holm


def test_a_label_under_two_budgets_is_a_pair_for_each(make) -> None:
    both = [*make("gan"), *make("gan", budget="9steps"), *make("vae", budget="9steps")]
    found = pairing(both, both)
    told = [(pair.subject, pair.name, pair.label, pair.dataset, pair.budget) for pair in found.pairs]
    assert sorted(told) == [
        ("gan on digits, 1500steps", "gan", "gan", "digits", "1500steps"),
        ("gan on digits, 9steps", "gan", "gan", "digits", "9steps"),
        ("vae on digits", "vae", "vae", "digits", "9steps"),
    ]
    assert all(str(pair) == pair.subject and pair.is_model and pair.base == pair.new for pair in found.pairs)
    assert (found.only_base, found.only_new, found.refused) == ((), (), ())


def test_only_shared_budgets_meet_and_none_is_a_refusal(make) -> None:
    one, two, three = (make("gan", budget=f"{steps}steps") for steps in (1, 2, 3))
    found = pairing([*one, *two], [*two, *three])
    assert [pair.budget for pair in found.pairs] == ["2steps"]
    assert (found.only_base, found.only_new) == (("gan on digits, 1steps",), ("gan on digits, 3steps",))
    (refusal,) = pairing([*one, *two], three).refused
    assert (refusal.rows, refusal.numbers, refusal.what) == (("gan on digits",), (), "budgets differ")
    assert refusal.fields == {"budget": ("1steps and 2steps", "3steps")}
    (refusal,) = pairing(three, [*one, *two]).refused
    assert refusal.fields == {"budget": ("3steps", "1steps and 2steps")}


def test_a_label_and_a_budget_that_one_set_lacks_are_both_named(make) -> None:
    base = [*make("ae"), *make("gan"), *make("gan", budget="9steps")]
    assert pairing(base, make("gan")).only_base == ("ae on digits", "gan on digits, 9steps")


def test_a_control_is_one_row_under_any_budget_and_no_model_of_its_label(make) -> None:
    base = make("real", role="control", budget="9steps")
    found = pairing(base, make("real", role="control", budget=None))
    assert [(pair.subject, pair.is_model, pair.budget) for pair in found.pairs] == [("real on digits", False, "")]
    other = pairing(base, make("real"))
    assert (other.pairs, other.only_base, other.only_new) == ((), ("real on digits",), ("real on digits",))


def test_datasets_are_kept_apart(make) -> None:
    shapes = make("gan", {"fd": [5.0, 6.0]}, dataset={"name": "shapes"})
    found = pairing([*make("gan"), *shapes], [*shapes, *make("gan")])
    assert [(pair.subject, len(pair.new.records)) for pair in found.pairs] == [
        ("gan on digits", 3),
        ("gan on shapes", 2),
    ]
    assert pairing(make("gan"), shapes).only_new == ("gan on shapes",)


def test_a_row_whose_cells_all_failed_is_a_row(make, fail) -> None:
    (pair,) = pairing(make(), [fail(record) for record in make()]).pairs
    assert (len(pair.base.records), len(pair.new.records), len(pair.new.failed)) == (3, 0, 3)


@pytest.mark.parametrize(("count", "said"), [(1, "once"), (3, "3 times")])
def test_a_label_that_occurs_several_times_is_reported_with_the_fields_that_differ(make, count: int, said: str) -> None:
    twice = [*make(batch_size=64), *make(batch_size=128, training_precision="bf16")]
    other = [record for size in range(count) for record in make(batch_size=size)]
    (refusal,) = pairing(twice, other).refused
    assert (refusal.rows, refusal.numbers, refusal.fields) == (("gan on digits",), (), {})
    assert refusal.what == (
        f"the label occurs 2 times in BASE and {said} in NEW, differing in batch size, training precision; compare "
        "folders that hold one version of it"
    )
    (refusal,) = pairing(other, twice).refused
    assert refusal.what.startswith(f"the label occurs {said} in BASE and 2 times in NEW, ")


def test_a_refusal_under_one_budget_leaves_the_other(make) -> None:
    twice = [*make(batch_size=64), *make(batch_size=128)]
    other = make(budget="9steps")
    found = pairing([*twice, *other], [*make(batch_size=64), *other])
    assert len(found.refused) == 1
    assert [pair.subject for pair in found.pairs] == ["gan on digits, 9steps"]


# What is measured


def test_measures_stand_in_reading_order_then_by_kind(make) -> None:
    numbers = {name: [1.0] for name in ("zebra", "kid", "ssim", "fd")}
    costs = {
        name: [1]
        for name in (
            *("parameters", "joules", "peak_resident_bytes", "train_s", "evaluation_s", "sample_items_per_s"),
            *(
                "other_per_s",
                "train_items_per_s",
                "train_flops_per_item",
                "sample_flops_per_item",
                "steps",
                "items",
                "sample_batch_size",
                "waited_share",
                "kid",
            ),
        )
    }
    assert measures(make(numbers=numbers, costs=costs)) == [
        Measure("fd", "quality", "lower"),
        Measure("ssim", "quality", "higher"),
        Measure("kid", "quality", "lower"),
        Measure("zebra", "quality", None),
        Measure("sample_items_per_s", "speed", "higher"),
        Measure("train_items_per_s", "speed", "higher"),
        Measure("evaluation_s", "speed", "lower"),
        Measure("other_per_s", "speed", "higher"),
        Measure("train_s", "speed", "lower"),
        Measure("peak_resident_bytes", "memory", "lower"),
        Measure("joules", "cost", None),
        Measure("parameters", "size", "lower"),
        Measure("sample_flops_per_item", "size", "lower"),
        Measure("train_flops_per_item", "size", "lower"),
    ]


def test_quality_and_sizes_alone_are_the_same_on_every_machine() -> None:
    kinds = ("quality", "speed", "memory", "cost", "size")
    assert [Measure("x", kind, None).of_machine for kind in kinds] == [False, True, True, True, False]
    assert [Measure("x", kind, None).is_timed for kind in kinds] == [False, True, False, True, False]


def test_a_cost_that_no_record_has_as_a_number_is_none(make) -> None:
    (record,) = make(numbers={"fd": [1.0]})
    record["cost"] = {"replayed": True, "flops_counted": "step 0", "metric_s": {"fd": 1.0}, "train_s": None}
    assert [measure.name for measure in measures([record])] == ["fd"]


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (2.5, 2.5), (True, None), ("3", None), (None, None), ({"median": 4}, 4.0), ({"p5": 4}, None)],
)
def test_a_cost_is_one_number_or_none(value: object, number: float | None) -> None:
    found = cost_value({"x": value}, "x")
    assert (found, type(found)) == (number, type(number))
    assert cost_value({}, "x") is None


# What was lost


def test_what_was_lost_is_told_by_seed_with_the_first_reason(make, fail) -> None:
    base = make(numbers={"fd": [1.0] * 4, "kid": [1.0, None, 1.0, 1.0], "ssim": [1.0] * 4}, first_seed=3)
    new = make(numbers={"fd": [1.0] * 4, "kid": [None, None, math.inf, 1.0], "ssim": [1.0] * 4}, first_seed=3)
    del new[0]["numbers"]["ssim"]
    (pair,) = pairing(base, new).pairs
    assert [(loss.number, loss.seeds, loss.why) for loss in losses(pair)] == [("kid", (3, 5), "no finite value")]
    broken = [fail(record) for record in base]
    broken[0]["failure"] = {"stage": "loading", "reason": "no data"}
    broken[1]["failure"] = None
    (pair,) = pairing(base, broken[::-1]).pairs
    (lost,) = losses(pair)
    assert (lost.pair, lost.number, lost.seeds, lost.why) == (pair, None, (3, 4, 5, 6), "loading: no data")
    (pair,) = pairing(base, [*new[:1], *broken[1:3]]).pairs
    assert [(loss.number, loss.seeds, loss.why) for loss in losses(pair)] == [
        (None, (4, 5), "None: None"),
        ("kid", (3,), "no finite value"),
    ]
    # A cell that BASE had not finished is not lost, and neither is one that only NEW has.
    (pair,) = pairing(base[:1], [*new[1:2], *broken[2:3]]).pairs
    assert list(losses(pair)) == []


# Comparisons


def test_a_comparison_names_all_that_either_set_holds(make, fail) -> None:
    base = [*make("gan", {"fd": [1.0]}, {"train_s": [1.0]}), *map(fail, make("old", {"kid": [1.0]}))]
    new = [*make("gan", {"fd": [1.0], "ssim": [1.0]}), *make("vae", {"fd": [1.0]}, dataset={"name": "shapes"})]
    control = make("real", {"fd": [1.0]}, role="control", budget=None)
    found = compare([*base, *control], [*new, *control])
    assert found.names == {"fd", "ssim", "train_s"}
    assert found.models == {"gan", "gan@digits", "old", "old@digits", "vae", "vae@shapes"}
    assert [(str(pair), measure.name, side) for pair, measure, side in found.one_sided] == [
        ("gan on digits", "ssim", "NEW"),
        ("gan on digits", "train_s", "BASE"),
    ]


@pytest.mark.parametrize("failing", ["BASE", "NEW", "both"])
def test_a_pair_that_a_set_did_not_finish_has_no_changes_and_no_refusals(make, fail, failing: str) -> None:
    finished, failed = make(costs={"train_s": [1.0, 2.0, 3.0]}), [fail(record) for record in make()]
    base = failed if failing in ("BASE", "both") else finished
    new = failed if failing in ("NEW", "both") else finished
    found = compare(base, new)
    assert (found.changes, found.refused, found.one_sided) == ((), (), ())


def test_refusals_that_say_the_same_are_one(make) -> None:
    def records(**more: object) -> list:
        return [
            record
            for label in ("gan", "vae")
            for record in make(label, {"fd": [1.0, 2.0], "kid": [1.0, 2.0]}, {"train_s": [1.0, 2.0]}, **more)
        ]

    machine = {**records()[0]["environment"], "processor": "Xeon", "cores": 64}
    recipes, machines = compare(records(), records(recipe={"metric": "other"}, machine=machine)).refused
    assert (recipes.rows, recipes.numbers) == (("gan on digits", "vae on digits"), ("fd", "kid"))
    assert recipes.what == "recipes differ"
    assert (machines.rows, machines.numbers) == (("gan on digits", "vae on digits"), ("train_s",))
    assert machines.what == "machines differ"
    assert machines.fields == {"processor": ("AMD EPYC", "Xeon"), "cores": (2, 64)}


@pytest.fixture
def measured(make):
    def build(value: float, samples: int, day: int) -> list:
        found = make(numbers={"fd": [value, value + 1]}, recipe={"metric": "fd", "samples": samples})
        return [
            record | {"id": f"{record['id']}{day}", "finished_at": f"2026-11-{day}T00:00:00+00:00"} for record in found
        ]

    return build


def test_seeds_that_were_measured_unequally_often_meet_under_the_recipe_that_all_have(measured) -> None:
    base = [*measured(1.0, 100, 10), *measured(2.0, 200, 11)[:1]]
    (change,) = compare(base, measured(5.0, 100, 12)).changes
    assert (change.base.mean, change.new.mean) == (1.5, 5.5)


def test_of_several_recipes_the_newest_that_both_sets_have_is_compared(measured) -> None:
    """Cells that were measured twice in BASE and three times in NEW: BASE's newest recipe is NEW's second."""
    base = [*measured(1.0, 100, 10), *measured(2.0, 200, 11)]
    new = [*measured(5.0, 100, 12), *measured(7.0, 200, 13), *measured(9.0, 300, 14)]
    (change,) = compare(base, new).changes
    assert (change.base.mean, change.new.mean) == (2.5, 7.5)
    found = compare(measured(1.0, 100, 10), measured(9.0, 300, 14))
    assert (found.changes, [refusal.fields for refusal in found.refused]) == ((), [{"samples": (100, 300)}])


def test_a_field_that_one_machine_does_not_tell_differs(make) -> None:
    one, other = (make(costs={"train_s": [1.0, 2.0, 3.0]}, machine=machine) for machine in ({"cores": 2}, {"jobs": 1}))
    (refusal,) = compare(one, other).refused
    assert refusal.fields == {"cores": (2, None), "jobs": (None, 1)}
    for record in other:
        record["environment"] = None
    assert not compare(one, other).refused  # a record that says nothing about its machine contradicts no other


def test_a_number_is_corrected_with_the_gate_only_where_a_term_judges_it(make) -> None:
    """Terms on two numbers of one model form a family of two; the other model's numbers stay in their own families."""

    def records(shift: float) -> list:
        return [
            record
            for place, label in enumerate(("a", "b"))
            for record in make(label, {name: [shift + place, 1.1, 2.3 + 2 * shift] for name in ("fd", "kid")})
        ]

    terms = parse("a:fd>5%,a@digits:kid>5%")
    found = {(each.pair.label, each.measure.name): each for each in compare(records(0), records(1), terms).changes}
    gated = [found["a", "fd"], found["a", "kid"]]
    assert [change.p_holm for change in gated] == holm([change.p for change in gated if change.p is not None])
    assert gated[0].p_holm != gated[0].p
    for name in ("fd", "kid"):
        assert found["b", name].p_holm == found["b", name].p  # alone in the family of its number
