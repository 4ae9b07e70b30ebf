"""FLD: the fit of its Gaussians, its likelihoods, and its values for copies, noise and held-out samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.metrics import METRICS, Evidence, fld
from genbench.metrics.fld import feature_likelihood_divergence, fit_log_widths, half_cost, log_likelihoods


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TRAIN, HELD_OUT = normal(120, 4, seed=3), normal(90, 4, seed=4)


def divergence(samples: Tensor) -> float:
    return feature_likelihood_divergence(samples, TRAIN, HELD_OUT)


def fitted_by_the_paper_s_steps(centres: Tensor, items: Tensor, flat: float) -> Tensor:
    """The same fit, with automatic differentiation and with Adam written out."""
    dimension = centres.shape[1]
    squared = torch.cdist(items.double(), centres.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    origin = (0.9**2 * (items.double() - items.double().mean(0)).square().sum(1))[:, None]
    widths = torch.cat([((squared.amin(0) + 1e-3) / dimension).log(), torch.zeros(1)]).requires_grad_()
    weights = torch.cat([torch.full((len(centres),), 1 / len(centres)), torch.ones(1)]).double().log()
    losses: list[float] = []
    first, second = torch.zeros(len(widths)), torch.zeros(len(widths))
    for step in range(50):
        variances = widths.exp()
        exponents = -torch.cat([squared, origin], 1) / (2 * variances)
        logs = exponents - dimension / 2 * (2 * math.pi * variances).log() + weights
        loss = -logs.logsumexp(1).mean() / dimension
        (gradient,) = torch.autograd.grad(loss, widths)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        with torch.no_grad():
            widths -= 0.5 * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        losses.append(loss.item())
        if step > 5 and max(abs(loss.item() - losses[-j]) for j in range(1, 6)) < flat:
            break
    assert 7 <= len(losses) < 50
    return widths.detach()[:-1]


@pytest.mark.parametrize(("seed", "flat"), [(0, 5e-4), (3, 5e-4), (0, 10.0)])
def test_widths_are_fitted_by_the_steps_of_the_paper_s_code(
    seed: int, flat: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until losses are flat, and at least 7 steps, after which those of the last case count as flat."""
    monkeypatch.setattr(fld, "_FLAT", flat)
    centres, items = normal(20, 4, seed=seed), normal(50, 4, seed=seed + 100)
    assert torch.allclose(fit_log_widths(centres, items), fitted_by_the_paper_s_steps(centres, items, flat), atol=1e-4)


def test_likelihoods_are_those_of_the_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    items, centres, widths = normal(9, 3).double(), normal(5, 3, seed=1).double(), normal(5, seed=2).double()
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(5)),
        torch.distributions.MultivariateNormal(centres, widths.exp()[:, None, None] * torch.eye(3)),
    )
    expected = mixture.log_prob(items)
    assert torch.allclose(log_likelihoods(items, centres, widths), expected, rtol=1e-6)
    monkeypatch.setattr(fld, "_CHUNK", 4)
    assert torch.allclose(log_likelihoods(items, centres, widths), expected, rtol=1e-6)


def test_the_fit_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    centres, items = normal(20, 4), normal(50, 4, seed=1)
    whole = fit_log_widths(centres, items)
    monkeypatch.setattr(fld, "_CHUNK", 7)
    assert torch.allclose(fit_log_widths(centres, items), whole)


def test_it_is_a_hundred_times_what_samples_cost_more_than_half_of_the_data() -> None:
    """Features are standardised by the held-out items; 60 of the 120 training items stand in for the 70 samples."""
    samples = normal(70, 4, seed=5) * 0.8
    mean, spread = HELD_OUT.mean(0), HELD_OUT.std(0)
    x, train, held = ((side - mean) / spread for side in (samples, TRAIN, HELD_OUT))
    cost = -float(log_likelihoods(held, x, fit_log_widths(x, train)).mean()) / 4
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    half, other = train[order[:60]], train[order[60:]]
    base = -float(log_likelihoods(held, half, fit_log_widths(half, other)).mean()) / 4
    assert half_cost(TRAIN, HELD_OUT, 70) == pytest.approx(base, rel=1e-6)
    assert divergence(samples) == pytest.approx(100 * (cost - base), rel=1e-5)


def test_a_subset_and_the_halves_are_those_of_the_seed_and_a_feature_constant_in_the_data_keeps_its_unit() -> None:
    """25 of 70 samples, 25 of 120 training items, and 25 Gaussians around training items fitted to 25 others."""
    samples = torch.cat([normal(70, 4, seed=5), 0.5 * normal(70, 1, seed=7)], dim=1)
    train, held = (torch.cat([side, torch.full((len(side), 1), 3.0)], dim=1) for side in (TRAIN, HELD_OUT))
    mean, spread = held.mean(0), torch.cat([HELD_OUT.std(0), torch.ones(1)])

    def rows(count: int) -> Tensor:
        return torch.randperm(count, generator=torch.Generator().manual_seed(3))

    def cost(centres: Tensor, items: Tensor) -> float:
        x, fitted_to, scored = ((side - mean) / spread for side in (centres, items, held))
        return -float(log_likelihoods(scored, x, fit_log_widths(x, fitted_to)).mean()) / 5

    base = cost(train[rows(120)[:25]], train[rows(120)[25:50]])
    expected = 100 * (cost(samples[rows(70)[:25]], train[rows(120)[:25]]) - base)
    assert half_cost(train, held, 70, most=25, seed=3) == pytest.approx(base, rel=1e-5)
    found = feature_likelihood_divergence(samples, train, held, most=25, seed=3)
    assert found == pytest.approx(expected, rel=1e-4)


def test_fewer_samples_than_half_of_the_data_are_compared_with_as_many_gaussians() -> None:
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    mean, spread = HELD_OUT.mean(0), HELD_OUT.std(0)
    centres, others, held = ((side - mean) / spread for side in (TRAIN[order[:20]], TRAIN[order[20:]], HELD_OUT))
    expected = -float(log_likelihoods(held, centres, fit_log_widths(centres, others)).mean()) / 4
    assert half_cost(TRAIN, HELD_OUT, 20) == pytest.approx(expected, rel=1e-6)


def test_units_do_not_matter_and_a_constant_feature_does_no_harm() -> None:
    samples, units = normal(50, 4, seed=5), torch.tensor([1.0, 100.0, 0.01, 3.0])
    scaled = feature_likelihood_divergence(samples * units + 5, TRAIN * units + 5, HELD_OUT * units + 5)
    assert scaled == pytest.approx(divergence(samples), abs=0.05)
    sides = (torch.cat([side, torch.ones(len(side), 1)], dim=1) for side in (samples, TRAIN, HELD_OUT))
    assert math.isfinite(feature_likelihood_divergence(*sides))


def test_worse_samples_and_dropped_modes_cost_more_and_copies_most() -> None:
    good = divergence(normal(100, 4, seed=6))
    assert good < divergence(normal(100, 4, seed=6) + 1) < divergence(normal(100, 4, seed=6) + 3)
    dropped = normal(200, 4, seed=6)
    assert good < divergence(dropped[dropped[:, 0] > 0.5])
    assert divergence(TRAIN[:100]) > 100 * abs(good)
    assert math.isfinite(divergence(torch.zeros(30, 4)))


def test_of_more_items_than_it_takes_a_subset_is_drawn() -> None:
    samples = normal(100, 4, seed=6)
    few = feature_likelihood_divergence(samples, TRAIN, HELD_OUT, most=30)
    assert few != divergence(samples)
    assert few == feature_likelihood_divergence(samples, TRAIN, HELD_OUT, most=30)


def test_held_out_samples_are_scored_by_other_held_out_items() -> None:
    """Otherwise each would be at the centre of its own Gaussian."""
    seeded = Evidence(normal(50, 4), TRAIN, HELD_OUT, seed=4)
    expected = feature_likelihood_divergence(normal(50, 4), TRAIN, HELD_OUT, seed=4)
    assert METRICS["feature_likelihood"].compute(seeded)["fld"] == expected != divergence(normal(50, 4))
    evidence = Evidence(HELD_OUT, TRAIN, HELD_OUT, samples_held_out=True)
    first, second = evidence.sides(HELD_OUT, HELD_OUT)
    found = METRICS["feature_likelihood"].compute(evidence)["fld"]
    assert found == feature_likelihood_divergence(first, TRAIN, second)
    assert abs(found) < 20
    assert METRICS["feature_likelihood"].compute(Evidence(normal(50, 4), TRAIN, HELD_OUT))["fld"] == divergence(
        normal(50, 4)
    )
    assert np.isfinite(METRICS["feature_likelihood"].compute(Evidence(normal(4, 4), TRAIN[:4], HELD_OUT[:4]))["fld"])


def test_distances_within_one_set_are_those_of_all_pairs_however_many_blocks_they_take() -> None:
    points = normal(600, 3)
    expected = torch.cdist(*[points.double()] * 2, compute_mode="donot_use_mm_for_euclid_dist").square()
    torch.testing.assert_close(fld._squared(points, points).double(), expected, rtol=1e-5, atol=1e-9)
