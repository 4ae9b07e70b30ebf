"""Probabilistic PCA at its limits: nothing left out, no spread, means far from zero, and whose draws are used."""

from __future__ import annotations

import pytest
import torch
from genbench_ae import ppca
from genbench_ae.ppca import Components
from torch import Tensor

from genbench import Data, Model

CPU = torch.device("cpu")
SIZE = 6


def fitted(items: Tensor, latent: int = 2, levels: int = 256) -> tuple[Model, Components]:
    data = Data("audio", torch.Size((1, SIZE)), len(items), levels=levels)
    model = ppca.build_model(data=data, options={"latent": latent}, device=CPU)
    ppca.before_training(model=model, batches=[(batch[:, None], None) for batch in items.split(150)])
    components = model.networks["components"]
    assert isinstance(components, Components)
    return model, components


def spread(scale: float, mean: float = 0.0) -> Tensor:
    """Items (1000, 6) of which each value varies on its own, more from value to value."""
    noise = torch.randn(1000, SIZE, generator=torch.Generator().manual_seed(0))
    return mean + scale * torch.arange(1.0, SIZE + 1) * noise


def test_a_component_per_value_leaves_the_noise_of_a_bin() -> None:
    _, components = fitted(spread(0.05), latent=SIZE)
    assert float(components.variance) == pytest.approx((2 / 255) ** 2 / 12)


def test_a_small_spread_around_a_large_mean_is_fitted_in_float64() -> None:
    items = spread(1e-3, mean=0.9)
    _, components = fitted(items, levels=65_536)
    expected = torch.linalg.eigvalsh(items.double().T.cov(correction=0))[:-2].mean()
    assert float(components.variance) == pytest.approx(float(expected), rel=1e-4)


def test_noise_has_the_deviation_of_what_is_left_out() -> None:
    model, components = fitted(spread(0.05))
    components.weights.zero_()
    components.mean.zero_()
    drawn = ppca.sample(model=model, count=20_000, generator=torch.Generator().manual_seed(0))
    assert float(drawn.square().mean()) == pytest.approx(float(components.variance), rel=0.02)
    assert float(components.variance.sqrt()) > 5 * float(components.variance)


def test_items_without_spread_are_restored_as_their_mean() -> None:
    model, _ = fitted(torch.full((10, SIZE), 0.25))
    restored = ppca.reconstruct(model=model, batch=torch.rand(3, 1, SIZE))
    torch.testing.assert_close(restored, torch.full((3, 1, SIZE), 0.25))


def test_restorations_end_at_one() -> None:
    model, components = fitted(spread(0.05))
    components.mean.fill_(3.0)
    assert ppca.reconstruct(model=model, batch=torch.ones(2, 1, SIZE)).max() == 1


def test_items_of_4096_values_are_the_largest() -> None:
    assert ppca.build(torch.Size((1, 64, 64)), CPU, 256, latent=1).networks["components"].weights.shape == (4096, 1)


@pytest.mark.parametrize("hook", ["sample", "log_likelihood"])
def test_all_draws_come_from_the_given_generator_each_item_its_own(hook: str) -> None:
    model, _ = fitted(spread(0.05))
    given = {"count": 5} if hook == "sample" else {"batch": torch.zeros(5, 1, SIZE)}
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        results.append(getattr(ppca, hook)(model=model, generator=torch.Generator().manual_seed(7), **given))
    assert torch.equal(*results)
    assert len(results[0].flatten(1).unique(dim=0) if hook == "sample" else results[0].unique()) == 5
