"""The promise of `--ranks`: two ranks train the same weights as one rank on the same batches."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import datasets
from genbench.plugin.data import Data
from genbench.training import loop
from genbench.training.ranks.lockstep import Lockstep

from .conftest import RANKS, Draws, run_together

STEPS, BATCH = 20, 16
MODELS = Path(__file__).parent.parent / "models"
CPU = torch.device("cpu")
PLUGINS = {
    "gan": ("genbench_gan.mlp", {"latent": 8}),
    "dcgan": ("genbench_gan.dcgan", {"latent": 8, "channels": 4}),
    "vae": ("genbench_vae.mlp", {"latent": 4, "hidden": 64}),
    "conv-vae": ("genbench_vae.conv", {"latent": 4}),
    "ae": ("genbench_ae.mlp", {"bottleneck": 4, "hidden": 64, "denoising": 0.2}),
    "wgan-gp": ("clipped", {"width": 32, "latent": 8}),
}


def module_of(name: str) -> Any:
    """Import a plugin; `clipped` is the tests' WGAN-GP with its gradients clipped far below their norms."""
    if name != "clipped":
        module = importlib.import_module(name)
        if name == "genbench_gan.mlp":  # only in this process, which was forked for it
            module.GENERATOR_WIDTHS, module.DISCRIMINATOR_WIDTHS = (32, 64), (64, 32)
        return module
    source = (MODELS / "wgan_gp.py").read_text()
    for network in ("critic", "generator"):
        step = f'model.optimizers["{network}"].step()'
        clip = f'torch.nn.utils.clip_grad_norm_(networks["{network}"].parameters(), 0.05); '
        assert step in source
        source = source.replace(step, clip + step)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, None))
    exec(source, vars(module))
    return module


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def trained(name: str, dtype: torch.dtype, data: Data, split: Any, group: Any) -> dict[str, Tensor]:
    """Return a model's state after some steps on the digits, on a single rank or on one of several."""
    module, options = module_of(PLUGINS[name][0]), PLUGINS[name][1]
    rank, ranks = (group.rank, group.size) if group else (0, 1)
    with default_dtype(dtype):
        torch.manual_seed(0)
        model = module.build_model(data=data, options=options, device=CPU)

        def hook(model: Any, batch: Tensor, labels: Any, step: int) -> Any:
            given = {"model": model, "batch": batch.to(dtype), "labels": labels, "step": step}
            return module.train_step(
                **{key: given[key] for key in module.train_step.__code__.co_varnames if key in given}
            )

        step = Lockstep(name, hook, model, group).step if group else hook
        torch.manual_seed(1)
        with Draws(rank, ranks, BATCH // ranks):
            loop.window(step, model, loop.Batches(split, BATCH, 0, CPU, rank, ranks), 0, STEPS, "fp32")
    return {key: value.detach() for key, value in model.networks.state_dict().items()}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each model's state when trained by one rank, and by each of two."""
    dataset = datasets.load("digits")

    def train(group: Any) -> Any:
        return {
            f"{name}, {dtype}": [
                trained(name, dtype, dataset.data, dataset.train, each)
                for each in ((None, group) if group.rank == 0 else (group,))
            ]
            for name in PLUGINS
            for dtype in (torch.float64, torch.float32)
        }

    results = run_together(train, tmp_path_factory.mktemp("parity"))
    assert not any(isinstance(each, str) for each in results), results
    return {key: {"one": results[0][key][0], "several": [each[key][-1] for each in results]} for key in results[0]}


def distance(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Return the largest absolute difference between corresponding entries."""
    assert first.keys() == second.keys()
    names = [name for name in first if first[name].numel()]
    return max((first[name].double() - second[name].double()).abs().max().item() for name in names)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("name", PLUGINS)
def test_two_ranks_train_what_one_trains(both: dict[str, Any], name: str, dtype: torch.dtype, most: float) -> None:
    found = both[f"{name}, {dtype}"]
    assert all(value.dtype in (dtype, torch.int64) for value in found["one"].values())
    assert len(found["several"]) == RANKS
    assert distance(*found["several"]) == 0.0  # bit for bit, or they would drift apart
    difference = distance(found["one"], found["several"][0])
    assert math.isfinite(difference)
    assert difference < most
