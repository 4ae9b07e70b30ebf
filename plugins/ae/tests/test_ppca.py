"""Probabilistic PCA, checked against closed forms and torch's own Gaussian."""

from __future__ import annotations

import math

import pytest
import torch
from genbench_ae import ppca
from genbench_ae.ppca import Components
from torch import Tensor
from torch.distributions import MultivariateNormal

from genbench import Data, Model, Unsuitable

CPU = torch.device("cpu")
SHAPE = torch.Size((1, 2, 3))
SIZE = SHAPE.numel()
STEP = 2 / 255  # between adjacent 8-bit values


def built(latent: int = 2, shape: torch.Size = SHAPE) -> Model:
    return ppca.build_model(data=Data("image", shape, 100), options={"latent": latent}, device=CPU)


def data(count: int = 400) -> Tensor:
    """Items (N, 1, 2, 3) that vary mostly in two directions, well inside [-1, 1]."""
    draw = torch.Generator().manual_seed(0)
    directions = torch.randn(2, SIZE, generator=draw)
    spread = torch.randn(count, 2, generator=draw) @ directions + 0.3 * torch.randn(count, SIZE, generator=draw)
    return (0.05 * spread + 0.1).view(count, *SHAPE)


def fitted(latent: int = 2) -> Model:
    model = built(latent)
    batches = data().split(150)
    ppca.before_training(model=model, batches=[(batch, None) for batch in batches])
    return model


def model_covariance(components: Components) -> Tensor:
    weights = components.weights.double()
    return weights @ weights.mT + components.variance.double() * torch.eye(SIZE)


def test_the_fit_has_the_moments_that_the_paper_says() -> None:
    """The mean; the covariance's largest eigenvalues; the mean of the remaining ones as the noise (equation 8)."""
    components = fitted().networks["components"]
    assert isinstance(components, Components)
    items = data().flatten(1).double()
    torch.testing.assert_close(components.mean.double(), items.mean(0), atol=1e-6, rtol=0)
    expected = torch.linalg.eigvalsh(items.T.cov(correction=0))
    found = torch.linalg.eigvalsh(model_covariance(components))
    torch.testing.assert_close(found[-2:], expected[-2:], atol=1e-6, rtol=0)
    assert found[:-2].tolist() == pytest.approx([float(expected[:-2].mean())] * (SIZE - 2), abs=1e-6)


def test_no_other_noise_is_as_likely() -> None:
    model = fitted()
    components = model.networks["components"]
    assert isinstance(components, Components)
    items = data().flatten(1)
    best = components.log_density(items).mean()
    for factor in (0.8, 1.25):
        components.variance.mul_(factor)
        assert components.log_density(items).mean() < best
        components.variance.div_(factor)


def test_the_density_is_that_of_the_gaussian() -> None:
    components = fitted().networks["components"]
    assert isinstance(components, Components)
    items = data(20).flatten(1)
    expected = MultivariateNormal(components.mean.double(), model_covariance(components)).log_prob(items.double())
    torch.testing.assert_close(components.log_density(items), expected, atol=1e-5, rtol=0)


def test_the_bound_is_the_density_a_bin_averaged_over_it() -> None:
    model = fitted()
    components = model.networks["components"]
    assert isinstance(components, Components)
    batch = data(3)
    draws = [
        ppca.log_likelihood(model=model, batch=batch, generator=torch.Generator().manual_seed(seed))
        for seed in range(400)
    ]
    mean = torch.stack(draws).mean(0)
    # For a Gaussian, E log p(x + u) is log p(x) minus half the trace of the precision times the variance of u.
    trace = torch.linalg.inv(model_covariance(components)).trace()
    expected = components.log_density(batch.flatten(1)) - 0.5 * trace * STEP**2 / 12 + SIZE * math.log(STEP)
    torch.testing.assert_close(mean, expected, atol=0.02, rtol=0)


def test_samples_have_the_models_moments_and_end_at_one() -> None:
    model = fitted()
    components = model.networks["components"]
    assert isinstance(components, Components)
    drawn = ppca.sample(model=model, count=40_000, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (40_000, *SHAPE)
    flat = drawn.flatten(1).double()
    torch.testing.assert_close(flat.mean(0), components.mean.double(), atol=3e-3, rtol=0)
    torch.testing.assert_close(flat.T.cov(), model_covariance(components), atol=2e-4, rtol=0.05)
    components.mean.fill_(3.0)
    assert ppca.sample(model=model, count=5, generator=torch.Generator().manual_seed(0)).max() == 1


def test_a_reconstruction_is_the_projection_on_the_components() -> None:
    model = fitted()
    components = model.networks["components"]
    assert isinstance(components, Components)
    batch = data(10)
    basis = torch.linalg.qr(components.weights.double()).Q
    centred = batch.flatten(1).double() - components.mean
    expected = centred @ basis @ basis.mT + components.mean
    restored = ppca.reconstruct(model=model, batch=batch)
    torch.testing.assert_close(restored.flatten(1).double(), expected, atol=1e-6, rtol=0)
    again = ppca.reconstruct(model=model, batch=restored)
    torch.testing.assert_close(again, restored, atol=1e-6, rtol=0)


def test_codes_are_the_posterior_mean() -> None:
    """For the joint Gaussian of latent and item, E[z | x] = Wᵀ C⁻¹ (x − μ)."""
    model = fitted()
    components = model.networks["components"]
    assert isinstance(components, Components)
    batch = data(10)
    gain = components.weights.double().mT @ torch.linalg.inv(model_covariance(components))
    expected = (batch.flatten(1) - components.mean).double() @ gain.mT
    torch.testing.assert_close(ppca.encode(model=model, batch=batch).double(), expected, atol=1e-5, rtol=1e-5)


def test_data_without_spread_keep_the_noise_of_a_bin() -> None:
    model = built()
    ppca.before_training(model=model, batches=[(torch.zeros(10, *SHAPE), None)])
    components = model.networks["components"]
    assert isinstance(components, Components)
    assert float(components.variance) == pytest.approx(STEP**2 / 12)
    assert not components.weights.any()


def test_there_are_no_more_components_than_values_and_no_steps() -> None:
    components = built(50).networks["components"]
    assert isinstance(components, Components)
    assert components.weights.shape == (SIZE, SIZE)
    assert ppca.train_step(model=built()) == {}
    assert not built().optimizers


@pytest.mark.parametrize(
    ("shape", "latent", "error", "message"),
    [
        ((3, 64, 64), 2, Unsuitable, "takes items of at most 4,096 values, not 12,288: it fits a covariance"),
        ((1, 8, 8), 0, ValueError, "latent must be at least 1, not 0"),
    ],
)
def test_what_it_does_not_take(shape: tuple[int, ...], latent: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        built(latent, torch.Size(shape))


def test_texts_do_not_suit() -> None:
    with pytest.raises(Unsuitable, match=r"^takes no texts: their tokens are symbols"):
        ppca.build_model(data=Data("text", torch.Size((12,)), 64, levels=27), options={}, device=CPU)


def test_the_bound_of_clips_is_that_of_16_bit_values() -> None:
    """The same noise at 1/257 of the width: to first order the same density, over 257 times as many values."""
    nats = []
    for levels in (256, 65_536):
        model = ppca.build_model(data=Data("audio", torch.Size((1, 6)), 100, levels=levels), options={}, device=CPU)
        batch = torch.zeros(500, 1, 6)
        nats.append(ppca.log_likelihood(model=model, batch=batch, generator=torch.Generator().manual_seed(0)).mean())
    assert float(nats[0] - nats[1]) == pytest.approx(6 * math.log(65_535 / 255), abs=1e-3)
