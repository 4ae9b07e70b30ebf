"""An evaluation calls every hook in evaluation mode and without gradients, and leaves no trace in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench import datasets, seeding
from genbench.datasets.dataset import Dataset
from genbench.errors import PluginError
from genbench.evaluation.measurement import Number
from genbench.evaluation.trained import Evaluation
from genbench.plugin.model import Model

CPU = torch.device("cpu")
HOOKS = ("reconstruct", "log_likelihood", "before_sampling", "sample")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits")


class Watched:
    """A plugin and an evaluator in one: it records its state at each call, and draws from the generator it is given."""

    def __init__(self) -> None:
        self.hook = self
        self.model = Model(nn.ModuleDict({"net": nn.Linear(4, 1)}), {})
        self.model.networks.train()
        self.states: list[tuple[str, bool, bool]] = []
        self.drawn: list[Tensor] = []
        self.change: dict[str, Any] = {}

    def implements(self, hook: str, argument: str | None = None) -> bool:
        return hook in HOOKS and argument is None

    def _called(self, hook: str) -> None:
        self.states.append((hook, self.model.networks.training, torch.is_grad_enabled()))
        if hook in self.change:
            self.change[hook](self.model.networks["net"].weight)

    def before_sampling(self, model: Model, batches: Any) -> None:
        self._called("before_sampling")
        torch.rand(3)

    def sample(self, model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        self._called("sample")
        noise = torch.randn(count, 64, generator=generator)
        self.drawn.append(noise)
        return noise.view(count, 1, 8, 8).tanh()

    def reconstruct(self, model: Model, batch: Tensor) -> Tensor:
        self._called("reconstruct")
        return batch

    def log_likelihood(self, model: Model, batch: Tensor, generator: torch.Generator) -> Any:
        self._called("log_likelihood")
        return torch.zeros(len(batch))

    def score(self, images: Tensor, labels: Tensor | None, **_: Any) -> dict[str, Number]:
        torch.rand(3)
        return {"fd": Number(1.0, "recipe")}

    def __str__(self) -> str:
        return "model 'watched'"


def evaluation(watched: Watched, digits: Dataset, seed: int = 3) -> Evaluation:
    return Evaluation(watched, watched.model, digits, watched, CPU, seed, 100, lambda event: None)  # type: ignore[arg-type]


def test_every_hook_is_called_in_evaluation_mode_and_without_gradients(digits: Dataset) -> None:
    watched = Watched()
    evaluation(watched, digits).final()
    assert {hook for hook, _, _ in watched.states} == set(HOOKS)
    assert not any(training or gradients for _, training, gradients in watched.states)


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_is_put_into_evaluation_mode_by_itself(digits: Dataset, hook: str) -> None:
    """Whatever mode the previous hook leaves: here each puts the model back into training mode."""
    watched = Watched()
    watched.change = {other: lambda weight: watched.model.networks.train() for other in HOOKS}
    evaluation(watched, digits).curve_point() if hook in HOOKS[2:] else evaluation(watched, digits).final()
    (first, *_) = [training for name, training, _ in watched.states if name == hook]
    assert not first


def test_samples_are_drawn_from_a_stream_of_their_own_that_follows_from_the_seed(digits: Dataset) -> None:
    watched = Watched()
    seeding.seed_global(3, "train")
    training = torch.randn(100, 64)
    seeding.seed_global(3, "train")
    evaluation(watched, digits).curve_point()
    torch.rand(7)  # training continues
    evaluation(watched, digits).curve_point()
    first, second = watched.drawn
    assert torch.equal(first, second)
    assert torch.equal(first, torch.randn(100, 64, generator=seeding.generator(3, "sample")))
    assert not torch.equal(first, training)


def test_an_evaluation_leaves_the_stream_of_training_where_it_was(digits: Dataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    for evaluate in ("curve_point", "final"):
        evaluated = evaluation(Watched(), digits)
        torch.manual_seed(5)
        getattr(evaluated, evaluate)()
        assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_trains_off_the_clock_is_found(digits: Dataset, hook: str) -> None:
    watched = Watched()
    watched.change = {hook: lambda weight: weight.data.add_(1)}
    with pytest.raises(
        PluginError, match=r"^model 'watched': .*changed net.weight, which is trained; train only in train"
    ) as e:
        evaluation(watched, digits).final()
    assert hook in str(e.value).partition(" changed ")[0]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda nats: nats[:-1], "log_likelihood returned (249,), expected (250,)"),
        (lambda nats: nats.to(torch.complex64), "log_likelihood returned torch.complex64, expected a float tensor"),
        (lambda nats: nats.to("meta"), "log_likelihood returned a tensor on meta, which holds no values, expected"),
        (lambda nats: nats.to_sparse(), "log_likelihood returned a tensor of layout torch.sparse_coo"),
        (lambda nats: nats.log(), "log_likelihood returned NaN or infinity"),
        (lambda nats: list(nats), "log_likelihood returned list, expected a float tensor"),
    ],
)
def test_a_likelihood_that_cannot_be_read_is_reported_in_one_line(digits: Dataset, made: Any, message: str) -> None:
    watched = Watched()
    watched.log_likelihood = lambda model, batch, generator: made(torch.zeros(len(batch)))  # type: ignore[method-assign]
    with pytest.raises(PluginError) as error:
        evaluation(watched, digits).final()
    assert str(error.value).startswith("model 'watched': ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
