"""No parameter of a shipped model is idle: without effect, so that the optimizer steps on rounding errors.

The usual case is a bias right before a BatchNorm. Such a parameter drifts, and differently if sums change
their order, so that two ranks no longer train the same weights as one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genbench.config import ModelSpec
from genbench.contract.case import Case, Subject
from genbench.contract.fault import Refused
from genbench.plugin import finding, loading

HERE = Path(__file__).parent
CPU = torch.device("cpu")
STEPS = 5  # a generator may be stepped only every fifth time
ROUNDING = 1e-9  # relative to the largest gradient; in float64, what cancels leaves about 1e-15
SHAPES = [(1, 28, 28), (12,), (1, 300)]  # an image, a text and a clip, each large enough for several stages
SCAFFOLD = Path(finding.__file__).parents[1] / "scaffold"
FILES = [*sorted((HERE / "models").glob("*.py")), *(SCAFFOLD / f"{name}.py" for name in ("ae", "gan", "vae"))]
MODELS = [(name, SHAPES) for name in finding.installed()]
MODELS += [(str(path), [(12,) if path.stem == "bigram" else (1, 8, 8)]) for path in FILES]

# A key's bias adds the same number to all scores of a query, which softmax cancels. It is part of the transformer as
# commonly built, and of the projection that also gives queries and values; it moves by 2e-13 in 20 steps.
KEYS = {f"language_model.blocks.{block}.attention.inward.bias": 64 for block in (0, 1)}
KNOWN = {"transformer": KEYS}


class Double(TorchFunctionMode):
    """Keeps in float64 what models cast to float32."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is torch.Tensor.float else func(*args, **(kwargs or {}))


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        with Double():
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def largest_gradients(model: str, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Return, for each entry of each parameter, the largest gradient magnitude at an optimizer's step; 0 for none."""
    plugin = loading.load(finding.find(ModelSpec(model)))
    subject = Subject(plugin, {}, Case.of(shape, 10), CPU)
    batches = [subject.batch(step) for step in range(STEPS)]
    with in_double():
        built = subject.build()
        if not built.optimizers:  # it is fitted, not trained by gradient steps
            return {}
        trained = {name: value for name, value in built.networks.named_parameters() if value.requires_grad}
        found = {name: torch.zeros_like(value) for name, value in trained.items()}

        def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            held = {id(each) for group in optimizer.param_groups for each in group["params"]}
            for name, value in trained.items():
                if id(value) in held and value.grad is not None:
                    assert value.grad.dtype == torch.float64
                    torch.maximum(found[name], value.grad.abs(), out=found[name])

        for optimizer in built.optimizers.values():
            optimizer.register_step_pre_hook(note)
        subject.begin(built)
        for step, (batch, labels) in enumerate(batches):
            subject.step(built, batch.double() if batch.is_floating_point() else batch, labels, step)
    return found


def idle(found: dict[str, Tensor]) -> dict[str, int]:
    """Count each parameter's idle entries: all if it has no gradient, else those whose gradients are rounding errors.

    An entry without a gradient in a parameter that has one may be a symbol that no text contained, or an inactive unit.
    """
    most = max((float(value.max()) for value in found.values()), default=0.0)
    counts = {}
    for name, value in found.items():
        own = float(value.max())
        rounding = (value > 0) & (value < ROUNDING * own)
        counts[name] = value.numel() if own <= ROUNDING * most else int(rounding.sum())
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(("model", "shapes"), MODELS, ids=[Path(model).stem for model, _ in MODELS])
def test_every_parameter_has_an_effect(model: str, shapes: list[tuple[int, ...]]) -> None:
    taken = 0
    for shape in shapes:
        with contextlib.suppress(Refused):
            assert idle(largest_gradients(model, shape)) == KNOWN.get(model, {})
            taken += 1
    assert taken


def test_a_planted_idle_bias_is_found(write_plugin: Callable[..., Path]) -> None:
    layers = "nn.Linear(LATENT, width), "
    path = write_plugin(layers, f"{layers}nn.BatchNorm1d(width), ")
    assert idle(largest_gradients(str(path), (1, 8, 8))) == {"generator.0.bias": 256}


def test_a_bias_that_cancels_in_a_difference_is_found(tmp_path: Path) -> None:
    """The critic's own steps never see it, although the generator's steps leave a gradient there."""
    path = tmp_path / "biased.py"
    path.write_text((HERE / "models" / "wgan_gp.py").read_text().replace("1, bias=False", "1"))
    assert idle(largest_gradients(str(path), (1, 8, 8))) == {"critic.5.bias": 1}
