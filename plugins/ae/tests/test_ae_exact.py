"""The autoencoders' hooks and densities on cases so small that losses, fits and draws have closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from genbench_ae import conv, hooks, mlp
from genbench_ae.assembly import Masking, Settings, assemble
from genbench_ae.density import CodeDensity
from genbench_ae.mixture import Mixture, fit_mixture, jitter, responsibilities
from torch import Tensor, nn

from genbench import Model

CPU = torch.device("cpu")
# Far from symmetric, so that a factor and its transpose give different covariances.
FACTORS = torch.tensor([[[1.0, 0.0], [2.0, 0.3]], [[0.4, 0.0], [-1.5, 0.8]]])
MEANS = torch.tensor([[-30.0, 0.0], [30.0, 5.0]])


class _Keeps(nn.Module):
    """Returns the scaled images as codes, and records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        return self.scale * images.flatten(1)


class _Constant(nn.Module):
    """Decodes every code to the same learned image."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.tensor([0.5, -0.25]))

    def forward(self, codes: Tensor) -> Tensor:
        return self.image.expand(len(codes), 1, 1, 2) + 0 * codes.sum()


def _model(denoising: float = 0.0, decoder: nn.Module | None = None) -> Model:
    settings = Settings(2, denoising, "gaussian", 10, 0.125)
    model = assemble(_Keeps(), decoder or _Constant(), settings, CPU)
    model.optimizers["autoencoder"] = torch.optim.SGD(model.networks.parameters(), 1.0)  # a step is -gradient
    return model


def _images(count: int = 500) -> Tensor:
    return torch.rand(count, 1, 1, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("denoising", [0.0, 0.7])
def test_a_step_is_the_gradient_of_the_squared_error_to_the_clean_images(denoising: float) -> None:
    model, images = _model(denoising), _images()
    start = torch.tensor([0.5, -0.25])
    torch.manual_seed(0)
    loss = hooks.train_step(model, images)["reconstruction"]
    torch.testing.assert_close(loss, (start - images).square().mean())
    moved = start - model.networks["decoder"].get_parameter("image").detach()
    torch.testing.assert_close(moved, (start - images.mean((0, 1, 2))))  # d/dp of mean (p - x)² over two pixels


def test_denoising_corrupts_what_is_encoded_each_image_on_its_own() -> None:
    model, images = _model(0.7), _images()
    torch.manual_seed(0)
    hooks.train_step(model, images)
    (seen,) = model.networks["encoder"].seen  # type: ignore[misc]
    masked = seen != images
    assert (seen[masked] == -1).all()
    assert masked.float().mean().item() == pytest.approx(0.7, abs=0.05)
    patterns = masked.flatten(1).float()
    torch.testing.assert_close(torch.cov(patterns.T), 0.21 * torch.eye(2), atol=0.04, rtol=0)


def test_without_denoising_images_are_encoded_as_they_are() -> None:
    model, images = _model(), _images()
    hooks.train_step(model, images)
    assert torch.equal(model.networks["encoder"].seen[0], images)  # type: ignore[index]
    assert Masking(0.0)(images) is images


def test_the_density_is_fitted_to_the_codes_of_every_clean_training_image() -> None:
    model, images = _model(0.7), _images()
    hooks.before_sampling(model, [(batch, None) for batch in images.split(100)])
    codes = images.flatten(1)
    density = model.networks["density"]
    torch.testing.assert_close(density.means[0], codes.mean(0))  # type: ignore[index]
    factor = density.factors[0]  # type: ignore[index]
    torch.testing.assert_close(factor @ factor.T, torch.cov(codes.T, correction=0), rtol=1e-4, atol=1e-6)


def test_samples_and_codes_are_of_clean_networks() -> None:
    model, images = _model(0.7, decoder=nn.Unflatten(1, (1, 1, 2))), _images()
    assert torch.equal(hooks.encode(model, images), images.flatten(1))
    assert torch.equal(hooks.reconstruct(model, images), images)
    drawn = hooks.sample(model, 7, torch.Generator().manual_seed(1))
    expected = model.networks["density"].sample(7, torch.Generator().manual_seed(1))  # type: ignore[operator]
    assert torch.equal(drawn.flatten(1), expected)


@pytest.mark.parametrize("components", [1, 2])
def test_draws_have_the_moments_of_the_density(components: int) -> None:
    density = CodeDensity(bottleneck=2, components=components)
    density.means.copy_(MEANS[:components])
    density.factors.copy_(FACTORS[:components])
    density.weights.copy_(torch.tensor([0.8, 0.2][:components]) / sum([0.8, 0.2][:components]))
    drawn = density.sample(60_000, torch.Generator().manual_seed(0))
    first = drawn[:, 0] < 0
    assert first.float().mean().item() == pytest.approx(float(density.weights[0]), abs=0.01)
    for own, mean, factor in zip((drawn[first], drawn[~first]), MEANS, FACTORS[:components], strict=False):
        torch.testing.assert_close(own.mean(0), mean, atol=0.06, rtol=0)
        torch.testing.assert_close(torch.cov(own.T), factor @ factor.T, atol=0.12, rtol=0)
        whitened = torch.linalg.solve(factor, (own - mean).T).double()
        torch.testing.assert_close(whitened.pow(4).mean(1), torch.full((2,), 3.0).double(), atol=0.3, rtol=0)
        assert len(own.unique(dim=0)) == len(own)


@pytest.mark.parametrize("components", [1, 2])
def test_draws_are_made_where_the_density_is_whatever_the_default(components: int) -> None:
    density = CodeDensity(bottleneck=2, components=components)
    with torch.device("meta"):  # holds no values
        assert density.sample(3, torch.Generator("cpu").manual_seed(0)).device == CPU


def _codes() -> Tensor:
    """Three overlapping clusters of unequal size and shape, (700, 2) float64."""
    random = torch.Generator().manual_seed(5)
    parts = [
        torch.randn(count, 2, generator=random, dtype=torch.float64) @ torch.tensor(factor, dtype=torch.float64).T
        + torch.tensor(centre, dtype=torch.float64)
        for count, factor, centre in (
            (400, [[1.0, 0.0], [0.8, 0.5]], [0.0, 0.0]),
            (200, [[0.5, 0.0], [-0.4, 1.0]], [3.0, 1.0]),
            (100, [[0.3, 0.0], [0.0, 0.3]], [1.0, 4.0]),
        )
    ]
    return torch.cat(parts)


def test_a_fitted_mixture_is_a_fixed_point_of_expectation_maximisation() -> None:
    """Weights, means and covariances equal those that torch.distributions gives for its own responsibilities."""
    codes = _codes()
    mixture, history = fit_mixture(codes, 3, iterations=3000, tolerance=1e-13)
    law = torch.distributions.MultivariateNormal(mixture.means, scale_tril=mixture.factors)
    shares = (law.log_prob(codes[:, None]) + mixture.weights.log()).softmax(1)
    evidence = (law.log_prob(codes[:, None]) + mixture.weights.log()).logsumexp(1).mean().item()
    assert history[-1] == pytest.approx(evidence, abs=1e-4)
    torch.testing.assert_close(mixture.weights, shares.mean(0), atol=1e-4, rtol=0)
    for index in range(3):
        weight = shares[:, index : index + 1] / shares[:, index].sum()
        mean = (weight * codes).sum(0)
        covariance = (weight * (codes - mean)).T @ (codes - mean)
        torch.testing.assert_close(mixture.means[index], mean, atol=1e-3, rtol=0)
        found = mixture.factors[index] @ mixture.factors[index].T
        torch.testing.assert_close(found, covariance, atol=1e-3, rtol=0)


def test_the_fit_stops_where_a_thousandth_of_a_nat_is_gained_or_after_a_hundred_steps() -> None:
    _, history = fit_mixture(_codes(), 3)
    gains = [after - before for before, after in itertools.pairwise(history)]
    assert gains[-1] < 1e-3 <= min(gains[:-1])
    assert len(fit_mixture(_codes()[:20], 2, tolerance=-1.0)[1]) == 100


class _Codes:
    """Codes that record where they are moved to for the fit, as a GPU's codes would be."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def detach(self) -> _Codes:
        return self

    def to(self, *where: object) -> Tensor:
        self.asked.append(where)
        return _codes()


def test_the_density_is_fitted_in_float64_on_the_cpu() -> None:
    codes, density = _Codes(), CodeDensity(bottleneck=2, components=1)
    density.fit(codes)  # type: ignore[arg-type]
    assert codes.asked == [("cpu", torch.float64)]


@pytest.mark.parametrize("components", [1, 2])
def test_a_draw_is_the_mean_and_the_factor_times_the_noise(components: int) -> None:
    density = CodeDensity(bottleneck=2, components=components)
    density.means.copy_(MEANS[:components])
    density.factors.copy_(FACTORS[:components])
    random = torch.Generator().manual_seed(4)
    noise = torch.randn(6, 2, generator=random)
    chosen = torch.zeros(6, dtype=torch.int64)
    if components > 1:
        chosen = torch.multinomial(torch.tensor([0.5, 0.5]), 6, replacement=True, generator=random)
    expected = [MEANS[index] + FACTORS[index] @ each for index, each in zip(chosen, noise, strict=True)]
    torch.testing.assert_close(density.sample(6, torch.Generator().manual_seed(4)), torch.stack(expected))


def test_far_clusters_are_components_of_their_own() -> None:
    centres = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]], dtype=torch.float64)
    noise = torch.randn(4, 50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mixture, _ = fit_mixture((centres[:, None] + noise).flatten(0, 1), 4)
    assert torch.cdist(mixture.means, centres).min(1).values.max() < 1
    torch.testing.assert_close(mixture.weights, torch.full((4,), 0.25, dtype=torch.float64))


def test_the_jitter_is_a_millionth_of_the_mean_variance() -> None:
    codes = torch.tensor([[0.0, 0.0], [2.0, 4.0]], dtype=torch.float64)  # variances 1 and 4
    assert jitter(codes) == pytest.approx(2.5e-6)
    assert jitter(torch.ones(3, 2, dtype=torch.float64)) == 1e-12


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_responsibilities_of_two_gaussians_are_bayes_rule(floor: float) -> None:
    mixture = Mixture(
        torch.tensor([0.75, 0.25], dtype=torch.float64),
        torch.tensor([[0.0], [2.0]], dtype=torch.float64),
        torch.tensor([[[1.0]], [[2.0]]], dtype=torch.float64),
    )
    shares, objective = responsibilities(torch.tensor([[1.0]], dtype=torch.float64), mixture, floor)
    # Each density is multiplied by exp(-floor trace(C^-1) / 2), the cost of the jitter; the variances are 1 and 4.
    first = 0.75 * math.exp(-0.5 - floor / 2) / math.sqrt(2 * math.pi)
    second = 0.25 * math.exp(-0.125 - floor / 8) / math.sqrt(8 * math.pi)
    assert shares[0].tolist() == pytest.approx([first / (first + second), second / (first + second)])
    assert objective == pytest.approx(math.log(first + second))


@pytest.mark.parametrize(("density", "components"), [("gaussian", 1), ("mixture", 6)])
def test_options_reach_the_optimizer_and_the_density(density: str, components: int) -> None:
    model = assemble(_Keeps(), _Constant(), Settings(2, 0.3, density, 6, 0.125), CPU)
    (group,) = model.optimizers["autoencoder"].param_groups
    assert group["lr"] == 0.125
    assert set(map(id, group["params"])) == set(map(id, model.networks.parameters()))
    assert model.networks["density"].weights.shape == (components,)  # type: ignore[union-attr]
    assert model.networks["corruption"].level == 0.3


def _sizes(network: nn.Module, kind: type[nn.Module]) -> list[tuple[int, int]]:
    layers = [layer for layer in network.modules() if isinstance(layer, kind)]
    if issubclass(kind, nn.Linear):
        return [(layer.in_features, layer.out_features) for layer in layers]  # type: ignore[misc]
    return [(layer.in_channels, layer.out_channels) for layer in layers]  # type: ignore[misc]


def test_ae_has_as_many_hidden_layers_on_either_side() -> None:
    networks = mlp.build(torch.Size((1, 2, 3)), CPU, bottleneck=5, hidden=7, layers=3).networks
    assert _sizes(networks["encoder"], nn.Linear) == [(6, 7), (7, 7), (7, 7), (7, 5)]
    assert _sizes(networks["decoder"], nn.Linear) == [(5, 7), (7, 7), (7, 7), (7, 6)]


def test_conv_ae_doubles_its_channels_three_times_and_mirrors_them() -> None:
    networks = conv.build(torch.Size((3, 128, 128)), CPU, bottleneck=5, channels=2).networks
    assert _sizes(networks["encoder"], nn.Conv2d) == [(3, 2), (2, 4), (4, 8), (8, 16), (16, 16)]  # down to 4 × 4
    assert _sizes(networks["encoder"], nn.Linear) == [(256, 5)]
    assert _sizes(networks["decoder"], nn.ConvTranspose2d) == [(16, 16), (16, 8), (8, 4), (4, 2), (2, 3)]
