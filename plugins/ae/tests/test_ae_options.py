"""Limits and defaults of the autoencoders' options, and what the models are made with."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from genbench_ae import conv, mlp, ppca
from genbench_ae import mixture as mixtures
from genbench_ae.assembly import Masking
from torch import Tensor

CPU = torch.device("cpu")
README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize(("name", "module"), [("ae", mlp), ("conv-ae", conv), ("ppca", ppca)])
def test_the_defaults_are_those_of_the_readme(name: str, module: ModuleType) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (both|`[\w-]+`) \| `?([\w.]+)`? \|", README, re.MULTILINE)
    of = {f"`{name}`"} if name == "ppca" else {f"`{name}`", "both"}
    wanted = {option: value for option, model, value in rows if model in of}
    given = inspect.signature(module.build).parameters.values()
    found = {one.name: one.default for one in given if one.default is not inspect.Parameter.empty}
    documented = {option: type(found[option])(value) for option, value in wanted.items()}
    assert found == documented
    levels = (256,) if name == "ppca" else ()
    made = [module.build(torch.Size((1, 8, 8)), CPU, *levels, **options).networks for options in ({}, documented)]
    assert str(made[0]) == str(made[1])


@pytest.mark.parametrize("option", ["bottleneck", "components", "hidden", "layers"])
def test_one_is_enough_for_ae(option: str) -> None:
    model = mlp.build(torch.Size((1, 8, 8)), CPU, density="mixture", **{option: 1})
    assert mlp.sample(model=model, count=2, generator=torch.Generator()).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("option", ["bottleneck", "components", "channels"])
def test_one_is_enough_for_conv_ae(option: str) -> None:
    model = conv.build(torch.Size((1, 8, 8)), CPU, density="mixture", **{option: 1})
    assert conv.sample(model=model, count=2, generator=torch.Generator()).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("module", [mlp, conv], ids=["ae", "conv-ae"])
@pytest.mark.parametrize(("shape", "empty"), [((1, 8, 8), -1.0), ((1, 64), 0.0)], ids=["image", "clip"])
def test_masked_values_are_black_or_silent(module: ModuleType, shape: tuple[int, ...], empty: float) -> None:
    model = module.build(torch.Size(shape), CPU, denoising=0.5)
    masking = model.networks["corruption"]
    assert isinstance(masking, Masking)
    torch.manual_seed(0)
    masked = masking(torch.full((4, *shape), 0.25))
    assert set(masked.unique().tolist()) == {0.25, empty}


def test_a_value_is_masked_if_its_draw_is_below_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand_like", lambda items: torch.tensor([0.0, 0.499, 0.5, 0.501]).expand_as(items))
    assert Masking(0.5)(torch.ones(1, 4)).tolist() == [[-1.0, -1.0, 1.0, 1.0]]


def test_ppca_has_no_optimizer_and_takes_no_option_of_the_training() -> None:
    model = ppca.build(torch.Size((1, 2, 2)), CPU, 256)
    assert model.optimizers == {}
    assert list(model.networks.parameters()) == []


def test_images_have_256_values_unless_said_otherwise() -> None:
    assert ppca.Components(torch.Size((4,)), 2).step == pytest.approx(2 / 255)


@pytest.mark.parametrize("components", [3, 8])
def test_codes_that_are_all_alike_are_drawn_from_to_the_last(components: int) -> None:
    """Of equal codes no second centre is nearer: the sums that centres are drawn from are all zero."""
    codes = torch.full((5, 2), 3.0, dtype=torch.float64)
    mixture, _ = mixtures.fit_mixture(codes, components)
    assert mixture.weights.tolist() == [1.0] + [0.0] * (components - 1), "each code belongs to the first of the nearest"
    assert mixture.means[0].tolist() == [3.0, 3.0]


def test_a_fit_goes_on_while_it_gains_as_much_as_the_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    objectives = iter([0.0, 0.5, 1.0, 1.25, 9.0])  # exact in binary; the last gain is half the tolerance

    def told(codes: Tensor, *_: object) -> tuple[Tensor, float]:
        return torch.full((len(codes), 2), 0.5, dtype=torch.float64), next(objectives)

    monkeypatch.setattr(mixtures, "responsibilities", told)
    _, history = mixtures.fit_mixture(torch.tensor([[0.0], [1.0]], dtype=torch.float64), 2, tolerance=0.5)
    assert history == [0.0, 0.5, 1.0, 1.25]


@pytest.mark.parametrize("module", [mlp, conv], ids=["ae", "conv-ae"])
def test_a_mixture_has_ten_gaussians_unless_said_otherwise(module: ModuleType) -> None:
    networks = module.build(torch.Size((1, 8, 8)), CPU, density="mixture").networks
    assert networks.get_buffer("density.weights").shape == (10,)


def test_ppca_has_32_components_unless_said_otherwise() -> None:
    assert ppca.build(torch.Size((1, 8, 8)), CPU, 256).networks.get_buffer("components.weights").shape == (64, 32)
