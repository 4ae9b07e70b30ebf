"""`pythae`: the library's names and options, training of each kind of model, and sampling."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import Data, Model
from genbench.contract import contract_tests

pytest.importorskip("pythae", reason="pythae is not installed; `make adapters` installs it and runs these tests")
model_module: ModuleType = pytest.importorskip(
    "genbench_pythae.model", reason="genbench-pythae is not installed; see `make adapters`"
)
catalogue: ModuleType = pytest.importorskip("genbench_pythae.catalogue")

CPU = torch.device("cpu")
SUPPORTED = sorted(set(catalogue.AUTOENCODERS) - set(catalogue.REFUSED))
WARNS = {"SVAE": "ignore:To copy construct:UserWarning"}  # raised by pythae's own code

test_contract = contract_tests("pythae:latent_dim=4", shapes=[(1, 8, 8)])
test_contract_of_an_adversarial_one = contract_tests("pythae:model=Adversarial_AE,latent_dim=4", shapes=[(3, 9, 7)])
test_contract_of_one_without_a_prior = contract_tests("pythae:model=RAE_L2,density=mixture", shapes=[(1, 8, 8)])


def _build(name: str = "VAE", shape: tuple[int, ...] = (1, 8, 8), **options: Any) -> Model:
    torch.manual_seed(0)
    options = {"model": name, "latent_dim": 4, **options}
    built: Model = model_module.build_model(data=Data("image", torch.Size(shape), 64), options=options, device=CPU)
    return built


def _images(count: int = 8, shape: tuple[int, ...] = (1, 8, 8)) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.filterwarnings(WARNS.get(name, "error"))) for name in SUPPORTED]
)
def test_each_model_of_pythae_trains_samples_and_reconstructs(name: str) -> None:
    model, images = _build(name), _images()
    before = {key: value.clone() for key, value in model.networks.named_parameters() if value.requires_grad}
    for _ in range(3):
        losses = model_module.train_step(model=model, batch=images)
    assert "loss" in losses
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in losses.values())
    moved = dict(model.networks.named_parameters())
    assert [key for key, value in before.items() if torch.equal(value, moved[key])] == []
    model.networks.eval()
    with torch.no_grad():
        model_module.before_sampling(model=model, batches=[(images, None)])
        torch.manual_seed(1)
        drawn = model_module.sample(model=model, count=5, generator=_generator())
        torch.manual_seed(2)
        assert torch.equal(drawn, model_module.sample(model=model, count=5, generator=_generator()))
        assert not torch.equal(drawn, model_module.sample(model=model, count=5, generator=_generator(1)))
        restored = model_module.reconstruct(model=model, batch=images)
        assert model_module.encode(model=model, batch=images).shape == (8, 4)
    assert drawn.shape == (5, 1, 8, 8)
    assert restored.shape == images.shape
    assert max(float(drawn.abs().max()), float(restored.abs().max())) <= 1


def test_the_names_are_those_of_pythae() -> None:
    assert {"VAE", "BetaVAE", "WAE_MMD", "VAEGAN"} <= set(SUPPORTED)
    assert "BaseAE" not in catalogue.AUTOENCODERS
    assert "AutoModel" not in catalogue.AUTOENCODERS


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("VEA", {}, "pythae has no model 'VEA'; did you mean VAE?"),
        ("BetaVAE", {"bta": 4}, "pythae's BetaVAE has no option 'bta'; did you mean beta?"),
        ("AE", {"zzz": 4}, "pythae's AE has no option 'zzz'; it has latent_dim"),
        ("VAE", {"input_dim": 4}, "pythae's VAE has no option 'input_dim'"),
        ("BetaVAE", {"beta": "much"}, "beta of pythae's BetaVAE cannot be 'much': Input should be a valid number"),
        ("VAE", {"reconstruction_loss": "l1"}, "reconstruction_loss of pythae's VAE cannot be 'l1': Input should be"),
        ("VAEGAN", {"adversarial_loss_scale": 2.0}, "pythae's VAEGAN: adversarial_loss_scale must be in [0, 1]"),
        ("RHVAE", {}, "pythae's RHVAE is not supported: it keeps its metric outside its state_dict"),
        ("VQVAE", {}, "pythae's VQVAE is not supported: its codes are discrete"),
        ("VAE", {"latent_dim": 1}, "latent_dim must be at least 2, not 1"),
        ("AE", {"components": 0}, "components must be at least 1, not 0"),
        ("VAE", {"learning_rate": 0.0}, "learning_rate must be above 0, not 0.0"),
    ],
)
def test_invalid_names_and_options_are_refused_in_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        _build(name, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_options_reach_the_configuration_of_pythae() -> None:
    network: Any = _build("BetaVAE", beta=4, reconstruction_loss="bce").networks["autoencoder"]
    assert network.model_config.beta == 4.0
    assert network.model_config.reconstruction_loss == "bce"
    assert network.model_config.latent_dim == 4


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("VAE", ["autoencoder"]),
        ("RAE_L2", ["encoder", "decoder"]),
        ("FactorVAE", ["autoencoder", "discriminator"]),
        ("VAEGAN", ["encoder", "decoder", "discriminator"]),
    ],
)
def test_each_loss_has_an_optimizer_of_its_own(name: str, roles: list[str]) -> None:
    model = _build(name)
    assert list(model.optimizers) == roles
    held = [p for optimizer in model.optimizers.values() for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.networks.parameters() if p.requires_grad}
    assert len(held) == len({id(p) for p in held})


def test_a_network_gets_the_gradient_of_its_own_loss_alone() -> None:
    model, images = _build("VAEGAN"), _images()
    network: Any = model.networks["autoencoder"]
    torch.manual_seed(3)
    output = network({"data": (images + 1) / 2})
    own = torch.autograd.grad(output["decoder_loss"], list(network.decoder.parameters()))
    torch.manual_seed(3)
    model_module.train_step(model=model, batch=images)
    for expected, parameter in zip(own, network.decoder.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected)


def test_an_ae_is_sampled_from_the_density_of_its_codes() -> None:
    model, images = _build("AE"), _images(64)
    model.networks.eval()
    with torch.no_grad():
        model_module.before_sampling(model=model, batches=[(images[:32], None), (images[32:], None)])
        codes = model_module.encode(model=model, batch=images)
    density: Any = model.networks["density"]
    torch.testing.assert_close(density.means[0], codes.mean(0))
    before = density.means.clone()
    other = _build("VAE")
    model_module.before_sampling(model=other, batches=[(images, None)])  # a VAE has a prior, so nothing is fitted
    assert torch.equal(other.networks["density"].means, torch.zeros_like(before))


def test_vamp_draws_from_the_posteriors_of_its_pseudo_inputs() -> None:
    network: Any = _build("VAMP", number_components=3).networks["autoencoder"]
    with torch.no_grad():
        network.encoder.log_var.weight.zero_()
        network.encoder.log_var.bias.fill_(-40)  # zero-width posteriors: each draw is one of the three means
        posterior = network.encoder(network.pseudo_inputs(network.idle_input))
        density = _build("VAMP").networks["density"]
        drawn = model_module.codes.draw(network, density, 200, _generator())
    distances = torch.cdist(drawn, posterior.embedding)
    assert float(distances.min(1).values.max()) < 1e-4
    assert torch.bincount(distances.argmin(1), minlength=3).min() > 40


@pytest.mark.filterwarnings(WARNS["SVAE"])
def test_codes_of_the_sphere_lie_on_it() -> None:
    model = _build("SVAE")
    drawn = model_module.codes.draw(model.networks["autoencoder"], model.networks["density"], 100, _generator())
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(100))


def test_codes_of_the_ball_lie_within_it() -> None:
    model = _build("PoincareVAE", curvature=4.0)  # a ball of radius 1 / 2
    drawn = model_module.codes.draw(model.networks["autoencoder"], model.networks["density"], 100, _generator())
    norms = drawn.detach().norm(dim=1)
    assert norms.max() < 0.5
    assert norms.std() > 0.01


def test_an_autoencoder_learns_a_small_batch() -> None:
    model, images = _build("AE"), _images(4)
    first = model_module.train_step(model=model, batch=images)["loss"]
    for _ in range(150):
        last = model_module.train_step(model=model, batch=images)["loss"]
    assert last < 0.1 * first
