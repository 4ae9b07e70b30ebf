"""`wavegan`: a step compared with the game written out, closed forms of the losses, phase shuffle, lengths, options."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from genbench_gan import wavegan
from genbench_gan.phase_shuffle import PhaseShuffle
from genbench_gan.upsampling import FILTERS, Upsample
from genbench_gan.wasserstein import distance, gradient_penalty
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable

CPU = torch.device("cpu")
SHAPE = (1, 200)


def build(shape: tuple[int, ...] = SHAPE, **options: Any) -> Model:
    torch.manual_seed(0)
    data = Data("audio", torch.Size(shape), 64, levels=65_536, sample_rate=8000)
    model: Model = wavegan.build_model(data=data, options={"channels": 2, **options}, device=CPU)
    return model


def step(model: Model, shape: tuple[int, ...] = SHAPE, count: int = 8, seed: int = 1) -> dict[str, Tensor]:
    model.networks.train()
    batch = torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    torch.manual_seed(seed)
    return wavegan.train_step(model=model, batch=batch)


def layers(network: nn.Module, kind: type[nn.Module]) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def test_at_16384_samples_it_is_the_network_of_the_paper() -> None:
    """The paper's tables 3 and 4, with d = 2 instead of 64."""
    networks = build((1, 16_384)).networks
    up, down = (layers(networks["generator"], Upsample), layers(networks["discriminator"], nn.Conv1d))
    assert [layer.weight.shape for layer in up] == [*((32, 16, 25), (16, 8, 25), (8, 4, 25), (4, 2, 25), (2, 1, 25))]
    assert [(layer.in_channels, layer.out_channels) for layer in down] == [*((1, 2), (2, 4), (4, 8), (8, 16), (16, 32))]
    assert {(layer.kernel_size, layer.stride) for layer in down} == {((25,), (4,))}
    assert layers(networks["generator"], nn.Linear)[0].out_features == 256 * 2
    assert layers(networks["discriminator"], nn.Linear)[0].in_features == 256 * 2
    assert [layer.most for layer in layers(networks["discriminator"], PhaseShuffle)] == [2] * 4
    assert not any(isinstance(layer, nn.BatchNorm1d) for layer in networks.modules())


@pytest.mark.parametrize("shape", [(1, 64), (2, 129), (1, 2000), (3, 4097)], ids=str)
def test_clips_of_any_length_are_made_and_judged(shape: tuple[int, ...]) -> None:
    model = build(shape)
    losses = step(model, shape, count=2)
    assert all(loss.isfinite() and not loss.requires_grad and loss.shape == () for loss in losses.values())
    model.networks.eval()
    with torch.no_grad():
        clips = wavegan.sample(model=model, count=3, generator=torch.Generator().manual_seed(0))
    assert clips.shape == (3, *shape)
    assert clips.abs().max() <= 1
    assert clips.std(dim=0).max() > 0


def test_lengths_up_to_131072_samples_of_two_channels_are_built() -> None:
    for length in (65_536, 131_072):
        networks = build((2, length), channels=1).networks
        with torch.no_grad():
            clips = networks["generator"](torch.randn(2, 100))
            assert clips.shape == (2, 2, length)
            assert networks["discriminator"](clips).shape == (2, 1)


@pytest.mark.parametrize(("length", "said"), [(63, "63"), (131_073, "131,073")])
def test_other_lengths_are_refused_in_one_line(length: int, said: str) -> None:
    with pytest.raises(Unsuitable, match=f"^takes clips of 64 to 131,072 samples, got {said}$"):
        build((1, length))


def test_images_and_texts_do_not_suit() -> None:
    for data in (Data("image", torch.Size((1, 8, 8)), 64), Data("text", torch.Size((12,)), 64, levels=27)):
        with pytest.raises(Unsuitable, match=r"^takes audio clips only$"):
            wavegan.build_model(data=data, options={}, device=CPU)


def test_a_step_is_the_game_of_the_paper_on_parts_of_the_batch() -> None:
    """The game, written out with plain optimizers: critic steps on a third of the batch each, then the generator's."""
    options = {"critic_steps": 3, "phase_shuffle": 0, "ema": 0.0, "learning_rate": 1e-3}
    ours, plain = build(**options), build(**options)
    losses = step(ours)

    batch = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.manual_seed(1)
    generator, critic = plain.networks["generator"], plain.networks["discriminator"]
    adam = {
        net: torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9), foreach=False) for net in (generator, critic)
    }
    fakes = generator(torch.randn(8, 100)).detach()
    apart, penalties = [], []
    for rows in (slice(0, 3), slice(3, 6), slice(6, 8)):
        real, fake = batch[rows], fakes[rows]
        u = torch.rand(len(real)).view(-1, 1, 1)
        y = (u * real + (1 - u) * fake).requires_grad_()
        norm = torch.autograd.grad(critic(y).sum(), y, create_graph=True)[0].square().sum(dim=(1, 2)).sqrt()
        apart.append(critic(real).mean() - critic(fake).mean())
        penalties.append((norm - 1).square().mean())
        adam[critic].zero_grad()
        (10 * penalties[-1] - apart[-1]).backward()
        adam[critic].step()
    loss = -critic(generator(torch.randn(3, 100))).mean()
    adam[generator].zero_grad()
    loss.backward()
    adam[generator].step()

    expected = {"wasserstein": sum(apart) / 3, "penalty": sum(penalties) / 3, "generator": loss}
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], torch.as_tensor(value).detach(), rtol=1e-3, atol=1e-5)
    for name in ("generator", "discriminator"):
        for key, value in plain.networks[name].named_parameters():
            far = (ours.networks[name].get_parameter(key) - value).abs() > 1e-4
            # Adam's first step follows the gradient's sign, which rounding decides where the gradient is close to 0.
            assert far.double().mean() < 0.01, key
    assert all(parameter.grad is None for parameter in ours.networks.parameters())
    assert all(parameter.requires_grad for parameter in ours.networks.parameters())


def test_a_batch_smaller_than_the_critic_s_steps_makes_fewer() -> None:
    assert step(build(critic_steps=5), count=2)["wasserstein"].isfinite()


def test_the_distance_and_the_penalty_of_a_linear_critic_have_closed_forms() -> None:
    critic = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        critic[1].weight.copy_(torch.tensor([[3.0, 4.0]]))  # a gradient of norm 5 everywhere
    real, fake = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]), torch.zeros(2, 1, 2)
    assert distance(critic(real), critic(fake)).item() == 3.5
    penalty = gradient_penalty(critic, real, fake, torch.tensor([0.2, 0.7]))
    assert penalty.item() == pytest.approx((5 - 1) ** 2)
    penalty.backward()
    torch.testing.assert_close(critic[1].weight.grad, 2 * (5 - 1) * torch.tensor([[0.6, 0.8]]))


def test_the_penalty_is_measured_between_data_and_samples() -> None:
    seen = []

    class Square(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs.detach().flatten().tolist())
            return inputs.square().sum(dim=(1, 2))[:, None] / 2

    real, fake = torch.full((2, 1, 1), 2.0), torch.full((2, 1, 1), -2.0)
    penalty = gradient_penalty(Square(), real, fake, torch.tensor([0.0, 0.75]))
    assert seen == [[-2.0, 1.0]]  # all sample, then three quarters data
    assert penalty.item() == pytest.approx(((2 - 1) ** 2 + (1 - 1) ** 2) / 2)


def test_phase_shuffle_shifts_each_item_and_reflects_what_is_missing() -> None:
    shuffle, ramp = PhaseShuffle(2), torch.arange(6.0).expand(400, 3, 6)
    torch.manual_seed(0)
    found = shuffle(ramp)
    assert (found == found[:, :1]).all()  # all channels are shifted alike
    shifted = {
        *((2.0, 1.0, 0.0, 1.0, 2.0, 3.0), (1.0, 0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)),
        *((1.0, 2.0, 3.0, 4.0, 5.0, 4.0), (2.0, 3.0, 4.0, 5.0, 4.0, 3.0)),
    }
    rows = [tuple(row) for row in found[:, 0].tolist()]
    assert set(rows) == shifted
    assert all(50 < rows.count(each) < 110 for each in shifted)
    assert PhaseShuffle(2).eval()(ramp) is ramp
    assert PhaseShuffle(0)(ramp) is ramp


@pytest.mark.parametrize("interpolation", FILTERS)
def test_upsampling_is_a_convolution_of_the_interpolated_signal(interpolation: str) -> None:
    torch.manual_seed(0)
    up, signal = Upsample(3, 2, interpolation).double(), torch.randn(4, 3, 12, dtype=torch.float64)
    if interpolation == "linear":
        # Through the given values at every fourth step, which torch's half-step alignment is not.
        ends = nn.functional.pad(signal, (0, 1))
        shares = torch.arange(4) / 4
        between = (ends[..., :-1, None] * (1 - shares) + ends[..., 1:, None] * shares).flatten(2)
    elif interpolation == "nearest":
        between = nn.functional.interpolate(signal, scale_factor=4, mode="nearest")
    else:
        between = torch.zeros(4, 3, 12, 4, dtype=torch.float64).index_fill_(3, torch.tensor(0), 1) * signal[..., None]
        between = between.flatten(2)
    full = nn.functional.conv1d(between, up.weight.transpose(0, 1).flip(2), padding=up.weight.shape[2] - 1)
    first = 11 - (3 if interpolation == "linear" else 0)  # the padding, less what the filter begins before its step
    found, expected = up(signal), full[..., first : first + 48]
    assert found.shape == (4, 2, 48)
    inner = slice(16, 32)  # at the ends, a transposed convolution interpolates to zeros
    torch.testing.assert_close(found[..., inner], expected[..., inner])


@pytest.mark.parametrize("interpolation", FILTERS)
def test_upsampling_starts_with_the_variance_of_its_input(interpolation: str) -> None:
    torch.manual_seed(0)
    signal = torch.randn(200, 64, 16).relu()
    variance = Upsample(64, 32, interpolation)(signal)[..., 24:-24].square().mean()
    assert variance.item() == pytest.approx(1.0, rel=0.35)


def test_linear_interpolation_attenuates_the_images_of_a_spectrum() -> None:
    """The image of a constant at a quarter of the rate vanishes; between zeros it is as strong as the constant."""
    constant, rate = torch.ones(1, 1, 64), torch.exp(-0.5j * torch.pi * torch.arange(160))
    for interpolation, vanishes in (("zeros", False), ("nearest", True), ("linear", True)):
        up = Upsample(1, 1, interpolation)
        with torch.no_grad():
            up.weight.zero_()[..., 12 % up.weight.shape[2]] = 1.0
            image = (up(constant)[0, 0, 48:208] * rate).mean().abs()
        assert (image < 1e-6) == vanishes, interpolation


@pytest.mark.parametrize("upsampling", ["nearest", "linear"])
def test_a_step_trains_the_taps_of_each_interpolation(upsampling: str) -> None:
    model = build(upsampling=upsampling, learning_rate=1e-2)
    before = [layer.weight.detach().clone() for layer in layers(model.networks["generator"], Upsample)]
    step(model)
    after = [layer.weight for layer in layers(model.networks["generator"], Upsample)]
    assert all((old != new).double().mean() > 0.9 for old, new in zip(before, after, strict=True))
    assert not any("spreading" in name for name in model.networks.state_dict())


def test_silent_features_are_a_silent_clip() -> None:
    generator = build().networks["generator"]
    with torch.no_grad():
        after_the_first = list(generator.children())[2:]
        assert not nn.Sequential(*after_the_first)(torch.zeros(2, 4, 13)).any()


@pytest.mark.parametrize(
    ("option", "value", "domain"),
    [
        ("channels", 0, "at least 1"),
        ("latent", 0, "at least 1"),
        ("critic_steps", 0, "at least 1"),
        ("penalty", math.nan, "at least 0.0"),
        ("phase_shuffle", 8, "at least 0 and below 8"),
        ("learning_rate", -1.0, "at least 0.0"),
    ],
)
def test_a_value_out_of_its_domain_gives_one_line(option: str, value: Any, domain: str) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be {domain}, got {value}$"):
        build(**{option: value})


def test_one_latent_is_enough() -> None:
    assert build(latent=1).networks["generator"].latent == 1


def test_a_clip_is_padded_with_silence_at_its_end_and_the_coarsest_stage_has_up_to_32_steps() -> None:
    (pad,) = layers(build((1, 200)).networks["discriminator"], nn.ConstantPad1d)
    assert (pad.padding, pad.value) == ((0, 8), 0.0)
    assert wavegan.stage_lengths(64) == [64, 16]
    assert wavegan.stage_lengths(128) == [128, 32]
    assert wavegan.stage_lengths(129) == [144, 36, 9]


def test_the_critic_starts_with_layers_that_preserve_the_variance_and_ends_without_a_bias() -> None:
    critic = build((1, 16_384), channels=8).networks["discriminator"]
    convolutions, (last,) = layers(critic, nn.Conv1d), layers(critic, nn.Linear)
    assert last.bias is None
    for layer in [*convolutions, last]:
        weight = layer.weight.detach()
        deviation = math.sqrt(2 / weight[0].numel())
        assert weight.mean().abs() < 5 * deviation / math.sqrt(weight.numel())
        assert weight.std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * weight.numel()))
    assert not any(layer.bias.any() for layer in convolutions)


def test_a_step_moves_the_average_that_clips_are_drawn_from() -> None:
    average = build(ema=0.5).networks["average"]
    model = build(ema=0.5)
    step(model)
    moved = [
        not torch.equal(*pair) for pair in zip(average.buffers(), model.networks["average"].buffers(), strict=True)
    ]
    assert sum(moved) > len(moved) / 2  # all but constants


def test_the_penalty_takes_samples_of_another_precision() -> None:
    real, fake = torch.rand(4, 1, 6), torch.rand(4, 1, 6).bfloat16()
    critic = nn.Sequential(nn.Flatten(), nn.Linear(6, 1))
    shares = torch.rand(4)
    assert torch.equal(
        gradient_penalty(critic, real, fake, shares), gradient_penalty(critic, real, fake.float(), shares)
    )


def test_without_options_the_critic_takes_the_papers_five_steps_at_its_rate() -> None:
    model = wavegan.build(torch.Size(SHAPE), torch.device("cpu"))
    assert model.networks["discriminator"].steps == 5
    assert {group["lr"] for optimizer in model.optimizers.values() for group in optimizer.param_groups} == {1e-4}
