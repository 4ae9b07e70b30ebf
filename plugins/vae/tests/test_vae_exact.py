"""The VAE's hooks on models so small that losses, gradients and draws have closed forms."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from genbench_vae import conv, hooks, mlp
from genbench_vae.assembly import Encoder, assemble
from genbench_vae.assembly import Settings as Options
from genbench_vae.likelihoods import LIKELIHOODS, Gaussian, Likelihood, Logistic
from genbench_vae.objective import Objective
from torch import Tensor, nn

from genbench import Model

CPU = torch.device("cpu")
STEP = 2 / 255  # between adjacent 8-bit values
BATCH = 40_000  # enough draws for the mean to be close to its expectation
MEAN, LOG_VARIANCE = torch.tensor([0.5, -1.0]), torch.tensor([-1.2, 0.7])
IMAGE = torch.tensor([1.5, 0.25])


class _Posterior(nn.Module):
    """q(z | x), the same Gaussian for all images; a step moves its parameters."""

    latent = 2

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(MEAN.clone())
        self.log_variance = nn.Parameter(LOG_VARIANCE.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean.expand(len(images), 2), self.log_variance.expand(len(images), 2)


class _Identity(nn.Module):
    """Decodes a code to itself, as an image of two pixels, and records its input."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = torch.empty(0)

    def forward(self, codes: Tensor) -> Tensor:
        self.codes = codes.detach()
        return codes[:, None, None]


class _Square(Likelihood):
    """-log p(x | z) = |x - o|² / 2; records the levels that it is passed."""

    levels = torch.empty(0)

    def image(self, output: Tensor) -> Tensor:
        return output

    def loss(self, output: Tensor, images: Tensor) -> Tensor:
        return 0.5 * (images - output).square().flatten(1).sum(1)

    def log_mass(self, output: Tensor, levels: Tensor) -> Tensor:
        self.levels = levels
        return torch.zeros_like(output)


def _model(beta: float = 1.0, importance_samples: int = 1, **networks: nn.Module) -> Model:
    parts = {
        "encoder": _Posterior(),
        "decoder": _Identity(),
        "objective": Objective(_Square(), beta, importance_samples),
        **networks,
    }
    torch.manual_seed(0)
    model = Model(nn.ModuleDict(parts), {})
    model.optimizers["vae"] = torch.optim.SGD(model.networks.parameters(), 1.0)  # a step is -gradient
    return model


def _step(model: Model) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = hooks.train_step(model, IMAGE.expand(BATCH, 1, 1, 2))
    return losses


def _assert_normal(draws: Tensor, mean: Tensor, deviation: Tensor) -> None:
    """Assert the first four moments of independent Gaussians, (N, D)."""
    scaled = ((draws - mean) / deviation).double()
    torch.testing.assert_close(scaled.mean(0), torch.zeros(2).double(), atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(scaled.T), torch.eye(2).double(), atol=0.04, rtol=0)
    torch.testing.assert_close(scaled.pow(3).mean(0), torch.zeros(2).double(), atol=0.1, rtol=0)
    torch.testing.assert_close(scaled.pow(4).mean(0), torch.full((2,), 3.0).double(), atol=0.2, rtol=0)


def test_a_step_decodes_codes_of_the_posterior() -> None:
    model = _model()
    _step(model)
    _assert_normal(model.networks["decoder"].codes, MEAN, LOG_VARIANCE.exp().sqrt())  # type: ignore[arg-type]


def test_a_code_is_the_mean_and_the_noise_times_the_deviation() -> None:
    model = _model()
    torch.manual_seed(3)
    _step(model)
    torch.manual_seed(3)
    expected = MEAN + LOG_VARIANCE.exp().sqrt() * torch.randn(BATCH, 2)
    torch.testing.assert_close(model.networks["decoder"].codes, expected)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_a_step_follows_the_gradient_of_the_bound(beta: float) -> None:
    """E|x - z|²/2 = (|x - m|² + sum v)/2, and KL = sum (m² + v - 1 - log v)/2, with v = exp(s)."""
    model = _model(beta)
    losses = _step(model)
    variance = LOG_VARIANCE.exp()
    reconstruction = 0.5 * ((IMAGE - MEAN).square() + variance).sum()
    kl = 0.5 * (MEAN.square() + variance - 1 - LOG_VARIANCE).sum()
    torch.testing.assert_close(losses["reconstruction"], reconstruction, rtol=0.02, atol=0)
    torch.testing.assert_close(losses["kl"], kl)
    torch.testing.assert_close(losses["loss"], reconstruction + beta * kl, rtol=0.02, atol=0)
    encoder = model.networks["encoder"]
    moved = {name: start - encoder.get_parameter(name).detach() for name, start in _starts().items()}
    torch.testing.assert_close(moved["mean"], MEAN - IMAGE + beta * MEAN, atol=0.03, rtol=0)
    torch.testing.assert_close(moved["log_variance"], 0.5 * variance + beta * 0.5 * (variance - 1), atol=0.05, rtol=0)


def _starts() -> dict[str, Tensor]:
    return {"mean": MEAN, "log_variance": LOG_VARIANCE}


def test_a_second_step_has_a_gradient_of_its_own() -> None:
    model = _model()
    model.optimizers["vae"] = torch.optim.SGD(model.networks.parameters(), 0.0)  # changes nothing
    _step(model)
    model.optimizers["vae"] = torch.optim.SGD(model.networks.parameters(), 1.0)
    _step(model)
    moved = MEAN - model.networks["encoder"].get_parameter("mean").detach()
    torch.testing.assert_close(moved, 2 * MEAN - IMAGE, atol=0.03, rtol=0)


def test_samples_are_decoded_from_the_standard_normal() -> None:
    model = _model()
    hooks.sample(model, BATCH, torch.Generator().manual_seed(0))
    _assert_normal(model.networks["decoder"].codes, torch.zeros(2), torch.ones(2))  # type: ignore[arg-type]


def test_codes_and_reconstructions_are_the_posterior_means() -> None:
    model = _model()
    images = IMAGE.expand(3, 1, 1, 2)
    assert torch.equal(hooks.encode(model, images), MEAN.expand(3, 2))
    assert torch.equal(hooks.reconstruct(model, images), MEAN.expand(3, 1, 1, 2))


def test_the_likelihood_is_of_the_256_levels_of_the_pixels() -> None:
    model = _model(importance_samples=2)
    levels = torch.arange(256.0).reshape(128, 1, 1, 2)
    hooks.log_likelihood(model, levels / 127.5 - 1, torch.Generator().manual_seed(0))
    assert torch.equal(model.networks["objective"].likelihood.levels, levels)  # type: ignore[union-attr]


@pytest.mark.parametrize("draws", [1, 3])
def test_the_bound_of_several_draws_is_the_logarithm_of_their_mean_weight(draws: int) -> None:
    """With constant p(x | z), the weight is N(z; 0, I) / q(z): its mean over many draws is 1, so the bound is log 1."""
    model = _model(importance_samples=draws)
    images = torch.zeros(5, 1, 1, 2)
    found = hooks.log_likelihood(model, images, torch.Generator().manual_seed(0))
    random = torch.Generator().manual_seed(0)
    posterior = torch.distributions.Normal(MEAN.double(), LOG_VARIANCE.double().exp().sqrt())
    prior = torch.distributions.Normal(torch.zeros(2).double(), 1.0)
    weights = []
    for _ in range(draws):
        codes = posterior.mean + posterior.stddev * torch.randn(5, 2, generator=random).double()
        weights.append((prior.log_prob(codes) - posterior.log_prob(codes)).sum(1).exp())
    torch.testing.assert_close(found.double(), torch.stack(weights).mean(0).log(), atol=1e-5, rtol=0)


def test_draws_are_made_on_the_generators_device_whatever_the_default() -> None:
    model, images = _model(), IMAGE.expand(3, 1, 1, 2)
    with torch.device("meta"):  # holds no values
        drawn = hooks.sample(model, 3, torch.Generator("cpu").manual_seed(0))
        bounds = hooks.log_likelihood(model, images, torch.Generator("cpu").manual_seed(0))
    assert drawn.device == bounds.device == CPU


def test_the_two_heads_are_linear_and_their_own() -> None:
    encoder = Encoder(nn.Flatten(), 3, 2)
    images = torch.randn(4, 1, 1, 3)
    mean, log_variance = encoder(images)
    for found, head in ((mean, encoder.mean), (log_variance, encoder.log_variance)):
        torch.testing.assert_close(found, images.flatten(1) @ head.weight.T + head.bias)
    assert not torch.equal(mean, log_variance)


def test_the_likelihood_is_of_the_65536_levels_of_samples_of_sound() -> None:
    likelihood = _Square(65_536)
    model = _model(objective=Objective(likelihood, 1.0, 1))
    levels = torch.arange(65_536.0).reshape(-1, 1, 2)
    delivered = (levels - 32_768 + 0.5) / 32_767.5  # as clips are delivered: see `genbench.kinds.audio`
    hooks.log_likelihood(model, delivered[:, None], torch.Generator().manual_seed(0))
    assert torch.equal(likelihood.levels, levels[:, None])


@pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
def test_one_optimizer_trains_every_parameter_at_the_given_rate(likelihood: str) -> None:
    settings = Options(2, 0.5, likelihood, 7, 0.125)
    model = assemble(nn.Flatten(), 2, _Identity(), settings, CPU, 256)
    (group,) = model.optimizers["vae"].param_groups
    assert group["lr"] == 0.125
    assert set(map(id, group["params"])) == set(map(id, model.networks.parameters()))
    objective: Any = model.networks["objective"]
    assert (objective.beta, objective.importance_samples) == (0.5, 7)
    assert type(objective.likelihood) is LIKELIHOODS[likelihood]


def test_images_of_the_likelihoods_are_their_means() -> None:
    """The Bernoulli's mean is sigmoid(o) in [0, 1], which is tanh(o / 2) in [-1, 1]; the Gaussian's is tanh(o)."""
    output = torch.linspace(-4, 4, 9)
    torch.testing.assert_close(LIKELIHOODS["bernoulli"]().image(output), torch.tanh(output / 2))
    torch.testing.assert_close(LIKELIHOODS["gaussian"]().image(output), torch.tanh(output))


def test_training_begins_with_wide_pixels() -> None:
    """Half the images' range: under a narrow law, a few distant pixels would dominate the first losses."""
    assert Gaussian().log_sigma().item() == pytest.approx(0.0, abs=0.01)
    assert Logistic().log_scale.item() == -1.0


def test_the_logistic_loss_of_black_and_white_takes_in_the_tails() -> None:
    likelihood = Logistic()
    with torch.no_grad():
        likelihood.log_scale.fill_(math.log(0.5))
        output = torch.full((2, 1, 1, 1), 0.3)
        losses = likelihood.loss(output, torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1))
    location = 1.5 * math.tanh(0.3)
    black = 1 / (1 + math.exp((location + 1 - STEP / 2) / 0.5))
    white = 1 / (1 + math.exp((1 - STEP / 2 - location) / 0.5))
    torch.testing.assert_close(losses, -torch.tensor([black, white]).log(), rtol=1e-4, atol=0)


def _sizes(network: nn.Module, kind: type[nn.Module]) -> list[tuple[int, int]]:
    layers = [layer for layer in network.modules() if isinstance(layer, kind)]
    if issubclass(kind, nn.Linear):
        return [(layer.in_features, layer.out_features) for layer in layers]  # type: ignore[misc]
    return [(layer.in_channels, layer.out_channels) for layer in layers]  # type: ignore[misc]


def test_vae_has_as_many_hidden_layers_on_either_side() -> None:
    networks = mlp.build(torch.Size((1, 2, 3)), CPU, 256, latent=5, hidden=7, layers=3).networks
    assert _sizes(networks["encoder"], nn.Linear) == [(6, 7), (7, 7), (7, 7), (7, 5), (7, 5)]
    assert _sizes(networks["decoder"], nn.Linear) == [(5, 7), (7, 7), (7, 7), (7, 6)]


def test_conv_vae_doubles_its_channels_twice_and_mirrors_them() -> None:
    networks = conv.build(torch.Size((3, 64, 64)), CPU, 256, latent=5, channels=4).networks
    assert _sizes(networks["encoder"], nn.Conv2d) == [(3, 4), (4, 8), (8, 16), (16, 16)]  # down to 4 × 4
    assert _sizes(networks["encoder"], nn.Linear) == [(256, 5), (256, 5)]
    assert _sizes(networks["decoder"], nn.ConvTranspose2d) == [(16, 16), (16, 8), (8, 4), (4, 3)]


def test_only_layers_that_nothing_normalises_have_biases() -> None:
    """A normalisation takes a bias away again."""
    networks = conv.build(torch.Size((3, 32, 32)), CPU, 256, channels=2).networks
    down, up = ([layer.bias is not None for layer in networks[side].modules() if isinstance(layer, kind)]
                for side, kind in (("encoder", nn.Conv2d), ("decoder", nn.ConvTranspose2d)))  # fmt: skip
    assert down == [False] * 3
    assert up == [False, False, True]


def test_models_start_from_the_defaults_of_the_readme() -> None:
    shared = {"beta": 1.0, "likelihood": "logistic", "importance_samples": 1, "learning_rate": 1e-3}
    defaults = {conv: {"latent": 32, "channels": 32}, mlp: {"latent": 16, "hidden": 256, "layers": 2}}
    for module, own in defaults.items():
        parameters = inspect.signature(module.build).parameters.values()
        assert {each.name: each.default for each in parameters if each.default is not each.empty} == own | shared
        built = [module.build(torch.Size((1, 8, 8)), CPU, 256, **options) for options in ({}, own)]
        assert len({model.parameter_count() for model in built}) == 1


def test_a_step_may_be_captured_and_beta_may_be_0() -> None:
    model = mlp.build(torch.Size((1, 2, 3)), CPU, 256, hidden=2, beta=0.0)
    assert model.capturable is True
