"""The autoencoders' networks against the same layers written out with torch's functions."""

from __future__ import annotations

import itertools
import math
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from genbench_ae import conv, mlp
from genbench_ae import mixture as mixtures
from genbench_ae.density import CodeDensity
from torch import Tensor, nn

from genbench import Model

CPU = torch.device("cpu")
SIDES = {  # of each stage, from an item to the coarsest
    (2, 8, 8): [(8, 8), (4, 4)],
    (1, 9, 30): [(9, 30), (4, 15)],  # the shorter side decides
    (1, 28, 28): [(28, 28), (14, 14), (7, 7)],
    (1, 128): [(128,), (32,)],
    (2, 530): [(530,), (132,), (33,), (8,)],
}


def _parameters(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each layer that has them, in order."""
    found = list(network.parameters())
    return list(zip(found[::2], found[1::2], strict=True))


def _written_out(model: Model, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes and restorations."""
    sides = SIDES[tuple(items.shape[1:])]
    images = len(sides[0]) == 2
    stride, padding, kernel = (2, 1, 4) if images else (4, 6, 16)
    down, up = (F.conv2d, F.conv_transpose2d) if images else (F.conv1d, F.conv_transpose1d)
    *stages, last = _parameters(model.networks["encoder"])
    assert len(stages) == len(sides) - 1
    features = items
    for (weight, bias), size in zip(stages, sides[1:], strict=True):
        assert set(weight.shape[2:]) == {kernel}
        features = F.silu(down(features, weight, bias, stride=stride, padding=padding))
        assert tuple(features.shape[2:]) == size
    codes = F.linear(features.flatten(1), *last)
    first, *stages = _parameters(model.networks["decoder"])
    features = F.linear(codes, *first).view(len(items), -1, *sides[-1])
    for (weight, bias), size in zip(stages, reversed(sides[:-1]), strict=True):
        rest = tuple(side % stride for side in size)
        features = up(F.silu(features), weight, bias, stride=stride, padding=padding, output_padding=rest)
        assert tuple(features.shape[2:]) == size
    return codes, features.tanh()


@pytest.mark.parametrize("shape", SIDES, ids=str)
@torch.no_grad()
def test_conv_ae_is_strided_convolutions_with_a_silu_each_and_their_mirror_image(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = conv.build(torch.Size(shape), CPU, bottleneck=3, channels=4)
    for parameter in model.networks.parameters():
        parameter.mul_(2)  # so that restorations are not all near 0, where tanh is linear
    items = torch.rand(5, *shape) * 2 - 1
    codes, restored = _written_out(model, items)
    torch.testing.assert_close(conv.encode(model=model, batch=items), codes)
    torch.testing.assert_close(conv.reconstruct(model=model, batch=items), restored)


@torch.no_grad()
def test_ae_normalises_each_hidden_layer_before_its_silu_and_ends_in_a_linear_layer() -> None:
    torch.manual_seed(0)
    model = mlp.build(torch.Size((1, 2, 3)), CPU, bottleneck=2, hidden=5, layers=2)
    for parameter in model.networks.parameters():
        parameter.add_(torch.randn_like(parameter))  # also the norms' weights, which start at 1 and 0
    items = torch.rand(7, 1, 2, 3) * 2 - 1

    def written_out(network: nn.Module, features: Tensor) -> Tensor:
        *hidden, last = _parameters(network)
        for linear, norm in zip(hidden[::2], hidden[1::2], strict=True):
            features = F.silu(F.layer_norm(F.linear(features, *linear), (5,), *norm))
        return F.linear(features, *last)

    codes = written_out(model.networks["encoder"], items.flatten(1))
    torch.testing.assert_close(mlp.encode(model=model, batch=items), codes)
    restored = written_out(model.networks["decoder"], codes).tanh().view(7, 1, 2, 3)
    torch.testing.assert_close(mlp.reconstruct(model=model, batch=items), restored)


@pytest.mark.parametrize("module", [mlp, conv], ids=["ae", "conv-ae"])
def test_its_steps_may_be_captured_and_its_rate_is_a_number(module: ModuleType) -> None:
    assert module.build(torch.Size((1, 8, 8)), CPU).capturable
    with pytest.raises(ValueError, match=r"^learning_rate must be above 0, not nan$"):
        module.build(torch.Size((1, 8, 8)), CPU, learning_rate=math.nan)


def test_the_weights_of_a_density_that_is_not_fitted_are_equal_and_sum_to_one() -> None:
    assert CodeDensity(bottleneck=2, components=4).weights.tolist() == [0.25] * 4


def test_a_component_with_less_than_one_code_has_the_weighted_mean_and_covariance_of_its_shares() -> None:
    codes = torch.tensor([[0.0, 1.0], [4.0, 1.0], [1.0, -3.0]], dtype=torch.float64)
    shares = torch.tensor([[0.2, 0.1, 0.0], [0.8, 0.9, 1.0]], dtype=torch.float64).T
    mixture = mixtures._maximise(codes, shares, floor=0.25)
    torch.testing.assert_close(mixture.weights, torch.tensor([0.1, 0.9], dtype=torch.float64))
    # Two thirds of the first component are at (0, 1), one third at (4, 1).
    torch.testing.assert_close(mixture.means[0], torch.tensor([4 / 3, 1.0], dtype=torch.float64))
    spread = 2 / 3 * (4 / 3) ** 2 + 1 / 3 * (8 / 3) ** 2
    expected = torch.tensor([[spread + 0.25, 0.0], [0.0, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(mixture.factors[0] @ mixture.factors[0].T, expected)


def test_a_fit_that_gains_nothing_ends_at_once_and_one_component_needs_no_iteration() -> None:
    noise = torch.randn(2, 50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    codes = torch.cat([noise[0], noise[1] + 1000])
    assert len(mixtures.fit_mixture(codes, 2)[1]) == 2
    assert mixtures.fit_mixture(codes, 1)[1] == []


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_starts_from_centres_drawn_in_proportion_to_the_squared_distance(seed: int) -> None:
    """k-means++ by its definition, with the draws of the fixed generator."""
    codes = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) ** 3
    draws = torch.rand(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    centres = [codes[int(draws[0] * 40)]]
    for draw in draws[1:]:
        squares = [min(float((code - centre).square().sum()) for centre in centres) for code in codes]
        passed = itertools.accumulate(squares)
        centres.append(codes[next(place for place, total in enumerate(passed) if total >= draw * sum(squares))])
    shares = mixtures._hard_assignment(codes, 5)
    assert torch.equal(shares.argmax(1), torch.cdist(codes, torch.stack(centres)).argmin(1))
    assert torch.equal(shares.sum(1), torch.ones(40, dtype=torch.float64))
