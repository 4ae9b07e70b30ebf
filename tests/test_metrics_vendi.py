"""The Vendi score: closed forms, both ways to compute its eigenvalues, its ratio to the data's, its error."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, ReferenceStatistics, vendi
from genbench.metrics.resampling import mean_standard_error
from genbench.metrics.standard_errors import standard_error
from genbench.metrics.vendi import variety, vendi_score

ORDERS = [1, 2, 0.5, math.inf]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def numbers(samples: Tensor, reference: Tensor) -> dict[str, float]:
    return METRICS["vendi_score"].compute(Evidence(samples, reference))


@pytest.mark.parametrize("q", ORDERS)
def test_items_without_likeness_count_one_each_and_copies_none(q: float) -> None:
    assert vendi_score(torch.eye(5) * torch.arange(1.0, 6.0), q=q) == pytest.approx(5)
    assert vendi_score(torch.eye(5).repeat(3, 1), q=q) == pytest.approx(5)
    assert vendi_score(torch.ones(6, 3), q=q) == pytest.approx(1)
    assert vendi_score(torch.ones(1, 3), q=q) == pytest.approx(1)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize("count", [5, 60])
def test_lengths_do_not_count_however_short_or_long(scale: float, count: int) -> None:
    items = normal(count, 16)
    assert vendi_score(scale * items) == pytest.approx(vendi_score(items), rel=1e-5)


@pytest.mark.parametrize("wide", [False, True])
def test_two_groups_count_as_the_entropy_of_their_shares(wide: bool) -> None:
    """Three of one kind and one of another, with fewer dimensions than items and with more."""
    items = torch.eye(9 if wide else 2)[[0, 0, 0, 1]]
    shares = np.array([0.75, 0.25])
    expected = {
        1: math.exp(-float((shares * np.log(shares)).sum())),
        2: 1 / float((shares**2).sum()),
        0.5: float(np.sqrt(shares).sum()) ** 2,
        math.inf: 4 / 3,
    }
    assert {q: vendi_score(items, q=q) for q in ORDERS} == pytest.approx(expected)


@pytest.mark.parametrize(("count", "dimension"), [(40, 6), (6, 40), (12, 12)])
def test_it_is_the_entropy_of_the_cosines(count: int, dimension: int) -> None:
    features = normal(count, dimension) + 0.5
    unit = features.double().numpy() / np.linalg.norm(features.double().numpy(), axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / count)
    values = values[values > 1e-12]
    assert vendi_score(features) == pytest.approx(math.exp(-float((values * np.log(values)).sum())), rel=1e-9)
    assert vendi_score(features, q=3) == pytest.approx(float((values**3).sum()) ** -0.5, rel=1e-9)
    assert vendi_score(features, q=0.1) == pytest.approx(float((values**0.1).sum()) ** (1 / 0.9), rel=1e-6)


def test_it_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    features = normal(40, 6) + 0.5
    whole = variety(features)
    monkeypatch.setattr(vendi, "_ROWS", 16)
    found = variety(features)
    assert found.score == pytest.approx(whole.score)
    torch.testing.assert_close(found.influences, whole.influences)


def test_an_eigenvalue_below_the_rounding_of_all_dimensions_counts_as_none() -> None:
    """Two items at an angle of 2.8e-7: the smaller eigenvalue, 2e-14, is below 1,000 times the rounding of 1."""
    items = torch.zeros(2, 1000, dtype=torch.float64)
    items[:, 0], items[1, 1] = 1, 2.8e-7
    assert vendi_score(items, q=0.1) == pytest.approx(1, abs=1e-9)
    assert vendi_score(items[:, :2], q=0.1) > 1.03


def test_the_derivatives_of_the_largest_eigenvalue_are_the_mean_of_those_that_tie() -> None:
    """Shares of 0.4, 0.4 and 0.2: 1/λ changes by −(δ − λ)/λ² with a weight, δ = 1 for the items of that kind."""
    found = variety(torch.eye(3)[[0, 0, 1, 1, 2]], q=math.inf)
    of_two, of_none = (-(1 - 0.4) / 0.16 + 0.4 / 0.16) / 2, 0.4 / 0.16
    assert found.influences.tolist() == pytest.approx([of_two] * 4 + [of_none])


@pytest.mark.parametrize("q", ORDERS)
@pytest.mark.parametrize("dimension", [4, 400])
def test_its_derivatives_are_those_of_leaving_items_out(q: float, dimension: int) -> None:
    features = normal(60, dimension) + 0.4
    found = variety(features, q=q)
    rows = ~torch.eye(60, dtype=torch.bool)
    # Without item i, the weights of all others grow: −ψ_i/(n − 1), to first order in 1/n.
    left = torch.tensor([vendi_score(features[kept], q=q) for kept in rows], dtype=torch.float64)
    assert float(found.influences.mean()) == pytest.approx(0, abs=1e-9)
    if dimension == 4:
        assert torch.corrcoef(torch.stack([found.influences, found.score - left]))[0, 1] > 0.98
        jackknife = float((left - left.mean()).square().sum() * 59 / 60) ** 0.5
        assert mean_standard_error(found.influences) == pytest.approx(jackknife, rel=0.1)


def test_a_feature_without_length_is_like_no_other() -> None:
    message = r"^vendi: 2 of 5 features have length 0, so they are similar to none$"
    for samples, reference in ((torch.eye(5, 3), normal(6, 3)), (normal(5, 3), torch.eye(5, 3))):
        with pytest.raises(NotMeasurable, match=message):
            numbers(samples, reference)


def test_the_ratio_is_to_as_many_items_of_the_data() -> None:
    data = normal(200, 3)
    rows = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:50].sort().values
    few = numbers(normal(50, 3, seed=1), data)
    assert few["vendi_ratio"] == pytest.approx(few["vendi"] / vendi_score(data[rows]), rel=1e-12)
    many = numbers(data, normal(50, 3, seed=1))
    assert many["vendi"] == pytest.approx(vendi_score(data))
    assert many["vendi_ratio"] == pytest.approx(vendi_score(data[rows]) / vendi_score(normal(50, 3, seed=1)))
    assert numbers(data.flip(0) * 9, data)["vendi_ratio"] == pytest.approx(1)


def test_the_items_that_are_compared_are_those_of_the_seed() -> None:
    data, few = normal(200, 3), normal(50, 3, seed=1)
    rows = torch.randperm(200, generator=torch.Generator().manual_seed(5))[:50]
    for samples, reference, expected in (
        (few, data, vendi_score(few) / vendi_score(data[rows])),
        (data, few, vendi_score(data[rows]) / vendi_score(few)),
    ):
        found = METRICS["vendi_score"].compute(Evidence(samples, reference, seed=5))
        assert found["vendi_ratio"] == pytest.approx(expected)


def test_the_data_s_score_is_kept_for_each_count() -> None:
    data = normal(200, 3)
    kept = ReferenceStatistics(data)
    for count in (50, 9):
        samples = normal(count, 3, seed=1)
        found = METRICS["vendi_score"].compute(Evidence(samples, data, statistics=kept))
        assert found == numbers(samples, data)


def test_the_ratio_falls_with_modes_that_are_dropped_and_rises_with_noise() -> None:
    centres = torch.eye(4) * 10
    data = normal(200, 4, seed=1) + centres[torch.arange(200) % 4]
    half = numbers(normal(200, 4) + centres[torch.arange(200) % 2], data)["vendi_ratio"]
    same = numbers(normal(200, 4) + centres[torch.arange(200) % 4], data)["vendi_ratio"]
    noise = numbers(normal(200, 4) + 3 * torch.eye(4).mul(-1)[torch.arange(200) % 4], data)["vendi_ratio"]
    assert half < 0.7 < 0.97 < same < 1.03
    assert noise > half


def test_the_stated_error_is_the_deviation_between_draws() -> None:
    reference = normal(300, 4, seed=1) + 0.5
    kept = ReferenceStatistics(reference)
    found: dict[str, list[tuple[float, float]]] = {"vendi": [], "vendi_ratio": []}
    for seed in range(50):
        evidence = Evidence(normal(200, 4, seed=100 + seed) + 0.5, reference, statistics=kept)
        values = METRICS["vendi_score"].compute(evidence)
        for name, value in values.items():
            found[name].append((value, standard_error(name, evidence) or 0.0))
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        assert errors.mean() / values.std(ddof=1) == pytest.approx(1, abs=0.25), name


def test_a_ratio_of_some_of_the_samples_has_no_error() -> None:
    evidence = Evidence(normal(200, 4), normal(150, 4, seed=1))
    assert standard_error("vendi", evidence) is not None
    assert standard_error("vendi_ratio", evidence) is None
    whole = Evidence(normal(150, 4), evidence.reference)
    assert standard_error("vendi_ratio", whole) is not None
