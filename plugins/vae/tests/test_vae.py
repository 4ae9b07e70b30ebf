"""`vae` and `conv-vae`: the hooks, the options, the bound, and the probability of 8-bit and 16-bit values."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from genbench_vae import conv, mlp
from genbench_vae.likelihoods import LIKELIHOODS, Gaussian, Likelihood, Logistic
from genbench_vae.objective import Objective, kl_divergence, log_weights
from torch import Tensor, nn
from torch.distributions import AffineTransform, ContinuousBernoulli, Normal, TransformedDistribution, Uniform
from torch.distributions.transforms import SigmoidTransform

from genbench import Data, Model, Unsuitable

CPU = torch.device("cpu")
STEP = 2 / 255  # between adjacent 8-bit values
MODELS = pytest.mark.parametrize("module", [mlp, conv], ids=["vae", "conv-vae"])
SHAPES = pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)], ids=str)
COUNTS = pytest.mark.parametrize("count", [256, 65_536], ids=["8-bit", "16-bit"])
NAMES = pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
SMALL = {mlp: {"hidden": 32}, conv: {"channels": 8}}  # fast steps at 64 x 64


def _build(module: ModuleType, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0, **options: Any) -> Model:
    torch.manual_seed(seed)
    options = {**SMALL[module], **options}
    model: Model = module.build_model(data=Data("image", torch.Size(shape), 64), options=options, device=CPU)
    return model


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(count: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 1) -> Tensor:
    return torch.randint(256, (count, *shape), generator=_generator(seed)) / 127.5 - 1


def _blobs(count: int) -> Tensor:
    """Bright bars on black (count, 1, 8, 8): easy to learn, with all values at the ends of the range."""
    rows = torch.arange(count) % 8
    return torch.where(torch.arange(8)[:, None] == rows[:, None, None, None], 1.0, -1.0).expand(-1, 1, 8, 8)


def _all_masses(likelihood: Likelihood, outputs: Tensor) -> Tensor:
    """Probability of each value that an entry can take, (outputs, levels) float64."""
    levels = torch.arange(likelihood.greatest + 1.0)
    shape = len(outputs), len(levels)
    with torch.no_grad():
        masses = likelihood.log_mass(outputs[:, None].expand(shape), levels.expand(shape))
    return masses.double().exp()


# The hooks


@MODELS
@SHAPES
@NAMES
def test_a_step_moves_every_parameter_and_returns_its_losses(
    module: ModuleType, shape: tuple[int, ...], likelihood: str
) -> None:
    model = _build(module, shape, likelihood=likelihood)
    before = {name: parameter.clone() for name, parameter in model.networks.named_parameters()}
    losses = module.train_step(model=model, batch=_images(4, shape))
    assert list(losses) == ["loss", "reconstruction", "kl"]
    assert all(loss.shape == () and loss.isfinite() and not loss.requires_grad for loss in losses.values())
    still = [name for name, parameter in model.networks.named_parameters() if torch.equal(parameter, before[name])]
    assert still == []


@MODELS
def test_training_repeats_bit_for_bit(module: ModuleType) -> None:
    models = [_build(module), _build(module)]
    for model in models:
        torch.manual_seed(1)
        for seed in range(3):
            module.train_step(model=model, batch=_images(8, seed=seed))
    first, second = (model.networks.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


@MODELS
def test_training_puts_what_tells_images_apart_into_the_codes(module: ModuleType) -> None:
    images = _blobs(64)
    torch.manual_seed(0)
    model = module.build_model(data=Data("image", torch.Size((1, 8, 8)), 64), options={}, device=CPU)
    for _ in range(150):
        module.train_step(model=model, batch=images)
    model.networks.eval()
    with torch.no_grad():
        own = (module.reconstruct(model=model, batch=images) - images).square().mean()
        anothers = (module.reconstruct(model=model, batch=images.roll(3, 0)) - images).square().mean()
    assert own < 0.22  # half the error of the mean image, 0.44
    assert anothers > 0.5


@MODELS
@SHAPES
@torch.no_grad()
def test_samples_depend_on_the_given_generator_alone(module: ModuleType, shape: tuple[int, ...]) -> None:
    model = _build(module, shape)
    model.networks.eval()
    first = module.sample(model=model, count=5, generator=_generator())
    torch.manual_seed(99)
    state = torch.get_rng_state()
    second = module.sample(model=model, count=5, generator=_generator())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, second)
    assert first.shape == (5, *shape)
    assert first.dtype == torch.float32
    assert not torch.equal(first, module.sample(model=model, count=5, generator=_generator(1)))


@MODELS
@NAMES
@torch.no_grad()
def test_images_stay_in_range_however_large_the_weights(module: ModuleType, likelihood: str) -> None:
    model = _build(module, likelihood=likelihood)
    model.networks.eval()
    for parameter in model.networks["decoder"].parameters():
        parameter.mul_(100)
    samples = module.sample(model=model, count=20, generator=_generator())
    assert samples.abs().max() <= 1
    assert samples.min() < -0.9
    assert samples.max() > 0.9


@MODELS
@SHAPES
@torch.no_grad()
def test_reconstructions_are_decoded_from_the_codes(module: ModuleType, shape: tuple[int, ...]) -> None:
    model = _build(module, shape, latent=7)
    model.networks.eval()
    images = _images(3, shape)
    codes = module.encode(model=model, batch=images)
    assert codes.shape == (3, 7)
    assert torch.equal(codes, model.networks["encoder"](images)[0])
    restored = module.reconstruct(model=model, batch=images)
    assert restored.shape == images.shape
    likelihood = cast(Objective, model.networks["objective"]).likelihood
    assert torch.equal(restored, likelihood.image(model.networks["decoder"](codes)))


@pytest.mark.parametrize("shape", [(1, 8, 21), (2, 9, 13), (1, 31, 100), (3, 128, 128)], ids=str)
def test_conv_vae_takes_sides_that_are_no_powers_of_two(shape: tuple[int, ...]) -> None:
    model = _build(conv, shape)
    conv.train_step(model=model, batch=_images(2, shape))
    model.networks.eval()
    with torch.no_grad():
        assert conv.reconstruct(model=model, batch=_images(2, shape)).shape == (2, *shape)


@MODELS
@NAMES
def test_steps_under_bfloat16_give_float32_losses(module: ModuleType, likelihood: str) -> None:
    model, exact = (_build(module, likelihood=likelihood) for _ in range(2))
    images = _images(16)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = module.train_step(model=model, batch=images)
    torch.manual_seed(0)
    for name, loss in module.train_step(model=exact, batch=images).items():
        assert rounded[name].dtype == torch.float32
        torch.testing.assert_close(rounded[name], loss, rtol=0.02, atol=0.02)


# The options


@MODELS
def test_beta_weighs_the_divergence(module: ModuleType) -> None:
    steps = []
    for beta in (1.0, 4.0):
        steps.append(module.train_step(model=_build(module, beta=beta), batch=_images(8)))
    plain, weighted = steps
    assert plain["kl"] > 0
    assert torch.equal(plain["kl"], weighted["kl"])
    torch.testing.assert_close(plain["loss"], plain["reconstruction"] + plain["kl"])
    torch.testing.assert_close(weighted["loss"] - plain["loss"], 3 * plain["kl"], rtol=1e-5, atol=1e-4)


@MODELS
def test_an_unknown_option_is_a_type_error(module: ModuleType) -> None:
    with pytest.raises(TypeError, match="bta"):
        _build(module, bta=4)


@MODELS
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "latent must be at least 1, not 0"),
        ({"importance_samples": 0}, "importance_samples must be at least 1, not 0"),
        ({"beta": -1.0}, "beta must be at least 0 and finite, not -1.0"),
        ({"beta": math.nan}, "beta must be at least 0 and finite, not nan"),
        ({"beta": math.inf}, "beta must be at least 0 and finite, not inf"),
        ({"learning_rate": math.inf}, "learning_rate must be above 0 and finite, not inf"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, not 0.0"),
        ({"likelihood": "poisson"}, "likelihood must be one of bernoulli, gaussian, logistic, not 'poisson'"),
    ],
    ids=str,
)
def test_a_value_out_of_its_domain_is_refused(module: ModuleType, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        _build(module, **options)


@pytest.mark.parametrize(("module", "option"), [(mlp, "hidden"), (mlp, "layers"), (conv, "channels")])
def test_a_network_without_units_is_refused(module: ModuleType, option: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be at least 1, not 0$"):
        _build(module, **{option: 0})


@pytest.mark.parametrize("shape", [(1, 7, 28), (1, 28, 129)], ids=str)
def test_conv_vae_refuses_other_sizes(shape: tuple[int, ...]) -> None:
    with pytest.raises(Unsuitable, match=f"^takes images whose sides are 8 to 128, not {shape[1]} x {shape[2]}$"):
        _build(conv, shape)


@MODELS
def test_texts_do_not_suit(module: ModuleType) -> None:
    with pytest.raises(Unsuitable, match=r"^takes (no texts: their tokens are symbols|images only)"):
        module.build_model(data=Data("text", torch.Size((12,)), 64, levels=27), options={}, device=CPU)


CLIPS = [(1, 64), (2, 129), (1, 2003)]


@MODELS
@pytest.mark.parametrize("shape", CLIPS, ids=str)
def test_clips_of_any_length_are_trained_on_made_restored_and_bounded(
    module: ModuleType, shape: tuple[int, ...]
) -> None:
    data = Data("audio", torch.Size(shape), 64, levels=65_536, sample_rate=8000)
    model = module.build_model(data=data, options={"latent": 4, **SMALL[module]}, device=CPU)
    batch = (torch.randint(65_536, (6, *shape), generator=_generator()) - 32_767.5) / 32_767.5
    assert all(loss.isfinite() for loss in module.train_step(model=model, batch=batch).values())
    model.networks.eval()
    with torch.no_grad():
        assert module.sample(model=model, count=3, generator=_generator()).shape == (3, *shape)
        assert module.reconstruct(model=model, batch=batch).shape == batch.shape
        nats = module.log_likelihood(model=model, batch=batch, generator=_generator())
    assert nats.shape == (6,)
    # Uniform noise takes at least 16 bits per value, and an untrained model needs only slightly more.
    assert 0.99 < float(-nats.mean() / math.log(65_536) / math.prod(shape)) < 1.3


@pytest.mark.parametrize("length", [63, 131_073])
def test_clips_of_other_lengths_do_not_suit_conv_vae(length: int) -> None:
    with pytest.raises(Unsuitable, match=f"^takes clips whose lengths are 64 to 131072, not {length}$"):
        conv.build_model(data=Data("audio", torch.Size((1, length)), 64, levels=65_536), options={}, device=CPU)


# The likelihoods


@NAMES
@COUNTS
@pytest.mark.parametrize("log_scale", [-5.0, -1.0, 1.0])
def test_the_probabilities_of_all_values_sum_to_one(likelihood: str, log_scale: float, count: int) -> None:
    law = LIKELIHOODS[likelihood](count)
    for parameter in law.parameters():
        nn.init.constant_(parameter, log_scale)
    masses = _all_masses(law, torch.tensor([-300.0, -20.0, -3.0, -0.5, 0.0, 1e-4, 0.5, 3.0, 20.0, 300.0]))
    torch.testing.assert_close(masses.sum(1), torch.ones(10, dtype=torch.float64), rtol=0, atol=2e-4)


def _continuous_bernoulli(outputs: Tensor, edges: Tensor) -> Tensor:
    return ContinuousBernoulli(logits=outputs[:, None]).cdf(torch.linspace(0, 1, edges.shape[-1], dtype=torch.float64))


def _normal(outputs: Tensor, edges: Tensor) -> Tensor:
    return Normal(outputs[:, None].tanh(), 0.3).cdf(edges)


def _logistic(outputs: Tensor, edges: Tensor) -> Tensor:
    shift = AffineTransform(1.5 * outputs[:, None].tanh(), 0.3)
    uniform = Uniform(edges.new_zeros(()), edges.new_ones(()), validate_args=False)
    return TransformedDistribution(uniform, [SigmoidTransform().inv, shift]).cdf(edges)


@pytest.mark.parametrize(
    ("likelihood", "cdf"),
    [("bernoulli", _continuous_bernoulli), ("gaussian", _normal), ("logistic", _logistic)],
)
@COUNTS
def test_a_probability_is_the_integral_over_the_values_interval(likelihood: str, cdf: Any, count: int) -> None:
    law, step = LIKELIHOODS[likelihood](count), 2 / (count - 1)
    if isinstance(law, Gaussian):
        lowest = math.log(step / 2)
        nn.init.constant_(law.free_log_sigma, lowest + math.log(math.expm1(math.log(0.3) - lowest)))
    if isinstance(law, Logistic):
        nn.init.constant_(law.log_scale, math.log(0.3))
    outputs = torch.tensor([-3.0, -0.7, 0.2, 2.0])
    edges = torch.arange(count + 1, dtype=torch.float64) * step - 1 - step / 2
    below = cdf(outputs.double(), edges)
    if likelihood != "bernoulli":  # its density has no tails beyond the pixels' range
        below[:, 0], below[:, -1] = 0, 1
    torch.testing.assert_close(_all_masses(law, outputs), below.diff(), rtol=1e-3, atol=1e-7 * step / STEP)


@pytest.mark.parametrize("output", [20.0, 0.0])  # at the other end of the range, and in its middle
def test_far_tails_keep_their_logarithm(output: float) -> None:
    outputs, levels = torch.tensor([-output, output]), torch.tensor([200.0, 55.0])
    with torch.no_grad():
        for likelihood in (Gaussian(), Logistic()):
            for parameter in likelihood.parameters():
                parameter.fill_(-6.0)
            far = likelihood.log_mass(outputs, levels)
            assert far.isfinite().all()
            assert (far < -90).all()
            torch.testing.assert_close(far[0], far[1], rtol=1e-3, atol=0)


def test_the_losses_are_what_their_papers_say() -> None:
    images, outputs = _images(3), torch.randn(3, 1, 8, 8, generator=_generator(5)) * 2
    with torch.no_grad():
        bernoulli = LIKELIHOODS["bernoulli"]().loss(outputs, images)
        grey = (images + 1) / 2
        entropy = -(grey * outputs.sigmoid().log() + (1 - grey) * (1 - outputs.sigmoid()).log())
        torch.testing.assert_close(bernoulli, entropy.flatten(1).sum(1))

        gaussian = Gaussian()
        density = Normal(outputs.tanh(), gaussian.log_sigma().exp()).log_prob(images) + math.log(STEP)
        torch.testing.assert_close(gaussian.loss(outputs, images), -density.flatten(1).sum(1))

        logistic = Logistic()
        masses = logistic.log_mass(outputs, ((images + 1) * 127.5).round())
        torch.testing.assert_close(logistic.loss(outputs, images), -masses.flatten(1).sum(1), rtol=1e-5, atol=1e-3)


@NAMES
def test_the_loss_of_an_image_does_not_depend_on_the_others(likelihood: str) -> None:
    images, outputs, law = _images(3), torch.randn(3, 1, 8, 8, generator=_generator(5)), LIKELIHOODS[likelihood]()
    with torch.no_grad():
        torch.testing.assert_close(law.loss(outputs[:1], images[:1]), law.loss(outputs, images)[:1])


def test_the_logistics_image_is_its_mean() -> None:
    outputs = torch.tensor([-20.0, -0.9, -0.3, 0.0, 0.4, 1.0, 20.0])
    likelihood = Logistic()
    mean = _all_masses(likelihood, outputs) @ (torch.arange(256, dtype=torch.float64) * STEP - 1)
    with torch.no_grad():
        torch.testing.assert_close(likelihood.image(outputs).double(), mean, rtol=0, atol=1e-4)


def test_rounding_takes_no_image_of_a_narrow_logistic_out_of_range() -> None:
    likelihood = Logistic()
    with torch.no_grad():
        likelihood.log_scale.fill_(-8.0)
        images = likelihood.image(torch.linspace(-3, 3, 2001))
    assert (images.min(), images.max()) == (-1, 1)


def test_sigma_stays_above_half_a_step() -> None:
    likelihood = Gaussian()
    with torch.no_grad():
        likelihood.free_log_sigma.fill_(-100.0)
        torch.testing.assert_close(likelihood.log_sigma().exp(), torch.tensor(STEP / 2))
        likelihood.free_log_sigma.fill_(0.0)
        torch.testing.assert_close(likelihood.log_sigma().exp(), torch.tensor(1.0), rtol=1e-2, atol=0)


# The bound


def test_the_divergence_is_that_of_torch_distributions() -> None:
    mean, log_variance = torch.randn(2, 5, 3, generator=_generator()).unbind()
    posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1)
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


class _Linear(nn.Module):
    """Decodes to atanh(directions z): with the Gaussian likelihood, x = directions z + sigma noise."""

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        self.directions = directions

    def forward(self, codes: Tensor) -> Tensor:
        return torch.atanh(codes @ self.directions.T)[:, None, None]


@torch.no_grad()
def test_with_the_exact_posterior_every_weight_is_the_likelihood() -> None:
    sigma, likelihood = 0.2, Gaussian()
    lowest = math.log(STEP / 2)
    likelihood.free_log_sigma.fill_(lowest + math.log(math.expm1(math.log(sigma) - lowest)))
    # Orthogonal directions, so that the codes are independent given the image, as the posterior assumes.
    directions = torch.linalg.qr(torch.randn(6, 2, generator=_generator()))[0] * 0.2
    levels = torch.randint(118, 138, (4, 1, 1, 6), generator=_generator(1)).float()
    pixels = levels.flatten(1) * STEP - 1
    variance = 1 / (1 + directions.square().sum(0) / sigma**2)
    mean, log_variance = variance * (pixels @ directions) / sigma**2, variance.log().expand(4, 2)

    covariance = directions @ directions.T + sigma**2 * torch.eye(6)
    marginal = torch.distributions.MultivariateNormal(torch.zeros(6), covariance)
    exact = marginal.log_prob(pixels) + 6 * math.log(STEP)
    for seed in range(5):
        noise = torch.randn(4, 2, generator=_generator(seed))
        found = log_weights(likelihood, _Linear(directions), levels, mean, log_variance, noise)
        torch.testing.assert_close(found, exact, rtol=0, atol=2e-3)
    # Any other posterior's bound is lower by its divergence from this one.
    noise = torch.randn(20_000, 2, generator=_generator())
    many = [tensor[:1].expand(20_000, *tensor.shape[1:]) for tensor in (levels, mean, log_variance)]
    elbo = log_weights(likelihood, _Linear(directions), many[0], many[1] + 0.3, many[2], noise).mean()
    gap = (0.5 * 0.3**2 / variance).sum()
    torch.testing.assert_close(exact[0] - elbo, gap, rtol=0.1, atol=0)


@NAMES
@torch.no_grad()
def test_log_likelihood_bounds_the_integral_over_codes(likelihood: str) -> None:
    model = _build(mlp, latent=1, likelihood=likelihood)
    with torch.enable_grad():
        for _ in range(60):
            mlp.train_step(model=model, batch=_blobs(64))
    model.networks.eval()
    images = _blobs(4)
    levels = (images + 1) * 127.5
    grid = torch.linspace(-6, 6, 4001)[:, None]
    law = cast(Objective, model.networks["objective"]).likelihood
    outputs = model.networks["decoder"](grid)
    given = torch.stack([law.log_mass(outputs, image.expand_as(outputs)).flatten(1).sum(1) for image in levels], 1)
    exact = (given.double() + Normal(0.0, 1.0).log_prob(grid).double()).logsumexp(0) + math.log(12 / 4000)

    bounds = []
    for draws in (1, 500):
        objective = cast(Objective, model.networks["objective"])
        objective.importance_samples = draws
        repeats = 300 if draws == 1 else 1
        runs = [mlp.log_likelihood(model=model, batch=images, generator=_generator(i)) for i in range(repeats)]
        bounds.append(torch.stack(runs).double().mean(0))
    elbo, tight = bounds
    assert (elbo < exact + 0.05).all()  # leaves room for the error of the mean over draws
    torch.testing.assert_close(tight, exact, rtol=0, atol=0.2)


@MODELS
@SHAPES
@NAMES
@torch.no_grad()
def test_log_likelihoods_depend_on_the_given_generator_alone(
    module: ModuleType, shape: tuple[int, ...], likelihood: str
) -> None:
    model = _build(module, shape, likelihood=likelihood, importance_samples=2)
    model.networks.eval()
    images = _images(3, shape)
    first = module.log_likelihood(model=model, batch=images, generator=_generator())
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(first, module.log_likelihood(model=model, batch=images, generator=_generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, module.log_likelihood(model=model, batch=images, generator=_generator(1)))
    assert first.shape == (3,)
    bits = -first / math.log(2) / math.prod(shape)
    assert ((bits > 6) & (bits < 20)).all()  # noise costs at least 8


@pytest.mark.parametrize("module", [mlp, conv], ids=["vae", "conv-vae"])
def test_without_options_the_bound_is_the_plain_one_from_one_code(module: ModuleType) -> None:
    objective = module.build(torch.Size((1, 8, 8)), CPU, 256).networks["objective"]
    assert (objective.beta, objective.importance_samples) == (1.0, 1)
