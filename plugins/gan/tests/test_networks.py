"""What the networks start from: options' defaults, biases, sizes and the layout in memory."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import pytest
import torch
from genbench_gan import dcgan, mlp, wavegan
from torch import nn

CPU = torch.device("cpu")


def biases(network: nn.Module) -> list[tuple[str, bool]]:
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    return [(type(layer).__name__, layer.bias is not None) for layer in network.modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize(
    ("module", "own"),
    [
        (mlp, {"generator_norm": "batch", "dropout": 0.3, "learning_rate": 2e-4}),
        (dcgan, {"channels": 32, "learning_rate": 1e-3}),
        (
            wavegan,
            {
                "channels": 16,
                "critic_steps": 5,
                "penalty": 10.0,
                "phase_shuffle": 2,
                "upsampling": "zeros",
                "learning_rate": 1e-4,
            },
        ),
    ],
)
def test_models_start_from_the_defaults_of_the_readme(module: ModuleType, own: dict[str, Any]) -> None:
    parameters = inspect.signature(module.build).parameters.values()
    found = {each.name: each.default for each in parameters if each.default is not each.empty}
    assert found == {"latent": 100, "beta1": 0.5, "ema": 0.999, **own}
    shape = torch.Size((1, 64) if module is wavegan else (1, 8, 8))
    assert module.build(shape, CPU).parameter_count() == module.build(shape, CPU, **found).parameter_count()


def test_only_layers_of_dcgan_that_nothing_normalises_have_biases() -> None:
    networks = dcgan.build(torch.Size((3, 32, 32)), CPU, channels=2).networks
    up, down = [("ConvTranspose2d", False)] * 2, [("Conv2d", False)] * 2
    assert biases(networks["generator"]) == [("Linear", False), *up, ("ConvTranspose2d", True)]
    assert biases(networks["discriminator"]) == [("Conv2d", True), *down, ("Linear", True)]


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_layer_of_gan_has_a_bias_where_no_norm_follows(norm: str) -> None:
    found = [
        biased for _, biased in biases(mlp.build(torch.Size((1, 4, 4)), CPU, generator_norm=norm).networks["generator"])
    ]
    assert found == [norm == "none"] * (len(found) - 1) + [True]


def test_dcgan_halves_at_least_twice_and_while_both_sides_are_8_or_more() -> None:
    assert dcgan.stage_sizes(15, 31) == [(15, 31), (7, 15), (3, 7)]
    assert dcgan.stage_sizes(16, 64) == [(16, 64), (8, 32), (4, 16)]
    assert dcgan.stage_sizes(33, 33) == [(33, 33), (16, 16), (8, 8), (4, 4)]


def test_weights_of_dcgan_lie_channels_last() -> None:
    for network in dcgan.build(torch.Size((3, 32, 32)), CPU, channels=2).networks.values():
        kernels = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
