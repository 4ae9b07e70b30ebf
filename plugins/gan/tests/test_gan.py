"""Both models: build, step and sample; architectures layer by layer; closed forms of the losses; options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
import torch
from genbench_gan import dcgan, mlp
from genbench_gan.average import Average
from genbench_gan.losses import discriminator_loss, generator_loss
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable

CPU = torch.device("cpu")
BOTH = pytest.mark.parametrize("module", [mlp, dcgan], ids=["gan", "dcgan"])
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)]
SHAPE = (1, 8, 8)
BATCH = 8
LEARNING_RATE = 2e-4
# The widths do not matter to these tests; small ones keep them fast.
NARROW: dict[ModuleType, dict[str, Any]] = {mlp: {}, dcgan: {"channels": 16}}


def build(module: ModuleType, shape: Sequence[int] = SHAPE, *, seed: int = 0, **options: Any) -> Model:
    torch.manual_seed(seed)
    options = {**NARROW[module], **options}
    model: Model = module.build_model(data=Data("image", torch.Size(shape), 64), options=options, device=CPU)
    return model


def train(
    module: ModuleType, model: Model, steps: int, shape: Sequence[int] = SHAPE, seed: int = 1
) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    model.networks.train()
    losses: dict[str, Tensor] = {}
    for _ in range(steps):
        losses = module.train_step(model=model, batch=torch.rand(BATCH, *shape) * 2 - 1)
    return losses


def sample(module: ModuleType, model: Model, count: int = 5, seed: int = 2) -> Tensor:
    model.networks.eval()
    with torch.no_grad():
        images: Tensor = module.sample(model=model, count=count, generator=torch.Generator().manual_seed(seed))
    return images


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@BOTH
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_a_step_trains_both_networks_and_sampling_gives_images(module: ModuleType, shape: tuple[int, ...]) -> None:
    model = build(module, shape)
    before = {name: copied(network) for name, network in model.networks.items()}

    losses = train(module, model, 2, shape)

    assert set(losses) == {"generator", "discriminator"}
    for loss in losses.values():
        assert loss.shape == ()
        assert not loss.requires_grad
        assert torch.isfinite(loss)
    for name, network in model.networks.items():
        still = [key for key, value in network.named_parameters() if torch.equal(value, before[name][key])]
        assert not still
    images = sample(module, model)
    assert images.shape == (5, *shape)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    assert images.std(dim=0).max() > 0


@BOTH
def test_a_step_leaves_no_gradients_behind(module: ModuleType) -> None:
    model = build(module)

    train(module, model, 1)

    assert all(parameter.grad is None for parameter in model.networks.parameters())


@BOTH
def test_samples_come_from_the_given_generator_alone(module: ModuleType) -> None:
    model = build(module)
    train(module, model, 2)

    torch.manual_seed(3)
    first = sample(module, model)
    state = torch.random.get_rng_state()
    torch.manual_seed(4)
    again = sample(module, model)

    assert torch.equal(first, again)
    assert not torch.equal(first, sample(module, model, seed=5))
    torch.manual_seed(3)
    assert torch.equal(torch.random.get_rng_state(), state)


@BOTH
def test_a_sample_does_not_depend_on_the_others_drawn_with_it(module: ModuleType) -> None:
    model = build(module)
    train(module, model, 2)
    model.networks.eval()
    latents = torch.randn(7, 100)

    torch.testing.assert_close(model.networks["average"](latents[:3]), model.networks["average"](latents)[:3])


@BOTH
def test_one_seed_gives_one_training(module: ModuleType) -> None:
    def trained(seed: int) -> Tensor:
        model = build(module, seed=seed)
        train(module, model, 3, seed=seed)
        return sample(module, model)

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))


@BOTH
def test_training_goes_on_bit_for_bit_from_a_saved_state(module: ModuleType) -> None:
    unbroken, broken, resumed = build(module), build(module), build(module, seed=9)
    for model in (unbroken, broken):
        train(module, model, 2)
    resumed.load_state_dict(broken.state_dict())

    for model in (unbroken, resumed):
        train(module, model, 2, seed=7)

    for key, value in unbroken.networks.state_dict().items():
        assert torch.equal(value, resumed.networks.state_dict()[key]), key


@BOTH
def test_a_step_is_the_alternating_game_on_one_set_of_samples(module: ModuleType) -> None:
    """Both networks end a step with the same weights as in the game written out plainly."""
    options: dict[str, Any] = {"learning_rate": LEARNING_RATE}
    if module is mlp:
        options["dropout"] = 0.0  # the two would draw different masks
    ours, plain = build(module, **options), build(module, **options)
    train(module, ours, 1)

    torch.manual_seed(1)
    plain.networks.train()
    images, generator, discriminator = torch.rand(BATCH, *SHAPE) * 2 - 1, *list(plain.networks.values())[:2]
    samples = generator(torch.randn(BATCH, 100))
    told_apart = -discriminator(images).sigmoid().log() - (1 - discriminator(samples.detach()).sigmoid()).log()
    step_adam(discriminator, told_apart.mean())
    step_adam(generator, -discriminator(samples).sigmoid().log().mean())

    for name in ("generator", "discriminator"):
        for key, value in plain.networks[name].named_parameters():
            apart = (ours.networks[name].get_parameter(key) - value).abs() > LEARNING_RATE / 10
            # Adam's first step follows the gradient's sign, which rounding decides where the gradient is close to 0.
            assert apart.double().mean() < 1e-3, key


def step_adam(network: nn.Module, loss: Tensor) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.999), foreach=False, fused=False)
    network.zero_grad()
    loss.backward()
    optimizer.step()


def linear_sizes(network: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.children()]


def test_gan_has_the_layers_of_its_description() -> None:
    networks = build(mlp, (3, 4, 5)).networks

    assert linear_sizes(networks["generator"]) == [(100, 256), (256, 512), (512, 1024), (1024, 60)]
    assert kinds(networks["generator"]) == ["Linear", "BatchNorm1d", "ReLU"] * 3 + ["Linear", "Tanh", "Unflatten"]
    assert linear_sizes(networks["discriminator"]) == [(60, 1024), (1024, 512), (512, 256), (256, 1)]
    assert kinds(networks["discriminator"]) == ["Flatten", *["Linear", "LeakyReLU", "Dropout"] * 3, "Linear"]
    assert {layer.p for layer in networks["discriminator"].modules() if isinstance(layer, nn.Dropout)} == {0.3}
    assert slopes(networks["discriminator"]) == {0.2}


def slopes(network: nn.Module) -> set[float]:
    return {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)}


def test_gan_without_norm_is_the_plain_net() -> None:
    generator = build(mlp, generator_norm="none").networks["generator"]

    assert kinds(generator) == ["Linear", "ReLU"] * 3 + ["Linear", "Tanh", "Unflatten"]
    assert all(layer.bias is not None for layer in generator.modules() if isinstance(layer, nn.Linear))


def test_gan_starts_with_contrast() -> None:
    """Before the first step, the pixels already spread over tanh's range, as an image's do, instead of all grey."""
    model = build(mlp, (1, 28, 28))
    with torch.no_grad():
        images = model.networks["generator"](torch.randn(64, 100))

    assert images.std() > 0.6


def convolutions(network: nn.Module) -> list[tuple[int, int]]:
    return [
        (layer.in_channels, layer.out_channels)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def test_dcgan_at_64_pixels_and_128_channels_is_the_network_of_the_paper() -> None:
    networks = build(dcgan, (3, 64, 64), channels=128).networks

    assert linear_sizes(networks["generator"]) == [(100, 4 * 4 * 1024)]
    assert convolutions(networks["generator"]) == [(1024, 512), (512, 256), (256, 128), (128, 3)]
    assert kinds(networks["generator"]) == (
        ["Linear", "Unflatten", "BatchNorm2d", "ReLU"]
        + ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 3
        + ["ConvTranspose2d", "Tanh"]
    )
    assert convolutions(networks["discriminator"]) == [(3, 128), (128, 256), (256, 512), (512, 1024)]
    assert kinds(networks["discriminator"]) == (
        ["Conv2d", "LeakyReLU", *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3, "Flatten", "Linear"]
    )
    assert linear_sizes(networks["discriminator"]) == [(4 * 4 * 1024, 1)]
    assert slopes(networks["discriminator"]) == {0.2}


def test_dcgan_starts_from_the_weights_of_the_paper() -> None:
    networks = build(dcgan, (1, 16, 16), channels=32).networks

    for layer in (layer for name in ("generator", "discriminator") for layer in networks[name].modules()):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)
            assert abs(layer.weight.mean().item()) < 0.005
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert not layer.bias.any()


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (13, 8), (27, 31), (100, 37), (8, 128), (127, 127)], ids=str)
def test_dcgan_takes_sizes_that_are_neither_square_nor_powers_of_two(size: tuple[int, int]) -> None:
    shape = (2, *size)
    model = build(dcgan, shape, channels=2)

    train(dcgan, model, 1, shape)

    assert sample(dcgan, model).shape == (5, *shape)


@pytest.mark.parametrize("size", [(7, 7), (7, 28), (28, 129), (1, 2)], ids=str)
def test_dcgan_refuses_other_sizes_in_one_line(size: tuple[int, int]) -> None:
    with pytest.raises(Unsuitable, match=f"^takes images of 8 to 128 pixels a side, got {size[0]}×{size[1]}$"):
        build(dcgan, (1, *size))


@BOTH
def test_texts_do_not_suit(module: ModuleType) -> None:
    with pytest.raises(Unsuitable, match=r"^takes (no texts: their tokens are symbols|images only)"):
        module.build_model(data=Data("text", torch.Size((12,)), 64, levels=27), options={}, device=CPU)


def test_losses_of_a_discriminator_that_cannot_tell_are_multiples_of_ln_2() -> None:
    logits = torch.zeros(6, 1)

    assert discriminator_loss(logits, logits).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(logits).item() == pytest.approx(math.log(2))


def test_losses_are_the_cross_entropies_of_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 50, 1, generator=generator, dtype=torch.float64) * 3

    by_definition = -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()

    torch.testing.assert_close(discriminator_loss(real, fake), by_definition)
    torch.testing.assert_close(generator_loss(fake), -fake.sigmoid().log().mean())


def test_generator_loss_does_not_saturate_where_samples_are_rejected() -> None:
    logits = torch.full((1, 1), -80.0, requires_grad=True)

    generator_loss(logits).backward()

    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1)


@BOTH
def test_samples_are_drawn_with_averaged_weights_and_ema_0_with_the_newest(module: ModuleType) -> None:
    averaged, newest = build(module), build(module, ema=0.0)
    for model in (averaged, newest):
        train(module, model, 3)

    assert "average" not in newest.networks
    assert torch.equal(sample(module, newest), sample_by_hand(newest, "generator"))
    assert torch.equal(sample(module, averaged), sample_by_hand(averaged, "average"))
    assert not torch.equal(sample(module, averaged), sample(module, newest))
    # Averaging does not affect training: the trained weights are the same with and without it.
    assert torch.equal(sample_by_hand(averaged, "generator"), sample_by_hand(newest, "generator"))
    assert averaged.parameter_count() == newest.parameter_count()


def sample_by_hand(model: Model, name: str) -> Tensor:
    with torch.no_grad():
        images: Tensor = model.networks[name](torch.randn(5, 100, generator=torch.Generator().manual_seed(2)))
    return images


def test_an_average_follows_its_recursion() -> None:
    network = nn.BatchNorm1d(1)
    average = Average(network, decay=0.15)
    expected = {"weight": 1.0, "running_mean": 0.0}

    for step, decay in enumerate([1 / 10, 0.15, 0.15]):  # from then on, (1 + t) / (10 + t) exceeds the decay
        with torch.no_grad():
            network.weight.fill_(step + 5.0)
        network.running_mean = torch.tensor([step - 7.0])
        average.update(network)
        expected["weight"] = decay * expected["weight"] + (1 - decay) * (step + 5.0)
        expected["running_mean"] = decay * expected["running_mean"] + (1 - decay) * (step - 7.0)

    state = average.network.state_dict()
    assert {name: state[name].item() for name in expected} == pytest.approx(expected)
    assert not list(average.parameters())


def test_the_updates_of_an_average_are_counted_however_many_they_are() -> None:
    network = nn.BatchNorm1d(1)
    average = Average(network, decay=0.5)
    average.updates.fill_(2**24)  # where float32 can no longer count in ones
    average.update(network)
    assert average.updates.item() == 2**24 + 1


@BOTH
@pytest.mark.parametrize(
    ("option", "value", "domain"),
    [
        ("latent", 0, "at least 1"),
        ("learning_rate", -1.0, "at least 0.0"),
        ("learning_rate", math.inf, "at least 0.0"),
        ("beta1", 1.0, "at least 0.0 and below 1.0"),
        ("ema", math.nan, "at least 0.0 and below 1.0"),
        ("ema", 1, "at least 0.0 and below 1.0"),
    ],
)
def test_a_value_out_of_its_domain_gives_one_line(module: ModuleType, option: str, value: Any, domain: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be {domain}, got {value}$"):
        build(module, **{option: value})


@pytest.mark.parametrize(
    ("module", "option", "value", "message"),
    [
        (mlp, "dropout", 1.0, "dropout must be at least 0.0 and below 1.0, got 1.0"),
        (mlp, "generator_norm", "layer", "generator_norm must be 'batch' or 'none', got 'layer'"),
        (dcgan, "channels", 0, "channels must be at least 1, got 0"),
    ],
)
def test_a_value_that_one_model_takes_is_checked(module: ModuleType, option: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        build(module, **{option: value})


@BOTH
def test_options_reach_the_networks_and_the_optimizers(module: ModuleType) -> None:
    model = build(module, latent=7, learning_rate=0.003, beta1=0.25)

    assert linear_sizes(model.networks["generator"])[0][0] == 7
    assert sample(module, model).shape == (5, *SHAPE)
    for optimizer in model.optimizers.values():
        assert optimizer.defaults["lr"] == 0.003
        assert optimizer.defaults["betas"] == (0.25, 0.999)


@BOTH
def test_an_unknown_option_is_refused(module: ModuleType) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'latnet'"):
        build(module, latnet=100)


def test_without_options_dcgan_learns_at_the_rate_of_the_readme() -> None:
    model = dcgan.build(torch.Size((1, 8, 8)), torch.device("cpu"))
    assert {group["lr"] for optimizer in model.optimizers.values() for group in optimizer.param_groups} == {1e-3}
