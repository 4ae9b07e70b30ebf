from __future__ import annotations

import math

import pytest

from genbench.changes import Change, compare, parse
from genbench.records.ratio import relative_interval
from genbench.records.statistics import difference, holm


def the(comparison, name: str, model: str = "gan") -> Change:
    return next(c for c in comparison.changes if c.measure.name == name and c.pair.name == model)


def test_quality_is_paired_over_seeds_and_relative_to_the_mean_of_base(make) -> None:
    old, new = [18.0, 20.0, 22.0], [19.0, 22.0, 25.0]
    change = the(compare(make(numbers={"fd": old}), make(numbers={"fd": new})), "fd")
    expected = difference(dict(enumerate(new)), dict(enumerate(old)))
    assert (change.paired, change.absolute, change.half_width, change.p) == (
        True,
        expected.mean,
        expected.half_width,
        expected.p,
    )
    assert change.relative == pytest.approx(0.1)
    assert (change.low, change.high) == relative_interval(new, old, paired=True)


def test_a_change_from_a_negative_mean_is_relative_to_its_magnitude(make) -> None:
    change = the(compare(make(numbers={"kid": [-1.1, -1.0, -0.9]}), make(numbers={"kid": [-0.6, -0.5, -0.4]})), "kid")
    assert change.relative == pytest.approx(0.5)
    assert change.low <= change.relative <= change.high
    assert change.outcome == "worse"  # lower is better


def test_seeds_are_paired_by_number_where_a_set_holds_them_in_another_order_or_lost_a_value(make) -> None:
    old, new = [18.0, 20.0, 22.0, 21.0], [19.0, 22.0, 25.0, 21.5]
    straight = the(compare(make(numbers={"fd": old}), make(numbers={"fd": new})), "fd")
    turned = the(compare(make(numbers={"fd": old}), make(numbers={"fd": new})[::-1]), "fd")
    assert (turned.low, turned.high, turned.p) == (straight.low, straight.high, straight.p)
    lost = the(compare(make(numbers={"fd": [*old[:3], None]}), make(numbers={"fd": new})), "fd")
    assert not lost.paired  # three seeds against four
    assert (lost.low, lost.high) == relative_interval(new, old[:3], paired=False)
    both = the(compare(make(numbers={"fd": [*old[:3], None]}), make(numbers={"fd": [*new[:3], math.nan]})), "fd")
    assert both.paired
    assert (both.low, both.high) == relative_interval(new[:3], old[:3], paired=True)


def test_different_seeds_are_compared_by_welch(make) -> None:
    change = the(compare(make(), make(first_seed=5)), "fd")
    assert not change.paired
    assert change.p == 1.0
    assert change.outcome == "not resolved"


def test_memory_is_a_ratio_with_the_interval_of_its_logarithm(make) -> None:
    old, new = [100.0, 110.0, 121.0], [50.0, 55.0, 60.5]
    costs = {"peak_resident_bytes": old}, {"peak_resident_bytes": new}
    change = the(compare(make(costs=costs[0]), make(costs=costs[1])), "peak_resident_bytes")
    assert change.relative == pytest.approx(-0.5)
    # Halving every seed is a shift of the logarithms, whose spread is log 1.1 on both sides: Welch's nu is 4.
    half_width = 2.7764451 * math.log(1.1) * math.sqrt(2 / 3)
    assert (change.low, change.high) == pytest.approx((0.5 * math.exp(-half_width) - 1, 0.5 * math.exp(half_width) - 1))
    assert change.paired is False
    assert change.outcome == "better"


def test_memory_is_compared_by_geometric_means_and_a_value_that_is_no_number_counts_in_none(make) -> None:
    old, new = [100.0, 100.0, 400.0], [100.0, 200.0, 400.0]
    one, other = (make(costs={"peak_resident_bytes": sizes}) for sizes in (old, new))
    assert the(compare(one, other), "peak_resident_bytes").relative == pytest.approx(2 ** (1 / 3) - 1)
    one, other = (
        make(numbers={"fd": [1.0] * 4}, costs={"peak_resident_bytes": [*sizes, math.inf]}) for sizes in (old, new)
    )
    change = the(compare(one, other), "peak_resident_bytes")
    assert (change.base.n, change.new.n) == (3, 3)
    assert change.relative == pytest.approx(2 ** (1 / 3) - 1)


def test_controls_are_a_family_of_their_own(make) -> None:
    def records(shift: float) -> list:
        models = [
            record for label in ("a", "b") for record in make(label, {"fd": [1 + shift, 2 + shift, 3.1 + shift / 2]})
        ]
        return [*models, *make("noise", {"fd": [5 + shift, 5 + 2 * shift, 6 + shift]}, role="control", budget=None)]

    changes = compare(records(0.0), records(1.0)).changes
    models, controls = ([change for change in changes if change.pair.is_model == kind] for kind in (True, False))
    assert [change.p_holm for change in models] == holm([change.p for change in models])
    assert [change.p_holm for change in controls] == [change.p for change in controls]


@pytest.mark.parametrize(
    ("name", "old", "new", "outcome"),
    [
        ("train_s", [10.0, 11.0, 12.0], [13.0, 14.0, 15.0], "slower in these runs"),
        ("train_s", [13.0, 14.0, 15.0], [10.0, 11.0, 12.0], "faster in these runs"),
        ("train_s", [10.0, 11.0, 12.0], [12.0, 14.0, 15.0], "ranges overlap"),
        ("train_s", [10.0, 16.0], [12.0, 13.0], "ranges overlap"),
        ("train_s", [12.0, 13.0], [10.0, 16.0], "ranges overlap"),
        ("train_s", [12.0, 13.0], [10.0, 12.0], "ranges overlap"),
        ("train_s", [0.125, 0.25], [0.5, 0.5], "slower in these runs"),
        ("train_s", [10.0], [11.0], "slower in these runs"),
        ("train_s", [10.0, 11.0, math.inf], [13.0, 14.0], "slower in these runs"),
        ("train_items_per_s", [10.0, 11.0, 12.0], [13.0, 14.0, 15.0], "faster in these runs"),
        ("train_items_per_s", [13.0, 14.0, 15.0], [10.0, 11.0, 12.0], "slower in these runs"),
        ("train_joules", [10.0, 11.0, 12.0], [13.0, 14.0, 15.0], "changed in these runs"),
    ],
)
def test_times_of_two_runs_are_no_draws_of_a_machine_so_nothing_is_claimed_beyond_these_runs(
    make, name: str, old: list[float], new: list[float], outcome: str
) -> None:
    one, other = (make(numbers={"fd": [1.0] * len(costs)}, costs={name: costs}) for costs in (old, new))
    change = the(compare(one, other), name)
    assert change.outcome == outcome
    assert (change.p, change.p_holm, change.low, change.high, change.resolved) == (None, None, None, None, False)
    assert change.paired is False
    old = [value for value in old if math.isfinite(value)]
    log_ratio = sum(map(math.log, new)) / len(new) - sum(map(math.log, old)) / len(old)
    assert change.relative == pytest.approx(math.exp(log_ratio) - 1)


@pytest.mark.parametrize(
    ("name", "kind", "direction"),
    [
        ("sample_items_per_s", "speed", "higher"),
        ("train_s", "speed", "lower"),
        ("peak_resident_bytes", "memory", "lower"),
        ("parameters", "size", "lower"),
        ("train_joules", "cost", None),
    ],
)
def test_a_costs_name_says_what_it_is(make, name: str, kind: str, direction: str | None) -> None:
    found = the(compare(make(costs={name: [5, 6, 7]}), make(costs={name: [5, 6, 7]})), name)
    assert (found.measure.kind, found.measure.direction) == (kind, direction)


def test_what_is_counted_changed_if_it_differs_with_one_seed_too(make) -> None:
    one, other = (make(numbers={"fd": [1.0]}, costs={"parameters": [count]}) for count in (100, 101))
    change = the(compare(one, other), "parameters")
    assert (change.resolved, change.relative, change.p) == (True, 0.01, 0.0)
    assert (change.low, change.high, change.half_width, change.paired) == (0.01, 0.01, 0.0, False)
    same = the(compare(one, one), "parameters")
    assert (same.outcome, same.p, same.relative, same.low) == ("equal", 1.0, 0.0, 0.0)


def test_there_is_no_ratio_to_nothing(make) -> None:
    def between(name: str, old: list[float], new: list[float]) -> Change:
        one, other = (make(numbers={"fd": [1.0] * len(values)}, costs={name: values}) for values in (old, new))
        return the(compare(one, other), name)

    change = between("parameters", [0], [5])
    assert (change.relative, change.low, change.high, change.absolute, change.resolved) == (None, None, None, 5.0, True)
    change = between("train_s", [0.0, 1.0], [3.0, 4.0])
    assert (change.relative, change.absolute, change.outcome) == (None, 3.0, "slower in these runs")
    old, new = [0.0, 1.0, 3.0], [5.0, 6.5, 9.0]
    change = between("peak_resident_bytes", old, new)
    expected = difference(dict(enumerate(new)), dict(enumerate(old)), same_model=False)
    assert (change.relative, change.low, change.high, change.paired) == (None, None, None, False)
    assert (change.absolute, change.half_width, change.p) == (expected.mean, expected.half_width, expected.p)
    assert (change.base.mean, change.new.mean) == pytest.approx((4 / 3, 20.5 / 3))


def test_a_cost_that_is_no_finite_number_in_one_set_is_not_compared(make) -> None:
    one, other = (make(numbers={"fd": [1.0] * 2}, costs={"train_s": values}) for values in ([math.inf] * 2, [1.0, 2.0]))
    for pair in ((one, other), (other, one)):
        assert [change.measure.name for change in compare(*pair).changes] == ["fd"]


def test_one_seed_has_no_interval(make) -> None:
    change = the(compare(make(numbers={"fd": [1.0]}), make(numbers={"fd": [9.0]})), "fd")
    assert (change.p, change.low, change.resolved, change.outcome) == (None, None, False, "no interval")


def test_a_mean_that_cannot_be_told_from_0_has_no_percents(make) -> None:
    change = the(compare(make(numbers={"kid": [-1.0, 0.5, 1.0]}), make(numbers={"kid": [2.0, 3.0, 4.0]})), "kid")
    assert change.relative is None
    assert change.absolute == pytest.approx(3 - 1 / 6)
    change = the(compare(make(numbers={"kid": [0.0, 0.0]}), make(numbers={"kid": [1.0, 1.0]})), "kid")
    assert (change.relative, change.absolute) == (None, 1.0)


@pytest.mark.parametrize(
    ("share", "outcome"), [(0.9e-9, "equal"), (1.1e-9, "worse"), (-0.9e-9, "equal"), (-1.1e-9, "better")]
)
def test_what_summing_in_another_order_changes_is_no_change(make, share: float, outcome: str) -> None:
    old = [5.0, 5.0, 5.0, 5.0]
    new = [value * (1 + share) for value in old]
    change = the(compare(make(numbers={"fd": old}), make(numbers={"fd": new})), "fd")
    assert (change.outcome, change.resolved) == (outcome, outcome != "equal")
    assert change.absolute == pytest.approx(5 * share, rel=1e-4)


def test_means_that_agree_by_chance_are_not_equal(make) -> None:
    change = the(compare(make(numbers={"fd": [5.0, 6.0, 7.0]}), make(numbers={"fd": [6.0, 7.0, 5.0]})), "fd")
    assert (change.absolute, change.outcome) == (0.0, "not resolved")


def test_counted_numbers_have_no_rounding(make) -> None:
    one, other = (make(numbers={"fd": [1.0]}, costs={"parameters": [count]}) for count in (10**12, 10**12 + 1))
    assert the(compare(one, other), "parameters").outcome == "worse"


def test_numbers_of_two_recipes_are_refused_and_the_others_compared(make) -> None:
    numbers = {"fd": [1.0, 2.0], "kid": [1.0, 2.0]}
    costs = {"train_items_per_s": [1.0, 2.0]}
    other = {"metric": "frechet_distance", "extractor": "inception", "samples": 1000}
    comparison = compare(make(numbers=numbers, costs=costs), make(numbers=numbers, costs=costs, recipe=other))
    (refusal,) = comparison.refused
    assert refusal.numbers == ("fd", "kid")
    assert refusal.fields == {"extractor": ("digits-cnn", "inception"), "samples": (500, 1000)}
    assert [change.measure.name for change in comparison.changes] == ["train_items_per_s"]


def test_times_and_memory_of_two_machines_are_refused_and_quality_compared(make) -> None:
    costs = {"train_items_per_s": [1.0, 2.0, 3.0], "peak_resident_bytes": [1, 2, 3], "parameters": [7, 7, 7]}
    machine = {"processor": "Xeon", "cores": 2, "device": "cpu", "torch": "2.12.0", "genbench": "0.1.0"}
    comparison = compare(make(costs=costs), make(costs=costs, machine=machine))
    (refusal,) = comparison.refused
    assert refusal.numbers == ("train_items_per_s", "peak_resident_bytes")
    assert refusal.fields == {"processor": ("AMD EPYC", "Xeon")}
    assert {change.measure.name for change in comparison.changes} == {"fd", "parameters"}
    assert comparison.software == {"torch": ("2.13.0", "2.12.0")}


def test_cells_side_by_side_are_slower_and_equal_gpus_are_one_device(make) -> None:
    def records(**fields) -> list:
        return make(costs={"train_s": [1.0, 2.0, 3.0]}, machine={"processor": "Xeon", **fields})

    (refusal,) = compare(records(jobs=1), records(jobs=4)).refused
    assert refusal.fields == {"jobs": (1, 4)}
    assert not compare(records(device="cuda:0"), records(device="cuda:1")).refused
    assert compare(records(device="cuda:0"), records(device="cpu")).refused


def test_seeds_of_two_machines_have_no_one_speed(make) -> None:
    costs = {"train_items_per_s": [1.0, 2.0]}
    mixed = make(numbers={"fd": [1.0, 2.0]}, costs=costs)
    mixed[1]["environment"] = {**mixed[1]["environment"], "cores": 64}
    (refusal,) = compare(mixed, mixed).refused
    assert refusal.fields == {"cores": ("2, 64", "2, 64")}


def test_unequal_budgets_are_refused_and_other_settings_reported(make) -> None:
    refused = compare(make(), make(budget="3000steps"))
    assert refused.refused[0].fields == {"budget": ("1500steps", "3000steps")}
    assert not refused.changes
    told = compare(make(), make(batch_size=128, plugin={"source_sha256": "cd" * 32}))
    (pair,) = told.pairing.pairs
    assert pair.settings == {"batch_size": (None, 128), "plugin source_sha256": ("ab" * 32, "cd" * 32)}
    assert told.changes


def test_a_label_that_stands_twice_is_refused_unless_the_other_set_holds_the_same(make) -> None:
    twice = [*make(batch_size=64), *make(batch_size=128)]
    (refusal,) = compare(twice, make(batch_size=64)).refused
    assert "occurs 2 times in BASE and once in NEW" in refusal.what
    assert "differing in batch size;" in refusal.what
    pairs = compare(twice, twice[::-1]).pairing.pairs
    assert {pair.name for pair in pairs} == {"gan (batch size 64)", "gan (batch size 128)"}
    assert [pair.settings for pair in pairs] == [{}, {}]  # each is compared with its counterpart
    for other in ([*make(batch_size=64), *make(batch_size=256)], [*twice, *make(batch_size=256)]):
        (refusal,) = compare(twice, other).refused
        assert f"occurs 2 times in BASE and {len(other) // 3} times in NEW" in refusal.what


def test_what_only_one_set_holds_is_named(make) -> None:
    base = [*make("gan"), *make("old"), *make("gan", budget="9steps")]
    comparison = compare(base, [*make("gan", {"fd": [1.0, 2.0], "kid": [1.0, 2.0]}), *make("new")])
    assert comparison.pairing.only_base == ("gan on digits, 9steps", "old on digits")
    assert comparison.pairing.only_new == ("new on digits",)
    assert [(measure.name, side) for _, measure, side in comparison.one_sided] == [("kid", "NEW")]


def test_p_values_are_corrected_over_the_gate_and_others_over_the_models(make) -> None:
    def records(shift: float) -> list:
        return [
            record
            for place, label in enumerate(("a", "b"))
            for record in make(
                label,
                {
                    name: [shift * (1 + 0.1 * place), 1 + shift, 2 + shift * (1.3 + place)]
                    for name in ("fd", "kid", "ssim")
                },
            )
        ]

    comparison = compare(records(0.0), records(1.0), parse("fd>5%,kid>5%"))
    gated = [change for change in comparison.changes if change.measure.name != "ssim"]
    assert [change.p_holm for change in gated] == holm([change.p for change in gated])
    alone = [change for change in comparison.changes if change.measure.name == "ssim"]
    assert [change.p_holm for change in alone] == holm([change.p for change in alone])
    assert gated[0].p_holm != alone[0].p_holm
    # A term for one model makes a family of one; all other numbers are corrected as usual.
    for change in compare(records(0.0), records(1.0), parse("a:fd>5%")).changes:
        if change.measure.name == "fd":
            assert change.p_holm == change.p


def test_a_control_that_changed_says_that_measuring_did(make) -> None:
    def control(value: float) -> list:
        return [*make(), *make("real", {"fd": [value] * 3}, role="control", budget=None)]

    assert not compare(control(0.5), control(0.5 + 1e-9)).altered_controls
    (change,) = compare(control(0.5), control(0.6)).altered_controls
    assert change.pair.name == "real"


def test_a_control_that_moves_within_its_own_spread_says_nothing_of_the_measurement(make) -> None:
    old, new = (
        [*make(), *make("real", {"fd": values}, role="control", budget=None)] for values in ([5, 6, 7], [6, 5, 8])
    )
    (change,) = (each for each in compare(old, new).changes if not each.pair.is_model)
    assert change.relative == pytest.approx(1 / 18)
    assert not compare(old, new).altered_controls


@pytest.mark.parametrize("field", ["device", "device_name", "processor", "cores", "threads", "jobs", "platform"])
def test_speed_is_refused_if_anything_that_decides_it_differs(make, field: str) -> None:
    one, other = (make(costs={"train_s": [1.0, 2.0, 3.0]}, machine={field: value}) for value in ("a", "b"))
    (refusal,) = compare(one, other).refused
    assert refusal.fields == {field: ("a", "b")}
