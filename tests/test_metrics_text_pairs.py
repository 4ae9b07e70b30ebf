"""BLEU and self-BLEU against nltk, and MAUVE* and the frontier integral against hand-computed histograms."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor

from genbench.metrics import METRICS, Evidence
from genbench.metrics import bleu as bleu_module
from genbench.metrics import mauve as mauve_module
from genbench.metrics.bleu import bleu, self_bleu
from genbench.metrics.buckets import bucket_counts, fit_buckets, projected
from genbench.metrics.mauve import divergence_frontier, frontier_area, frontier_integral, mauve, smoothed

WEIGHTS = [(1 / n,) * n for n in (2, 3, 4, 5)]


def nltk() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("nltk.translate.bleu_score", reason="nltk is not installed")


def drawn(count: int, length: int, levels: int, seed: int) -> Tensor:
    """Texts of uniformly drawn symbols up to the end symbol, so of any length from 0."""
    texts = torch.randint(levels, (count, length), generator=torch.Generator().manual_seed(seed))
    return (texts * (texts != 0).long().cumprod(dim=1)).short()


def tokens(*texts: str, length: int = 8) -> Tensor:
    return torch.tensor([[ord(x) - 96 for x in text] + [0] * (length - len(text)) for text in texts]).short()


def words(texts: Tensor) -> list[list[int]]:
    return [[token for token in row if token] for row in texts.tolist()]


def by_nltk(samples: Tensor, references: Tensor | None) -> list[list[float]]:
    peer = nltk()
    method = peer.SmoothingFunction(epsilon=0.1).method1
    rows = words(samples)
    found = []
    for at, row in enumerate(rows):
        others = rows[:at] + rows[at + 1 :] if references is None else words(references)
        scores = peer.sentence_bleu(others, row, weights=WEIGHTS, smoothing_function=method)
        found.append([float(score) for score in scores])
    return found


@pytest.mark.parametrize(("length", "levels"), [(12, 4), (25, 5), (4, 3), (9, 40)])
def test_bleu_is_nltk_s_to_the_digit(length: int, levels: int) -> None:
    """With short alphabets, so that n-grams repeat within a text; some texts share no n-gram, and some are empty."""
    references = drawn(30, length, levels, seed=2)
    for samples in (drawn(25, length, levels, seed=1), drawn(25, length, levels + 3, seed=3)):
        assert bleu(samples, references).tolist() == pytest.approx(np.array(by_nltk(samples, references)), rel=1e-9)


@pytest.mark.parametrize(("count", "length", "levels"), [(30, 12, 4), (20, 25, 6), (2, 9, 3), (25, 6, 30)])
def test_self_bleu_is_nltk_s_of_each_sample_against_the_others(count: int, length: int, levels: int) -> None:
    samples = drawn(count, length, levels, seed=4)
    samples[0] = samples[1]  # two texts tie for the most occurrences of an n-gram
    assert self_bleu(samples).tolist() == pytest.approx(np.array(by_nltk(samples, None)), rel=1e-9)


def test_bleu_by_hand() -> None:
    """abab against abc and ba: one a and one b match of two each (2/4), ab and ba of ab, ba, ab (2/3), none longer."""
    found = bleu(tokens("abab"), tokens("abc", "ba"))[0].tolist()
    precisions = [2 / 4, 2 / 3, 0.1 / 2, 0.1 / 1, 0.1 / 1]  # longer than the nearest reference: no penalty
    assert found == pytest.approx([math.prod(precisions[:n]) ** (1 / n) for n in (2, 3, 4, 5)])
    precisions = [2 / 4, 2 / 3, 0.3 / 2, 0.3 / 1]
    found = bleu(tokens("abab"), tokens("abc", "ba"), epsilon=0.3)[0, 2]
    assert found.item() == pytest.approx(math.prod(precisions) ** (1 / 4))
    short = bleu(tokens("ab"), tokens("abcde", "abcd"))[0, 0]
    assert short.item() == pytest.approx(math.exp(1 - 4 / 2))  # every n-gram matches, and r = 4 for c = 2
    between = bleu(tokens("abc"), tokens("ab", "abcd"))[0, 0]
    assert between.item() == pytest.approx(1)  # as near to 2 as to 4: the shorter counts, so no penalty
    assert bleu(tokens("", "zz"), tokens("ab")).tolist() == [[0] * 4] * 2


def test_self_bleu_is_one_where_all_are_alike_and_leaves_out_the_sample_itself() -> None:
    assert self_bleu(tokens("abcdef", "abcdef")).tolist() == pytest.approx(torch.ones(2, 4).numpy())
    assert self_bleu(tokens("abcdef", "uvwxyz")).tolist() == [[0] * 4] * 2
    lengths = self_bleu(tokens("ab", "abcd", "abcd"))[0, 0]
    assert lengths.item() == pytest.approx(math.exp(1 - 4 / 2))  # its own length is not a reference's
    texts = tokens("abab", "abc", "ba")
    assert self_bleu(texts, epsilon=0.3)[0].equal(bleu(texts[:1], texts[1:], epsilon=0.3)[0])


def bleu_numbers(samples: Tensor, held_out: Tensor, **more: object) -> dict[str, float]:
    none = torch.zeros(2, 2)
    return METRICS["bleu_pair"].compute(Evidence(none, none, sample_items=samples, held_out_items=held_out, **more))  # type: ignore[arg-type]


def test_the_pair_holds_means_over_samples() -> None:
    samples, held_out = drawn(20, 9, 4, seed=1), drawn(31, 9, 4, seed=2)
    found = bleu_numbers(samples, held_out)
    expected = [*bleu(samples, held_out).mean(dim=0).tolist(), *self_bleu(samples).mean(dim=0).tolist()]
    names = [f"{name}_{n}" for name in ("bleu", "self_bleu") for n in (2, 3, 4, 5)]
    assert found == pytest.approx(dict(zip(names, expected, strict=True)))


def test_held_out_texts_are_not_their_own_references() -> None:
    """The `real` control compares each text with all others; compared with itself, every text would score 1."""
    held_out = drawn(40, 9, 9, seed=2)
    found = bleu_numbers(held_out[:25], held_out, samples_held_out=True)
    assert found["bleu_4"] == pytest.approx(np.mean([scores[2] for scores in by_nltk(held_out, None)]))
    assert found["bleu_4"] < 0.9
    assert found["self_bleu_4"] == pytest.approx(np.mean([scores[2] for scores in by_nltk(held_out[:25], None)]))


def test_of_many_texts_a_random_part_is_taken_on_either_side(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(bleu_module, "BLEU_TEXTS", 10)
    monkeypatch.setattr(bleu_module, "bleu", lambda *sides: seen.extend(map(len, sides)) or bleu(*sides))
    monkeypatch.setattr(bleu_module, "self_bleu", lambda side: seen.append(len(side)) or self_bleu(side))
    samples, held_out = drawn(14, 9, 4, seed=1), drawn(12, 9, 4, seed=2)
    found = bleu_numbers(samples, held_out, seed=3)
    assert seen == [10, 10, 10]
    rows = [torch.randperm(len(side), generator=torch.Generator().manual_seed(3))[:10] for side in (samples, held_out)]
    expected = bleu(samples[rows[0]], held_out[rows[1]]).mean(dim=0)
    assert [found[f"bleu_{n}"] for n in (2, 3, 4, 5)] == pytest.approx(expected.tolist())


# MAUVE* and the frontier


def test_the_frontier_of_two_buckets_by_hand() -> None:
    """p = (0.9, 0.1) and q = (0.4, 0.6): in the middle, r = (0.65, 0.35)."""
    p, q = torch.tensor([0.9, 0.1], dtype=torch.float64), torch.tensor([0.4, 0.6], dtype=torch.float64)
    found = divergence_frontier(p, q, points=3)
    middle = [
        0.4 * math.log(0.4 / 0.65) + 0.6 * math.log(0.6 / 0.35),
        0.9 * math.log(0.9 / 0.65) + 0.1 * math.log(0.1 / 0.35),
    ]
    assert found[1].tolist() == pytest.approx(middle, rel=1e-12)
    whole = 0.4 * math.log(0.4 / 0.9) + 0.6 * math.log(0.6 / 0.1)
    assert found[2].tolist() == pytest.approx([whole, 0], abs=1e-4)  # r = p
    assert found[0].tolist() == pytest.approx([0, 0.9 * math.log(0.9 / 0.4) + 0.1 * math.log(0.1 / 0.6)], abs=1e-4)


def test_the_area_of_disjoint_histograms_is_its_closed_form() -> None:
    """KL(q ‖ r) = −log(1 − λ) and KL(p ‖ r) = −log λ: the curve is (1 − x^(1/c))^c, its area (c!)²/(2c)!."""
    p, q = torch.eye(2, dtype=torch.float64)
    frontier = divergence_frontier(p, q, points=20001)
    for scale, expected in ((5, 1 / 252), (2, 1 / 6), (1, 1 / 2)):
        assert frontier_area(frontier, scale=scale) == pytest.approx(expected, rel=1e-4)


def test_the_area_is_the_integral_of_the_curve() -> None:
    """For overlapping histograms, by quadrature over λ instead of trapezoids; the curve's ends are on the axes."""
    p, q = (torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(6))) for seed in (0, 1))

    def point(weight: float) -> tuple[float, float]:
        r = weight * p + (1 - weight) * q
        return tuple(math.exp(-5 * float((side * (side / r).log()).sum())) for side in (q, p))  # type: ignore[return-value]

    def element(weight: float) -> float:
        step = 1e-6
        return point(weight)[1] * (point(weight - step)[0] - point(weight + step)[0]) / (2 * step)

    inside = integrate.quad(element, 1e-5, 1 - 1e-5)[0]
    # From (1, 0) straight up to (1, y₀), and from (x₁, 1) straight to (0, 1).
    expected = inside + point(1 - 1e-9)[0] * 1.0
    assert frontier_area(divergence_frontier(p, q, points=2001)) == pytest.approx(expected, rel=1e-4)
    assert frontier_area(divergence_frontier(p, q)) == pytest.approx(expected, abs=2e-3)  # 25 points


def test_equal_histograms_are_at_one_and_zero_and_both_are_symmetric() -> None:
    p, q = (torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(6))) for seed in (0, 1))
    assert frontier_area(divergence_frontier(p, p)) == pytest.approx(1)
    assert (divergence_frontier(p, p) >= 0).all()
    assert frontier_integral(p, p) == pytest.approx(0, abs=1e-15)
    assert frontier_area(divergence_frontier(p, q)) == pytest.approx(frontier_area(divergence_frontier(q, p)))
    assert frontier_integral(p, q) == pytest.approx(frontier_integral(q, p))
    assert 0 < frontier_integral(p, q) < 1


def test_the_frontier_integral_of_equal_histograms_is_never_below_0() -> None:
    for size in range(2, 200):
        p = smoothed(torch.arange(size, dtype=torch.float64) % 7)
        assert frontier_integral(p, p) >= 0


def test_the_frontier_integral_is_the_integral() -> None:
    p = torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0])
    q = torch.tensor([0.5, 0.1, 0.0, 0.4, 0.0])

    def cost(weight: float) -> float:
        r = weight * p + (1 - weight) * q
        return sum(
            share * float(torch.special.xlogy(side, side / r)[side > 0].sum())
            for share, side in ((weight, p.double()), (1 - weight, q.double()))
        )

    assert frontier_integral(p, q) == pytest.approx(2 * integrate.quad(cost, 0, 1)[0], rel=1e-6)
    near = torch.tensor([0.5, 0.5], dtype=torch.float64)
    off = torch.tensor([1e-6, -1e-6], dtype=torch.float64)  # (p − q)²/(3 (p + q)) per bucket, to second order
    assert frontier_integral(near + off, near - off) == pytest.approx(2 * (2e-6) ** 2 / 3, rel=1e-3, abs=0)
    assert frontier_integral(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])) == pytest.approx(0.5)


def test_smoothing_adds_half_an_item_to_each_bucket() -> None:
    assert smoothed(torch.tensor([3.0, 0.0, 1.0])).tolist() == pytest.approx([3.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5])


def test_features_are_projected_on_what_explains_their_variance() -> None:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    features = torch.randn(80, 12, generator=torch.Generator().manual_seed(0)) * torch.linspace(2, 0.1, 12) + 0.3
    expected = PCA(0.9).fit_transform(normalize(features.double().numpy()))
    found = projected(features)
    assert found.shape == expected.shape
    assert (found @ found.T).numpy() == pytest.approx(expected @ expected.T)  # equal up to the signs of components
    assert projected(torch.ones(5, 3)).shape == (5, 1)  # all alike
    assert projected(torch.zeros(5, 3)).isfinite().all()
    line = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    assert projected(line).shape == (3, 1)


def test_buckets_are_cells_of_their_means() -> None:
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = fit_buckets(points, 7, seed=1, iterations=500)
    means = torch.stack([points[found == bucket].mean(dim=0) for bucket in range(7)])
    assert torch.cdist(points, means).argmin(dim=1).equal(found)
    assert not fit_buckets(points, 7, seed=2, iterations=500).equal(found)
    assert [part.tolist() for part in bucket_counts(torch.tensor([0, 2, 2, 1, 2]), 3, 4)] == [
        [1, 0, 2, 0],
        [0, 1, 1, 0],
    ]


def test_far_clusters_are_found_whatever_the_start_and_a_bucket_without_points_stays_empty() -> None:
    """All points are at one of two places: at most two of the four buckets contain any."""
    points = torch.tensor([[0.0, 0.0]] * 30 + [[9.0, 0.0]] * 30, dtype=torch.float64)
    for seed in range(5):
        found = fit_buckets(points, 4, seed=seed)
        assert len(found[:30].unique()) == len(found[30:].unique()) == 1


def test_a_bucket_that_loses_its_points_keeps_its_centre_and_one_point_is_a_mean() -> None:
    """Where both starts are copies of one point, the second bucket is empty at first, and takes its copies back."""
    points = torch.tensor([[4.0]] * 30 + [[3.0]] * 30, dtype=torch.float64)
    starts = [torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:2] < 30 for seed in range(8)]
    assert any(start[0] == start[1] for start in starts)
    for seed in range(8):
        found = fit_buckets(points, 2, seed=seed)
        assert sorted([found[:30].unique().tolist(), found[30:].unique().tolist()]) == [[0], [1]]
    assert len(fit_buckets(torch.tensor([[10.0], [20.0], [40.0]], dtype=torch.float64), 3).unique()) == 3


def clusters(share: float, count: int, seed: int) -> Tensor:
    """Two clusters far apart, of which the first has this share."""
    noise = 0.01 * torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return noise + torch.tensor([[1.0, 0.0], [0.0, 1.0]])[(torch.arange(count) >= share * count).long()]


@pytest.mark.parametrize("count", [100, 60])
def test_mauve_of_two_clusters_is_that_of_their_histograms(count: int) -> None:
    areas, integrals = mauve(clusters(0.9, 100, 1), clusters(0.4, count, 2), buckets=2, seeds=3)
    p = torch.tensor([0.4 * count + 0.5, 0.6 * count + 0.5]).double() / (count + 1)
    q = torch.tensor([90.5, 10.5]).double() / 101
    assert areas.tolist() == pytest.approx([frontier_area(divergence_frontier(p, q))] * 3)
    assert integrals.tolist() == pytest.approx([frontier_integral(p, q)] * 3)


def test_each_start_of_k_means_has_the_next_seed() -> None:
    draw = torch.Generator().manual_seed(0)
    samples, reference = torch.randn(60, 4, generator=draw), torch.randn(60, 4, generator=draw)
    areas, integrals = mauve(samples, reference, buckets=6, seeds=3, seed=5)
    alone = [mauve(samples, reference, buckets=6, seeds=1, seed=seed) for seed in (5, 6, 7)]
    assert areas.tolist() == [float(area) for area, _ in alone]
    assert integrals.tolist() == [float(integral) for _, integral in alone]
    assert len(areas.unique()) == 3


def test_mauve_falls_and_the_integral_rises_as_samples_move_away() -> None:
    found = [
        METRICS["mauve"].compute(Evidence(samples=clusters(share, 200, 1), reference=clusters(0.5, 200, 2)))
        for share in (0.5, 0.7, 0.9, 1.0)
    ]
    areas, integrals = ([numbers[name] for numbers in found] for name in ("mauve_star", "frontier_integral"))
    assert areas == sorted(areas, reverse=True)
    assert integrals == sorted(integrals)
    assert areas[0] > 0.9 > 0.5 > areas[-1]


def test_the_table_s_mauve_is_of_equal_counts_and_its_deviation_is_over_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    samples, reference = torch.randn(60, 4, generator=draw), torch.randn(90, 4, generator=draw)
    seen = []

    def watched(*sides: Tensor, buckets: int, seed: int) -> tuple[Tensor, Tensor]:
        seen.append((*map(len, sides), buckets, seed))
        return mauve(*sides, buckets=buckets, seed=seed)

    monkeypatch.setattr(mauve_module, "mauve", watched)
    found = METRICS["mauve"].compute(Evidence(samples=samples, reference=reference, seed=5))
    monkeypatch.setattr(mauve_module, "MAUVE_TEXTS", 30)
    METRICS["mauve"].compute(Evidence(samples=samples, reference=reference, seed=5))
    few = Evidence(samples=samples[:28], reference=reference[:29])
    METRICS["mauve"].compute(few)
    assert seen == [(60, 60, 6, 5), (30, 30, 3, 5), (28, 28, 3, 0)]
    order = torch.randperm(90, generator=torch.Generator().manual_seed(5))[:60].sort().values
    areas, integrals = mauve(samples, reference[order], buckets=6, seed=5)
    assert len(areas) == len(integrals) == 5
    assert len(areas.unique()) > 1
    assert found == pytest.approx(
        {
            "mauve_star": float(areas.mean()),
            "mauve_star_std": float(np.std(areas.numpy(), ddof=1)),
            "frontier_integral": float(integrals.mean()),
            "frontier_integral_std": float(np.std(integrals.numpy(), ddof=1)),
        }
    )
