"""`ae` and `conv-ae`: the hooks, the options, and the densities over codes."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest
import torch
from genbench_ae import conv, mlp
from genbench_ae.assembly import Masking
from genbench_ae.density import CodeDensity
from genbench_ae.mixture import fit_mixture, jitter, responsibilities
from torch import Tensor

from genbench import Data, Model, Unsuitable

CPU = torch.device("cpu")
MODELS = pytest.mark.parametrize("module", [mlp, conv], ids=["ae", "conv-ae"])
SHAPES = pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)], ids=str)
DENSITIES = pytest.mark.parametrize("density", ["gaussian", "mixture"])


def _build(module: ModuleType, shape: tuple[int, ...] = (1, 8, 8), **options: Any) -> Model:
    torch.manual_seed(0)
    model: Model = module.build_model(data=Data("image", torch.Size(shape), 64), options=options, device=CPU)
    return model


def _images(count: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 1) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _fit(module: ModuleType, model: Model, images: Tensor) -> None:
    model.networks.eval()
    with torch.no_grad():
        module.before_sampling(model=model, batches=[(batch, None) for batch in images.split(16)])


def _blobs(counts: list[int], centres: Tensor, factors: Tensor) -> Tensor:
    """Codes (sum of counts, D) float64 from Gaussians of these centres (K, D) and Cholesky factors (K, D, D)."""
    generator = _generator(3)
    noises = [torch.randn(count, centres.shape[1], dtype=torch.float64, generator=generator) for count in counts]
    return torch.cat([c + noise @ f.T for noise, c, f in zip(noises, centres, factors, strict=True)])


@MODELS
@SHAPES
def test_a_step_moves_every_parameter_and_returns_its_loss(module: ModuleType, shape: tuple[int, ...]) -> None:
    model = _build(module, shape)
    before = [parameter.clone() for parameter in model.networks.parameters()]
    losses = module.train_step(model=model, batch=_images(4, shape))
    assert list(losses) == ["reconstruction"]
    assert losses["reconstruction"].shape == ()
    assert losses["reconstruction"].isfinite()
    assert not losses["reconstruction"].requires_grad
    assert all(not torch.equal(old, new) for old, new in zip(before, model.networks.parameters(), strict=True))


@MODELS
@SHAPES
@DENSITIES
@torch.no_grad()
def test_samples_depend_on_the_given_generator_alone(module: ModuleType, shape: tuple[int, ...], density: str) -> None:
    model = _build(module, shape, density=density, components=3)
    _fit(module, model, _images(40, shape))
    first = module.sample(model=model, count=5, generator=_generator())
    torch.manual_seed(99)
    state = torch.get_rng_state()
    second = module.sample(model=model, count=5, generator=_generator())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, second)
    assert first.shape == (5, *shape)
    assert first.dtype == torch.float32
    assert first.abs().max() <= 1
    assert not torch.equal(first, module.sample(model=model, count=5, generator=_generator(1)))


@MODELS
@SHAPES
@pytest.mark.parametrize("bottleneck", [2, 32])
@torch.no_grad()
def test_reconstructions_decode_the_codes(module: ModuleType, shape: tuple[int, ...], bottleneck: int) -> None:
    model = _build(module, shape, bottleneck=bottleneck)
    model.networks.eval()
    images = _images(3, shape)
    codes = module.encode(model=model, batch=images)
    assert codes.shape == (3, bottleneck)
    restored = module.reconstruct(model=model, batch=images)
    assert restored.shape == images.shape
    assert torch.equal(restored, model.networks["decoder"](codes))


@MODELS
@DENSITIES
def test_fitting_the_density_again_changes_nothing(module: ModuleType, density: str) -> None:
    model = _build(module, density=density, components=3)
    images = _images(50)
    untouched = {name: tensor.clone() for name, tensor in model.networks["density"].state_dict().items()}
    parameters = [parameter.clone() for parameter in model.networks.parameters()]
    state = torch.get_rng_state()
    _fit(module, model, images)
    once = {name: tensor.clone() for name, tensor in model.networks["density"].state_dict().items()}
    _fit(module, model, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, parameters, model.networks.parameters()))
    for name, tensor in model.networks["density"].state_dict().items():
        assert torch.equal(tensor, once[name])
    assert not torch.equal(once["factors"], untouched["factors"])


@DENSITIES
def test_before_any_fit_codes_are_standard_normal(density: str) -> None:
    model = _build(mlp, density=density, bottleneck=3)
    codes = model.networks["density"].sample(20_000, _generator())  # type: ignore[operator]
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(codes.T), torch.eye(3), atol=0.04, rtol=0)


@MODELS
def test_the_gaussian_has_the_mean_and_covariance_of_the_training_codes(module: ModuleType) -> None:
    model = _build(module, bottleneck=4)
    images = _images(200)
    _fit(module, model, images)
    codes = module.encode(model=model, batch=images).detach()
    density = model.networks["density"]
    mean, factor = density.means[0], density.factors[0]  # type: ignore[index]
    torch.testing.assert_close(mean, codes.mean(0))
    torch.testing.assert_close(factor @ factor.T, torch.cov(codes.T, correction=0), rtol=1e-4, atol=1e-7)
    drawn = density.sample(100_000, _generator())  # type: ignore[operator]
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.01 * float(codes.std()), rtol=0.01)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(codes.T), atol=0.02 * float(codes.var()), rtol=0.03)


def test_the_mixture_recovers_a_known_one() -> None:
    centres = torch.tensor([[-4.0, 0.0], [4.0, 1.0], [0.0, 6.0]], dtype=torch.float64)
    factors = torch.tensor(
        [[[1.0, 0.0], [0.5, 0.4]], [[0.3, 0.0], [-0.2, 1.0]], [[0.8, 0.0], [0.0, 0.8]]], dtype=torch.float64
    )
    density = CodeDensity(bottleneck=2, components=3)
    density.fit(_blobs([5000, 3000, 2000], centres, factors))
    order = density.weights.argsort(descending=True)
    torch.testing.assert_close(density.weights[order], torch.tensor([0.5, 0.3, 0.2]), atol=0.01, rtol=0)
    torch.testing.assert_close(density.means[order], centres.float(), atol=0.06, rtol=0)
    torch.testing.assert_close(density.factors[order], factors.float(), atol=0.06, rtol=0)
    drawn = density.sample(30_000, _generator())
    nearest = torch.cdist(drawn, centres.float()).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", ["overlapping", "rank-deficient"])
def test_expectation_maximisation_never_loses_likelihood(kind: str) -> None:
    codes = torch.randn(300, 6, dtype=torch.float64, generator=_generator()).abs()
    if kind == "rank-deficient":
        codes[:, 3:] = codes[:, :3]
    _, history = fit_mixture(codes, 5, tolerance=-math.inf)
    gains = torch.tensor(history).diff()
    assert len(history) == 100
    assert gains.min() > -1e-9
    assert history[-1] > history[0] + 0.1


def test_the_objective_is_the_log_likelihood_but_for_the_jitter() -> None:
    codes = torch.randn(50, 3, dtype=torch.float64, generator=_generator())
    mixture, _ = fit_mixture(codes, 2)
    shares, objective = responsibilities(codes, mixture, jitter(codes))
    components = torch.distributions.MultivariateNormal(mixture.means, scale_tril=mixture.factors)
    joint = components.log_prob(codes[:, None]) + mixture.weights.log()
    torch.testing.assert_close(objective, float(joint.logsumexp(1).mean()), atol=1e-4, rtol=0)
    torch.testing.assert_close(shares, joint.softmax(1), atol=1e-4, rtol=0)


@DENSITIES
@pytest.mark.parametrize(
    ("count", "varying"), [(200, 2), (3, 8), (1, 8), (50, 0)], ids=["rank 2", "3 codes", "1 code", "constant"]
)
def test_degenerate_codes_give_finite_samples_near_them(density: str, count: int, varying: int) -> None:
    codes = torch.full((count, 8), 0.5)
    codes[:, :varying] = torch.randn(count, varying, generator=_generator())
    fitted = CodeDensity(bottleneck=8, components=10 if density == "mixture" else 1)
    fitted.fit(codes)
    assert all(tensor.isfinite().all() for tensor in fitted.state_dict().values())
    torch.testing.assert_close(fitted.weights.sum(), torch.tensor(1.0))
    drawn = fitted.sample(100, _generator())
    torch.testing.assert_close(drawn[:, varying:], torch.full((100, 8 - varying), 0.5), atol=0.02, rtol=0)
    assert drawn.abs().max() < 10


def test_codes_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the codes of the training images are not finite: training has diverged$"):
        CodeDensity(bottleneck=2, components=1).fit(torch.tensor([[0.0, math.nan]]))


@MODELS
def test_denoising_corrupts_training_and_nothing_else(module: ModuleType) -> None:
    plain, denoising = _build(module), _build(module, denoising=0.5)
    images = _images(8)
    plain.networks.eval()
    denoising.networks.eval()
    assert torch.equal(module.reconstruct(model=plain, batch=images), module.reconstruct(model=denoising, batch=images))
    plain.networks.train()
    denoising.networks.train()
    losses = [module.train_step(model=model, batch=images)["reconstruction"] for model in (plain, denoising)]
    assert losses[0] != losses[1]


def test_masking_blackens_that_share_of_the_values_and_leaves_the_rest() -> None:
    images = _images(100)
    masked = Masking(0.3)(images)
    blackened = masked == -1
    assert float(blackened.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(masked[~blackened], images[~blackened])


@MODELS
def test_a_seed_decides_every_step(module: ModuleType) -> None:
    runs = []
    for _ in range(2):
        model = _build(module, denoising=0.2)
        runs.append([module.train_step(model=model, batch=_images(8))["reconstruction"] for _ in range(5)])
    assert runs[0] == runs[1]


@MODELS
def test_it_overfits_a_tiny_batch(module: ModuleType) -> None:
    model = _build(module)
    images = _images(4)
    first = module.train_step(model=model, batch=images)["reconstruction"]
    for _ in range(150):
        last = module.train_step(model=model, batch=images)["reconstruction"]
    assert last < 0.02 * first


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (28, 28), (17, 64), (128, 128)], ids=str)
@torch.no_grad()
def test_conv_ae_restores_any_size(size: tuple[int, int]) -> None:
    model = _build(conv, (2, *size), channels=4)
    assert conv.reconstruct(model=model, batch=_images(2, (2, *size))).shape == (2, 2, *size)


@MODELS
def test_an_unknown_option_is_a_type_error(module: ModuleType) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'bottelneck'"):
        _build(module, bottelneck=3)


@MODELS
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bottleneck": 0}, "bottleneck must be at least 1, not 0"),
        ({"denoising": 1.0}, "denoising must be in [0, 1), not 1.0"),
        ({"density": "flow"}, "density must be 'gaussian' or 'mixture', not 'flow'"),
        ({"components": 0}, "components must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, not 0.0"),
    ],
)
def test_a_value_out_of_its_domain_is_named(module: ModuleType, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared below
        _build(module, **options)
    assert str(caught.value) == message


@MODELS
def test_texts_do_not_suit(module: ModuleType) -> None:
    with pytest.raises(Unsuitable, match=r"^takes (no texts: their tokens are symbols|images only)"):
        module.build_model(data=Data("text", torch.Size((12,)), 64, levels=27), options={}, device=CPU)


@pytest.mark.parametrize("size", [(4, 8), (8, 129)])
def test_conv_ae_says_which_sizes_suit_it(size: tuple[int, int]) -> None:
    with pytest.raises(Unsuitable, match=f"^takes images whose sides are 8 to 128, not {size[0]} x {size[1]}$"):
        _build(conv, (1, *size))


@pytest.mark.parametrize(
    ("module", "shape", "options", "message"),
    [
        (mlp, (1, 8, 8), {"hidden": 0}, "hidden must be at least 1, not 0"),
        (mlp, (1, 8, 8), {"layers": 0}, "layers must be at least 1, not 0"),
        (conv, (1, 8, 8), {"channels": 0}, "channels must be at least 1, not 0"),
    ],
)
def test_each_model_checks_its_own_options(
    module: ModuleType, shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared below
        _build(module, shape, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("module", [mlp, conv], ids=["ae", "conv-ae"])
@pytest.mark.parametrize("shape", [(1, 64), (2, 129), (1, 2003)], ids=str)
def test_clips_of_any_length_are_trained_on_and_restored(module: ModuleType, shape: tuple[int, ...]) -> None:
    data = Data("audio", torch.Size(shape), 64, levels=65_536, sample_rate=8000)
    model = module.build_model(data=data, options={"bottleneck": 3, "denoising": 0.5}, device=CPU)
    batch = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0)) + 0.5
    assert module.train_step(model=model, batch=batch)["reconstruction"].isfinite()
    with torch.no_grad():
        assert module.reconstruct(model=model, batch=batch).shape == batch.shape
        assert module.sample(model=model, count=2, generator=torch.Generator().manual_seed(0)).shape == (2, *shape)
        corrupted = model.networks["corruption"](batch)
    assert set((corrupted / batch).unique().tolist()) == {0.0, 1.0}  # silence, not black as in images


@pytest.mark.parametrize("length", [63, 131_073])
def test_clips_of_other_lengths_do_not_suit_conv_ae(length: int) -> None:
    with pytest.raises(Unsuitable, match=f"^takes clips whose lengths are 64 to 131072, not {length}$"):
        conv.build_model(data=Data("audio", torch.Size((1, length)), 64, levels=65_536), options={}, device=CPU)
