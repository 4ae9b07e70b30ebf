from __future__ import annotations

import random

import pytest

from genbench.changes import Verdict, compare, judge, parse


def verdict(base: list, new: list, expression: str = "") -> Verdict:
    terms = parse(expression) if expression else []
    found = judge(compare(base, new, terms), terms)
    assert all(judgement.term in terms for judgement in found.judgements)
    return found


def outcomes(found: Verdict) -> list[str]:
    return [judgement.outcome for judgement in found.judgements]


BASE, WORSE = [10.0, 11.0, 12.0], [15.0, 16.1, 17.0]


@pytest.mark.parametrize(
    ("expression", "new", "outcome", "code"),
    [
        ("fd>5%", WORSE, "regression", 1),
        ("fd>60%", WORSE, "ok", 0),
        ("fd>2", WORSE, "regression", 1),
        ("fd>6", WORSE, "ok", 0),
        ("fd<-5%", WORSE, "ok", 0),
        ("fd>0", BASE, "ok", 0),
        ("fd>5%", [30.0, 1.0, 12.0], "ok", 0),  # +30%, but not resolved
        ("fd<-5%", [1.0, 1.0, 1.0], "regression", 1),
    ],
)
def test_a_term_fails_beyond_its_bound_if_the_change_is_resolved(make, expression, new, outcome, code) -> None:
    found = verdict(make(numbers={"fd": BASE}), make(numbers={"fd": new}), expression)
    assert (outcomes(found), found.exit_code) == ([outcome], code)


def test_beyond_the_bound_but_not_resolved_is_said(make) -> None:
    found = verdict(make(numbers={"fd": BASE}), make(numbers={"fd": [30.0, 1.0, 12.0]}), "fd>5%")
    (judgement,) = found.judgements
    assert (judgement.subject, judgement.why) == ("gan on digits", "beyond the bound, but not resolved")
    assert judgement.change is not None


def test_a_speed_that_fell_is_said_and_not_decided_and_memory_that_grew_fails(make) -> None:
    base, new = (make(costs={"train_items_per_s": [rate, 1.01 * rate, 1.02 * rate]}) for rate in (100.0, 80.0))
    for expression in ("train_items_per_s<-10%", "train_items_per_s<-30%", "train_items_per_s<-15"):
        found = verdict(base, new, expression)
        assert (outcomes(found), found.exit_code) == (["undecided"], 2)
        assert found.judgements[0].why.startswith("slower in these runs; two runs also differ by whatever else the")
    base, new = (make(costs={"peak_resident_bytes": [size, 1.01 * size, 1.02 * size]}) for size in (100.0, 120.0))
    assert verdict(base, new, "peak_resident_bytes>10%").exit_code == 1
    assert verdict(base, new, "peak_resident_bytes>30%").exit_code == 0
    assert verdict(base, new, "peak_resident_bytes>15").exit_code == 1


@pytest.fixture
def two_models(make):
    def both(gan: list[float], vae: list[float], dataset: str = "digits") -> list:
        names = {"dataset": {"name": dataset}}
        return [*make("gan", {"fd": gan}, **names), *make("vae:beta=4", {"fd": vae}, **names)]

    return both


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("fd>5%", {"gan on digits": "regression", "vae:beta=4 on digits": "regression"}),
        ("gan:fd>5%", {"gan on digits": "regression"}),
        ("vae:beta=4:fd>5%", {"vae:beta=4 on digits": "regression"}),
        ("vae:beta=4@digits:fd>60%", {"vae:beta=4 on digits": "ok"}),
        # A narrower term replaces the wider one, but only for the same number and sign.
        ("fd>5%,gan:fd>60%", {"vae:beta=4 on digits": "regression", "gan on digits": "ok"}),
        ("gan:fd>60%,fd>5%", {"gan on digits": "ok", "vae:beta=4 on digits": "regression"}),
        ("gan:fd>60%,gan@digits:fd>5%", {"gan on digits": "regression"}),
        ("fd<-5%,gan:fd>60%", {"gan on digits": "ok", "vae:beta=4 on digits": "ok"}),
        ("fd>5%,gan:fd>60%,vae:beta=4:fd>60%", {"gan on digits": "ok", "vae:beta=4 on digits": "ok"}),
    ],
)
def test_a_term_for_a_model_judges_it_alone(two_models, expression: str, found: dict[str, str]) -> None:
    judged = verdict(two_models(BASE, BASE), two_models(WORSE, WORSE), expression).judgements
    assert {judgement.subject: judgement.outcome for judgement in judged} == found


def test_a_term_for_a_model_on_a_dataset_judges_it_there(two_models) -> None:
    base = two_models(BASE, BASE) + two_models(BASE, BASE, "shapes")
    new = two_models(WORSE, BASE) + two_models(WORSE, BASE, "shapes")
    judged = verdict(base, new, "gan@shapes:fd>5%").judgements
    assert [judgement.subject for judgement in judged] == ["gan on shapes"]


def test_a_term_for_a_model_that_one_set_lacks_or_ran_under_another_budget_does_not_pass(make, two_models) -> None:
    both, one = two_models(BASE, BASE), make("vae:beta=4", {"fd": BASE})
    found = verdict(both, one, "gan:fd>5%")
    assert (outcomes(found), found.exit_code) == (["undecided"], 2)
    assert (found.judgements[0].subject, found.judgements[0].why) == ("gan", "not finished in both sets with fd")
    other = [*make("gan", {"fd": BASE}, budget="9steps"), *one]
    assert outcomes(verdict(both, other, "gan:fd>5%")) == ["undecided"]
    assert outcomes(verdict(both, other, "vae:beta=4:fd>5%")) == ["ok"]


def test_what_was_refused_for_its_budget_is_undecided_for_the_terms_of_its_model_alone(make) -> None:
    base = [*make("a on b", {"fd": BASE}), *make("vae", {"fd": BASE})]
    new = [*make("a on b", {"fd": BASE}, budget="9steps"), *make("vae", {"fd": BASE})]
    for model in ("a on b", "a on b@digits"):
        (judged,) = verdict(base, new, f"{model}:fd>5%").judgements
        assert (judged.subject, judged.outcome, judged.why) == ("a on b on digits", "undecided", "budgets differ")
    (judged,) = verdict(base, new, "vae:fd>5%").judgements
    assert (judged.subject, judged.outcome) == ("vae on digits", "ok")


@pytest.mark.parametrize(
    ("expression", "changes", "why"),
    [
        ("fd>5%", {"numbers": {"fd": [1.0]}}, "one seed has no interval; run both with --seeds 2 or more"),
        ("fd>5%", {"recipe": {"metric": "other"}}, "recipes differ"),
        ("fd>5%", {"budget": "9steps"}, "budgets differ"),
        ("train_s>5%", {"machine": {"cores": 64}}, "machines differ"),
        ("ssim>5%", {}, "only BASE has ssim"),
        ("psnr<-1", {}, "only NEW has psnr"),
        ("bits_per_dim>5%", {}, "no model that both sets finished has bits_per_dim"),
        (
            "kid>5%",
            {},
            "BASE's mean is indistinguishable from 0, so a share of it means nothing; write kid>NUMBER",
        ),
    ],
)
def test_a_gate_that_cannot_see_does_not_pass(make, expression: str, changes: dict, why: str) -> None:
    costs = {"train_s": [1.0, 2.0, 3.0]}
    base = make(numbers={"fd": BASE, "ssim": BASE, "kid": [-1.0, 0.0, 1.0]}, costs=costs)
    new = make(**({"numbers": {"fd": WORSE, "kid": [5.0, 6.0, 7.0], "psnr": BASE}, "costs": costs} | changes))
    found = verdict(base, new, expression)
    assert (outcomes(found), found.exit_code) == (["undecided"], 2)
    (judgement,) = found.judgements
    assert judgement.why == why
    assert judgement.subject == ("every model" if why.startswith("no model") else "gan on digits")
    assert (judgement.change is not None) == why.startswith(("one seed", "BASE's mean"))


@pytest.mark.parametrize(
    ("new", "said"),
    [([13.0, 14.0, 15.0], "slower in these runs; "), ([10.0, 12.0, 15.0], "")],
    ids=["disjoint", "overlapping"],
)
def test_times_are_undecided_with_what_was_seen(make, new: list[float], said: str) -> None:
    base, other = (make(costs={"train_s": seconds}) for seconds in ([10.0, 11.0, 12.0], new))
    (judgement,) = verdict(base, other, "train_s>5%").judgements
    assert judgement.why == (
        f"{said}two runs also differ by whatever else the machine was doing, so compare cannot decide; "
        "`genbench regress` can"
    )
    assert judgement.change is not None
    assert (judgement.subject, judgement.outcome) == ("gan on digits", "undecided")


def test_each_model_is_judged_by_what_befell_itself(make) -> None:
    """One model is unchanged, one has a different recipe, one lost values, and one lacks the number."""
    ordinary = {"fd": BASE, "kid": BASE}
    base = [*make("ok", ordinary), *make("recipe", ordinary), *make("lost", ordinary), *make("lacks", ordinary)]
    new = [
        *make("ok", ordinary),
        *make("recipe", ordinary, recipe={"metric": "other"}),
        *make("lost", {"fd": BASE, "kid": [10.0, None, None]}),
        *make("lacks", {"fd": BASE}),
    ]
    found = {judgement.subject: judgement for judgement in verdict(base, new, "kid>5%").judgements}
    assert {subject: (judgement.outcome, judgement.why) for subject, judgement in found.items()} == {
        "ok on digits": ("ok", ""),
        "recipe on digits": ("undecided", "recipes differ"),
        "lost on digits": ("regression", "no finite value from seeds 1, 2"),
        "lacks on digits": ("undecided", "only BASE has kid"),
    }
    assert [subject for subject, judgement in found.items() if judgement.change is not None] == ["ok on digits"]
    assert {judgement.outcome for judgement in verdict(base, new, "fd>5%").judgements} == {"ok", "undecided"}


def test_a_model_that_one_set_did_not_finish_is_judged_by_no_term(make, fail) -> None:
    base = [*make("gan", {"fd": BASE}), *make("vae", {"fd": BASE})]
    for one, other in ((base, [*base[:3], *map(fail, base[3:])]), ([*base[:3], *map(fail, base[3:])], base)):
        found = verdict(one, other, "fd>5%")
        assert [judgement.subject for judgement in found.judgements] == ["gan on digits"]
        (alone,) = verdict(one, other, "vae:fd>5%").judgements
        assert (alone.subject, alone.outcome, alone.change) == ("vae", "undecided", None)
        assert alone.why == "not finished in both sets with fd"


def test_a_term_that_narrower_terms_replace_for_every_model_judges_nothing(two_models) -> None:
    found = verdict(two_models(BASE, BASE), two_models(BASE, BASE), "fd>5%,gan:fd>6%,vae:beta=4:fd>7%")
    assert [(judgement.term.text, judgement.subject) for judgement in found.judgements] == [
        ("gan:fd>6%", "gan on digits"),
        ("vae:beta=4:fd>7%", "vae:beta=4 on digits"),
    ]
    # Neither model has this number: the wide term has nothing to judge, and says so.
    assert outcomes(verdict(two_models(BASE, BASE), two_models(BASE, BASE), "kid>5%,gan:kid>6%")) == ["undecided"] * 2


def test_a_regression_goes_before_what_is_undecided(make) -> None:
    base = [*make("gan", {"fd": BASE}), *make("vae", {"fd": [1.0]})]
    new = [*make("gan", {"fd": WORSE}), *make("vae", {"fd": [1.0]})]
    found = verdict(base, new, "fd>5%")
    assert (outcomes(found), found.exit_code) == (["regression", "undecided"], 1)


def test_a_cell_that_failed_where_it_was_finished_is_a_regression_without_any_term(make, fail) -> None:
    base = make()
    one = [*base[:2], fail(base[2])]
    found = verdict(base, one)
    assert found.exit_code == 1
    assert (found.lost_cells[0].seeds, found.lost_cells[0].why) == ((2,), "training: loss became nan")
    # A finished record of the same cell makes up for a failed one; and a cell that failed in BASE may fail again.
    assert verdict(base, [*base, fail(base[2])]).exit_code == 0
    assert verdict(one, one).exit_code == 0
    every = verdict(base, [fail(record) for record in base], "fd>5%")
    assert (every.lost_cells[0].seeds, every.exit_code) == ((0, 1, 2), 1)


def test_a_number_that_is_no_longer_finite_fails_its_term(make) -> None:
    base = make(numbers={"fd": BASE, "kid": BASE})
    new = make(numbers={"fd": BASE, "kid": [10.0, None, float("nan")]})
    assert verdict(base, new, "kid>5%").exit_code == 1
    assert verdict(base, new, "fd>5%").exit_code == 0


def test_controls_gate_nothing(make) -> None:
    base, new = ([*make(), *make("noise", {"fd": values}, role="control", budget=None)] for values in (BASE, WORSE))
    assert verdict(base, new, "fd>5%").exit_code == 0


def test_nothing_in_common_is_not_comparable(make) -> None:
    assert verdict(make("gan"), make("vae")).exit_code == 2


def test_a_change_of_nothing_rarely_fails_and_a_large_one_always_does(make) -> None:
    draw = random.Random(0)

    def records(worse: float) -> list:
        return [
            record
            for label in ("a", "b", "c")
            for record in make(label, {"fd": [draw.gauss(1 + worse, 0.05) for _ in range(5)]})
        ]

    alarms = sum(verdict(records(0), records(0), "fd>1%").exit_code for _ in range(200))
    assert alarms <= 0.05 * 200
    assert all(verdict(records(0), records(0.5), "fd>1%").exit_code == 1 for _ in range(20))
