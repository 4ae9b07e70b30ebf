"""The adversarial step on networks so small that losses, gradients and draws have closed forms."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from genbench_gan import adversarial
from genbench_gan.adversarial import Generator
from torch import Tensor, nn

from genbench import Model

BATCH = 40_000  # enough draws for the mean to be close to its expectation
CPU = torch.device("cpu")
JOINT = pytest.mark.parametrize("joint", [True, False])


class _Shift(nn.Module):
    """G(z) = z + shift, an image of two pixels; records its latents."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor([0.75, -0.5]))
        self.latents: list[Tensor] = []

    def forward(self, latents: Tensor) -> Tensor:
        self.latents.append(latents.detach().clone())
        return (latents + self.shift)[:, None, None]


class _Linear(nn.Module):
    """The logit a · x; records whether its gradient is required."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, 1.0]))
        self.trained: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.trained.append(self.weight.requires_grad)
        return (images.flatten(1) @ self.weight)[:, None]


def _model(rate: float = 0.0, ema: float = 0.0, **rates: float) -> Model:
    model = adversarial.assemble(Generator(2, _Shift()), _Linear(), CPU, 1e-3, 0.5, ema)
    for name in ("generator", "discriminator"):
        parameters = model.networks[name].parameters()
        model.optimizers[name] = torch.optim.SGD(parameters, rates.get(name, rate))
    return model


def _images() -> Tensor:
    return 0.5 * torch.randn(BATCH, 1, 1, 2, generator=torch.Generator().manual_seed(3))


def _shift(model: Model) -> _Shift:
    return cast(_Shift, cast(Generator, model.networks["generator"])[0])


def _assert_standard_normal(latents: Tensor) -> None:
    values = latents.double()
    torch.testing.assert_close(values.mean(0), torch.zeros(2).double(), atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(values.T), torch.eye(2).double(), atol=0.04, rtol=0)
    torch.testing.assert_close(values.pow(4).mean(0), torch.full((2,), 3.0).double(), atol=0.2, rtol=0)


@JOINT
def test_a_step_draws_one_set_of_standard_normal_latents(joint: bool) -> None:
    model = _model()
    torch.manual_seed(0)
    adversarial.train_step(model, _images(), joint)
    (latents,) = _shift(model).latents
    _assert_standard_normal(latents)


def test_samples_are_drawn_from_the_standard_normal() -> None:
    model = _model()
    drawn = adversarial.sample(model, BATCH, torch.Generator().manual_seed(0)).flatten(1)
    _assert_standard_normal(drawn - _shift(model).shift.detach())


@JOINT
def test_draws_are_made_on_the_models_device_whatever_the_default(joint: bool) -> None:
    model, images = _model(), _images()[:4]
    with torch.device("meta"):  # holds no values
        losses = adversarial.train_step(model, images, joint)
        drawn = adversarial.sample(model, 4, torch.Generator("cpu").manual_seed(0))
    assert {tensor.device for tensor in (drawn, *losses.values())} == {CPU}


@JOINT
def test_the_generators_loss_asks_for_no_gradient_of_the_discriminator(joint: bool) -> None:
    model = _model()
    adversarial.train_step(model, _images()[:4], joint)
    assert cast(_Linear, model.networks["discriminator"]).trained == [True] * (1 if joint else 2) + [False]


def test_everything_is_moved_to_the_device() -> None:
    device = torch.device("meta")
    model = adversarial.assemble(Generator(2, _Shift()), _Linear(), device, 1e-3, 0.5, 0.9)
    assert {tensor.device for tensor in model.networks.state_dict().values()} == {device}
    assert "average.updates" in model.networks.state_dict()
    assert model.capturable is True  # its steps may be replayed from a CUDA graph


@pytest.mark.parametrize(("kind", "fused"), [("cpu", True), ("cuda", True), ("meta", False)])
def test_one_kernel_updates_all_weights_where_there_is_one(
    kind: str, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.ModuleDict, "to", lambda networks, device: networks)  # there may be no such device here
    model = adversarial.assemble(Generator(2, _Shift()), _Linear(), torch.device(kind), 1e-3, 0.5, 0.0)
    assert [optimizer.defaults["fused"] for optimizer in model.optimizers.values()] == [fused] * 2


@JOINT
def test_a_step_is_both_gradients_in_their_order(joint: bool) -> None:
    """By hand: d/da of E softplus(-a x) + E softplus(a g), then with the new a, d/ds of E softplus(-a (z + s))."""
    model, images = _model(rate=1.0), _images()
    torch.manual_seed(0)
    losses = adversarial.train_step(model, images, joint)
    latents = _shift(model).latents[0].double()
    weight, shift = torch.tensor([0.5, 1.0]).double(), torch.tensor([0.75, -0.5]).double()
    real, fake = images.flatten(1).double(), latents + shift
    told = -(real @ weight).sigmoid().log().mean() - (1 - (fake @ weight).sigmoid()).log().mean()
    gradient = (fake @ weight).sigmoid() @ fake / BATCH - (-(real @ weight)).sigmoid() @ real / BATCH
    updated = weight - gradient
    passed = -(fake @ updated).sigmoid().log().mean()
    moved = (-(fake @ updated)).sigmoid().mean() * updated  # ascends the logit
    torch.testing.assert_close(losses["discriminator"].double(), told, rtol=1e-4, atol=0)
    torch.testing.assert_close(losses["generator"].double(), passed, rtol=1e-4, atol=0)
    found = model.networks["discriminator"].get_parameter("weight").detach().double()
    torch.testing.assert_close(found, updated, atol=1e-4, rtol=0)
    torch.testing.assert_close(_shift(model).shift.detach().double(), shift + moved, atol=1e-4, rtol=0)


@JOINT
def test_a_second_step_has_gradients_of_its_own(joint: bool) -> None:
    one, two = _model(rate=1.0), _model(rate=0.0)
    torch.manual_seed(0)
    adversarial.train_step(two, _images(), joint)
    for name in ("generator", "discriminator"):
        two.optimizers[name].param_groups[0]["lr"] = 1.0
    for model in (one, two):
        torch.manual_seed(1)
        adversarial.train_step(model, _images(), joint)
    for first, second in zip(one.networks.parameters(), two.networks.parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


@JOINT
def test_each_optimizer_moves_its_own_network_alone(joint: bool) -> None:
    for still, moving in (("generator", "discriminator"), ("discriminator", "generator")):
        model = _model(**{moving: 1.0, still: 0.0})
        before = {name: [p.detach().clone() for p in net.parameters()] for name, net in model.networks.items()}
        adversarial.train_step(model, _images(), joint)
        assert all(map(torch.equal, before[still], model.networks[still].parameters()))
        assert not any(map(torch.equal, before[moving], model.networks[moving].parameters()))
        assert all(parameter.requires_grad for parameter in model.networks.parameters())


@pytest.mark.parametrize(("ema", "kept"), [(0.999, (0.1, 2 / 11)), (0.15, (0.1, 0.15))])
def test_each_step_moves_the_average_that_samples_are_drawn_from(ema: float, kept: tuple[float, float]) -> None:
    """The average keeps min(ema, (1 + t) / (10 + t)) of its old value: a tenth at first, then two elevenths."""
    model = _model(rate=1.0, ema=ema)
    expected = _shift(model).shift.detach().clone()
    for share in kept:
        adversarial.train_step(model, _images(), joint=True)
        expected = share * expected + (1 - share) * _shift(model).shift.detach()
        torch.testing.assert_close(model.networks["average"].get_buffer("network.0.shift"), expected)
    drawn = adversarial.sample(model, BATCH, torch.Generator().manual_seed(0)).flatten(1)
    _assert_standard_normal(drawn - expected)
    assert not torch.equal(expected, _shift(model).shift)
