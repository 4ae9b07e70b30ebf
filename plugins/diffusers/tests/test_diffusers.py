"""`ddpm` and `class-ddpm`: the contract, sizes, diffusers' two schedulers, weight averaging and labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import Data, Model, Training
from genbench.config import ModelSpec
from genbench.contract import contract_tests
from genbench.plugin import finding, loading
from genbench.plugin.loading import Plugin

pytest.importorskip("diffusers", reason="diffusers is not installed; `make adapters` installs it and runs these tests")
pytest.importorskip("genbench_diffusers", reason="genbench-diffusers is not installed; see `make adapters`")

CPU = torch.device("cpu")
SMALL = {"width": 8, "steps": 3}

test_contract = contract_tests("ddpm:width=8,steps=3", shapes=[(1, 8, 8)])
test_contract_with_labels = contract_tests("class-ddpm:width=8,steps=3", shapes=[(3, 7, 5)])


@pytest.fixture(scope="module")
def ddpm() -> Plugin:
    return loading.load(finding.find(ModelSpec.parse("ddpm")))


@pytest.fixture(scope="module")
def class_ddpm() -> Plugin:
    return loading.load(finding.find(ModelSpec.parse("class-ddpm")))


def _build(plugin: Plugin, shape: tuple[int, ...] = (1, 8, 8), classes: int | None = None, **options: Any) -> Model:
    torch.manual_seed(0)
    given = {**SMALL, **options}
    model: Model = plugin.hook.build_model(
        data=Data("image", torch.Size(shape), 64, classes), training=Training(None, 16), options=given, device=CPU
    )
    model.networks.eval()
    return model


def _images(count: int = 8, shape: tuple[int, ...] = (1, 8, 8)) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def _draw(plugin: Plugin, model: Model, labels: Tensor | None = None, count: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    images: Tensor = plugin.hook.sample(model=model, count=count, labels=labels, generator=generator)
    return images


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((1, 8, 8), (8, 16)),
        ((1, 28, 28), (8, 16, 16)),
        ((3, 32, 32), (8, 16, 16, 16)),
        ((3, 64, 64), (8, 16, 16, 16)),
        ((2, 1, 1), (8,)),
        ((3, 9, 15), (8, 16)),
    ],
    ids=str,
)
def test_the_levels_follow_from_the_images(ddpm: Plugin, shape: tuple[int, ...], channels: tuple[int, ...]) -> None:
    model = _build(ddpm, shape, steps=1)
    network: Any = model.networks["denoiser"]
    assert tuple(network.unet.config.block_out_channels) == channels
    assert _draw(ddpm, model, count=2).shape == (2, *shape)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_denoiser_gives_back_the_image(ddpm: Plugin, sampler: str, prediction: str) -> None:
    """If all data is one image, the right prediction is known, and sampling must end at that image."""
    model = _build(ddpm, sampler=sampler, prediction=prediction, schedule="linear", steps=20)
    process: Any = model.networks["process"]
    target = _images(1)
    cumulated = process.noising.alphas_cumprod

    def perfect(images: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        signal, noise_scale = cumulated[time].sqrt(), (1 - cumulated[time]).sqrt()
        noise = (images - signal * target) / noise_scale
        return noise if prediction == "epsilon" else signal * noise - noise_scale * target

    drawn = process.sample(perfect, 3, None, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn, target.expand(3, -1, -1, -1), atol=0.02, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_what_is_predicted_belongs_to_the_noised_images(ddpm: Plugin, prediction: str) -> None:
    process: Any = _build(ddpm, prediction=prediction).networks["process"]
    images = _images()
    noised, target, times = process.noise(images)
    cumulated = process.noising.alphas_cumprod[times].view(-1, 1, 1, 1)
    noise = target
    if prediction == "v_prediction":
        noise = cumulated.sqrt() * target + (1 - cumulated).sqrt() * noised
    torch.testing.assert_close(noised, cumulated.sqrt() * images + (1 - cumulated).sqrt() * noise, atol=1e-4, rtol=0)


def test_ddpm_draws_noise_at_every_step_and_ddim_at_none(ddpm: Plugin) -> None:
    after = {}
    for sampler in ("ddim", "ddpm"):
        generator = torch.Generator().manual_seed(0)
        model = _build(ddpm, sampler=sampler)
        with torch.no_grad():
            ddpm.hook.sample(model=model, count=2, labels=None, generator=generator)
        after[sampler] = generator.get_state()
    fresh = torch.Generator().manual_seed(0)
    torch.randn(2, 1, 8, 8, generator=fresh)
    assert torch.equal(after["ddim"], fresh.get_state())
    assert not torch.equal(after["ddpm"], fresh.get_state())


def test_samples_come_from_the_average_of_the_weights(ddpm: Plugin) -> None:
    model = _build(ddpm, decay=0.5)
    average, denoiser = model.networks["average"], model.networks["denoiser"]
    expected = [parameter.detach().clone() for parameter in average.parameters()]
    for step in range(3):
        ddpm.hook.train_step(model=model, batch=_images(), labels=None, step=step)
        decay = min(0.5, (1 + step) / (10 + step))
        newest = [parameter.detach() for parameter in denoiser.parameters()]
        expected = [decay * mean + (1 - decay) * new for mean, new in zip(expected, newest, strict=True)]
    for mean, parameter in zip(expected, average.parameters(), strict=True):
        torch.testing.assert_close(parameter, mean)
    before = _draw(ddpm, model)
    with torch.no_grad():
        denoiser.unet.conv_out.bias.add_(1)  # type: ignore[union-attr,operator]
    assert torch.equal(before, _draw(ddpm, model))


def test_labels_reach_the_network_where_there_are_some(class_ddpm: Plugin) -> None:
    model = _build(class_ddpm, classes=10)
    first, second = (_draw(class_ddpm, model, torch.full((4,), label)) for label in (0, 9))
    assert not torch.equal(first, second)
    without = _build(class_ddpm, classes=None)
    assert without.parameter_count() < model.parameter_count()
    assert _draw(class_ddpm, without).shape == (4, 1, 8, 8)


def test_it_learns_what_all_images_share(ddpm: Plugin) -> None:
    model = _build(ddpm, learning_rate=3e-3)
    model.networks.train()
    black = torch.full((8, 1, 8, 8), -1.0)
    losses = [ddpm.hook.train_step(model=model, batch=black, labels=None, step=i)["denoising"] for i in range(60)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 12}, "width must be a multiple of 8, not 12"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"noise_steps": 1}, "noise_steps must be at least 2, not 1"),
        ({"steps": 0}, "steps must be 1 to noise_steps (1000), not 0"),
        ({"steps": 51, "noise_steps": 50}, "steps must be 1 to noise_steps (50), not 51"),
        ({"decay": 1.0}, "decay must be in [0, 1), not 1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, not 0.0"),
    ],
)
def test_a_value_out_of_its_domain_is_named(ddpm: Plugin, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared below
        _build(ddpm, **options)
    assert str(caught.value) == message
