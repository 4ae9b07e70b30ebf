"""The error of the classifier two-sample test, against brute force: each item left out in a loop."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.metrics import c2st
from genbench.metrics.c2st import area_under_curve, logistic_regression, two_sample_area
from genbench.metrics.c2st_error import Fold, Half, cross_fitted_error, left_out_effects, newton_steps, placements
from genbench.metrics.evidence import Evidence
from genbench.metrics.standard_errors import standard_error


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def clusters(count: int, width: int, seed: int) -> Tensor:
    """A tenth of the items is 6 deviations off."""
    far = torch.rand(count, 1, generator=torch.Generator().manual_seed(seed + 10**6)) < 0.1
    return normal(count, width, seed=seed) + 6 * far


def without(values: Tensor, index: int) -> Tensor:
    return torch.cat([values[:index], values[index + 1 :]])


def halves_of(*sizes: int, width: int = 3, shift: float = 0.5, coarse: bool = False) -> tuple[Half, Half]:
    made0, real0, made1, real1 = (normal(size, width, seed=seed) for seed, size in enumerate(sizes))
    halves = (made0 + shift, real0), (made1 + shift, real1)
    return tuple((made.round(), real.round()) for made, real in halves) if coarse else halves  # type: ignore[return-value]


def labels_of(half: Half) -> Tensor:
    return torch.cat([torch.ones(len(half[0])), torch.zeros(len(half[1]))]).double()


def learnt_from(half: Half, ranked: Half) -> Fold:
    both = torch.cat(half)
    mean, spread = both.mean(dim=0), both.std(dim=0)
    weights = logistic_regression((both - mean) / spread, labels_of(half))
    return Fold(weights, mean, spread, *area_under_curve(*(side @ (weights[:-1] / spread) for side in ranked)))


def area_of(weights: Tensor, ranked: Half) -> float:
    return area_under_curve(*(side @ weights for side in ranked)).area


def left_out(half: Half, index: int) -> Half:
    """The half without one item, counted through the samples and on through the data."""
    made, real = half
    return (without(made, index), real) if index < len(made) else (made, without(real, index - len(made)))


def newton_step(features: Tensor, labels: Tensor, weights: Tensor, penalty: float) -> Tensor:
    """Newton's step from these weights, by automatic differentiation."""

    def loss(at: Tensor) -> Tensor:
        margins = (2 * labels - 1) * (features @ at[:-1] + at[-1])
        return torch.nn.functional.softplus(-margins).sum() + penalty / 2 * at[:-1].square().sum()

    start = weights.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(start), start)
    return -torch.linalg.solve(torch.autograd.functional.hessian(loss, weights), gradient)


@pytest.mark.parametrize("width", [1, 4, 29, 30, 31, 50])
def test_a_step_is_newton_s_on_the_loss_without_the_item(width: int) -> None:
    """With more features than items (30), through the items' products."""
    features, labels = normal(30, width) + 0.3, (torch.arange(30) < 13).double()
    weights = logistic_regression(features, labels, penalty=0.7)
    for _ in range(3):  # to where the gradient is 0 but for rounding
        weights = weights + newton_step(features, labels, weights, 0.7)
    found = newton_steps(features, labels, weights, penalty=0.7)
    for index in range(30):
        step = newton_step(without(features, index), without(labels, index), weights, 0.7)
        assert found[index].tolist() == pytest.approx(step[:-1].tolist(), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("width", "share"), [(2, 0.03), (6, 0.06), (80, 0.05)])
def test_a_step_is_nearly_that_of_a_refit(width: int, share: float) -> None:
    features, labels = normal(60, width) + 0.3, (torch.arange(60) < 30).double()
    weights = logistic_regression(features, labels)
    found = newton_steps(features, labels, weights)
    refits = [logistic_regression(without(features, i), without(labels, i)) - weights for i in range(60)]
    exact = torch.stack(refits)[:, :-1]
    assert float((found - exact).norm() / exact.norm()) < share


@pytest.mark.parametrize("coarse", [False, True], ids=["continuous", "ties"])
@pytest.mark.parametrize(("sizes", "width"), [((9, 7, 6, 8), 3), ((7, 7, 6, 6), 20)])
def test_the_effects_are_those_of_leaving_items_out(sizes: tuple[int, ...], width: int, coarse: bool) -> None:
    """Of each item, and of each pair of one that is learnt and one that is ranked."""
    learnt, ranked = halves_of(*sizes, width=width, coarse=coarse)
    fold = learnt_from(learnt, ranked)
    rows, others = ((torch.cat(half) - fold.mean) / fold.spread for half in (learnt, ranked))
    split = tuple(others.split([len(side) for side in ranked]))
    steps = newton_steps(rows, labels_of(learnt), fold.weights)
    area = area_of(fold.weights[:-1], split)
    alone = [area_of(fold.weights[:-1] + step, split) - area for step in steps]
    fewer = [area_of(fold.weights[:-1], left_out(split, index)) - area for index in range(len(others))]
    found = left_out_effects(fold, learnt, ranked)
    assert found.learnt.tolist() == pytest.approx(alone, abs=1e-12)
    assert found.ranked.tolist() == pytest.approx(fewer, abs=1e-12)
    assert float(found.learnt.abs().max()) > 0
    for i, j in product(range(len(rows)), range(len(others))):
        both = area_of(fold.weights[:-1] + steps[i], left_out(split, j)) - area
        assert float(found.both[i, j]) == pytest.approx(both - alone[i] - fewer[j], abs=1e-6)


def test_many_scores_are_ranked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt, ranked = halves_of(9, 8, 8, 8)
    fold = learnt_from(learnt, ranked)
    expected = left_out_effects(fold, learnt, ranked)
    for most in (1, 40):
        monkeypatch.setattr("genbench.metrics.c2st_error._SCORES", most)
        for found, whole in zip(left_out_effects(fold, learnt, ranked), expected, strict=True):
            torch.testing.assert_close(found, whole)


def test_the_placements_of_many_rows_are_those_of_each() -> None:
    scores, others = normal(5, 7).mul(2).round(), normal(5, 9, seed=1).mul(2).round()
    wins = (scores[:, :, None] > others[:, None]).double() + (scores[:, :, None] == others[:, None]).double() / 2
    torch.testing.assert_close(placements(scores, others), wins.mean(dim=2))
    torch.testing.assert_close(placements(scores[3], others[3]), wins[3].mean(dim=1))


def jackknifed(halves: tuple[Half, Half], folds: tuple[Fold, Fold]) -> tuple[float, float]:
    """J and P from the leave-one-out numbers, as the docstring has them, in loops."""
    effects = [left_out_effects(folds[half], halves[half], halves[1 - half]) for half in (0, 1)]
    whole = 0.0
    for half in (0, 1):
        numbers = [
            (float(effects[half].learnt[item]) + float(effects[1 - half].ranked[item])) / 2
            for item in range(sum(map(len, halves[half])))
        ]
        made = len(halves[half][0])
        for part in (numbers[:made], numbers[made:]):
            whole += (len(part) - 1) / len(part) * sum((one - np.mean(part)) ** 2 for one in part)
    pairs = product(range(sum(map(len, halves[0]))), range(sum(map(len, halves[1]))))
    second = sum(((float(effects[0].both[i, j]) + float(effects[1].both[j, i])) / 2) ** 2 for i, j in pairs)
    return whole, second


@pytest.mark.parametrize(("sizes", "width", "shift"), [((13, 12, 11, 13), 3, 1.2), ((12, 12, 12, 12), 20, 0.3)])
def test_the_error_is_the_corrected_jackknife(sizes: tuple[int, ...], width: int, shift: float) -> None:
    halves = halves_of(*sizes, width=width, shift=shift)
    folds = learnt_from(*halves), learnt_from(halves[1], halves[0])
    whole, second = jackknifed(halves, folds)
    given = (folds[0].error + folds[1].error) / 2
    corrected = math.sqrt(whole / (1 + min(second / whole, 1)))
    assert 0 < second < whole
    assert cross_fitted_error(halves, folds) == pytest.approx(max(corrected, 0.9 * given), rel=1e-6)
    assert cross_fitted_error((halves[1], halves[0]), (folds[1], folds[0])) == pytest.approx(
        max(corrected, 0.9 * given), rel=1e-6
    )


def test_the_second_order_part_is_at_most_half() -> None:
    """Of this number, the pairs say more: the plane of one feature flips."""
    for seed in range(40):
        halves = tuple((normal(9, 1, seed=4 * seed + i), normal(9, 1, seed=4 * seed + i + 1)) for i in (0, 2))
        folds = learnt_from(*halves), learnt_from(halves[1], halves[0])
        whole, second = jackknifed(halves, folds)  # type: ignore[arg-type]
        if second > whole > 0 and whole / 2 > (0.9 * (folds[0].error + folds[1].error) / 2) ** 2:
            break
    assert second > whole
    assert cross_fitted_error(halves, folds) == pytest.approx(math.sqrt(whole / 2), rel=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [3, 40])
def test_the_jackknife_is_nearly_that_of_refits(width: int) -> None:
    """Each item is left out of the whole measurement, standardisation included: 80 times two regressions."""
    halves = halves_of(20, 20, 20, 20, width=width, shift=0.4)
    folds = learnt_from(*halves), learnt_from(halves[1], halves[0])
    exact = 0.0
    for half, side in product((0, 1), (0, 1)):
        numbers = []
        for item in range(20):
            fewer = [list(pair) for pair in halves]
            fewer[half][side] = without(fewer[half][side], item)
            first, second = (tuple(pair) for pair in fewer)
            numbers.append((learnt_from(first, second).area + learnt_from(second, first).area) / 2)  # type: ignore[arg-type]
        exact += 19 / 20 * float(np.var(numbers)) * 20
    assert jackknifed(halves, folds)[0] == pytest.approx(exact, rel=0.05)


def test_a_plane_that_nothing_determines_has_the_error_of_the_areas() -> None:
    """One feature, which tells the sides apart in either half: leaving an item out never turns the plane."""
    found = two_sample_area(normal(200, 1) + 1, normal(200, 1, seed=1))
    evidence = Evidence(normal(200, 1) + 1, normal(200, 1, seed=1))
    given = [fold.error for fold in c2st.of_samples(evidence)]
    assert found.error == pytest.approx(0.9 * sum(given) / 2, rel=1e-9)
    assert standard_error("c2st_auc", evidence) == found.error


@pytest.mark.parametrize(
    ("width", "off", "far", "least", "most"),
    [(8, 0.7, True, 0.85, 1.35), (8, 0.0, True, 0.85, 1.35), (8, 0.4, False, 0.85, 1.35), (40, 0.3, False, 0.85, 1.45)],
)
def test_the_error_is_the_deviation_between_draws(width: int, off: float, far: bool, least: float, most: float) -> None:
    """Both sides are drawn anew. With the regressions taken as given, it is 0.6 for clusters with different means."""
    draw = clusters if far else lambda count, width, seed: normal(count, width, seed=seed)
    found = [two_sample_area(draw(200, width, s) + off, draw(200, width, s + 5000)) for s in range(80)]
    deviation = np.std([area for area, _ in found], ddof=1)
    assert least < np.mean([error for _, error in found]) / deviation < most


def test_the_number_alone_does_not_wait_for_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A curve has no errors, and at 5,000 items a side this one takes longer than the number."""
    evidence = Evidence(normal(120, 2) + 0.5, normal(130, 2, seed=1))
    expected = two_sample_area(evidence.samples, evidence.reference)
    monkeypatch.setattr(c2st, "cross_fitted_error", None)
    assert c2st.measure(evidence) == {"c2st_auc": expected.area}
    monkeypatch.undo()
    monkeypatch.setattr(c2st, "logistic_regression", None)  # already fitted
    assert standard_error("c2st_auc", evidence) == expected.error
