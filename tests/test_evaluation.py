"""An evaluation calls every hook in evaluation mode and without gradients, and leaves no trace in training."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genbench import datasets, seeding
from genbench.datasets.dataset import Dataset
from genbench.errors import PluginError
from genbench.evaluation import trained
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
        (lambda nats: nats + 0.002, "log_likelihood returned 0.002 nats, expected at most 0"),
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


class Given(Watched):
    """One whose evaluator keeps what it is given, and whose likelihood follows from the item and the generator."""

    def __init__(self, *, conditional: bool = False) -> None:
        super().__init__()
        self.conditional = conditional
        self.given: list[dict[str, Any]] = []
        self.batches: list[Tensor] = []
        self.seeds: set[int] = set()

    def implements(self, hook: str, argument: str | None = None) -> bool:
        return super().implements(hook, argument) or (self.conditional and argument == "labels")

    def before_sampling(self, model: Model, batches: Any) -> None:
        self.batches = [batch for batch, _ in batches]

    def log_likelihood(self, model: Model, batch: Tensor, generator: torch.Generator) -> Tensor:
        self.seeds.add(generator.initial_seed())
        return -(batch + 1).flatten(1).sum(dim=1)

    def score(self, images: Tensor, labels: Tensor | None, **more: Any) -> dict[str, Number]:
        self.given.append({"images": images, "labels": labels, **more})
        return {"fd": Number(7.0, "recipe")}


def test_the_final_numbers_are_of_held_out_items_and_those_of_a_curve_of_samples_alone(digits: Dataset) -> None:
    watched = Given()
    evaluated = evaluation(watched, digits)
    assert evaluated.curve_point() == {"fd": 7.0}
    outcome = evaluated.final()
    point, final = watched.given
    assert {name for name in point if name not in ("images", "labels")} == {"curve"}
    assert (point["curve"], final["curve"]) == (True, False)
    held_out = digits.held_out.items
    for restored in (final["originals"], final["reconstructions"], outcome.reconstructions):
        assert torch.equal(restored, held_out)
    assert torch.equal(outcome.samples, final["images"])
    nats = final["log_likelihoods"]
    assert nats.dtype == torch.float64
    torch.testing.assert_close(nats, -held_out.double().flatten(1).sum(dim=1) / 127.5, rtol=1e-5, atol=1e-3)
    assert watched.seeds == {seeding.generator(3, "log_likelihood").initial_seed()}
    assert torch.equal(torch.cat(watched.batches), digits.kind.deliver(digits.train.items))


@pytest.mark.parametrize("conditional", [False, True])
def test_labels_are_those_of_a_model_that_takes_them(digits: Dataset, conditional: bool) -> None:
    watched = Given(conditional=conditional)
    evaluation(watched, digits).curve_point()
    drawn = trained.sampling.draw_labels(digits.train, 100, seeding.generator(3, "sample labels"))
    found = watched.given[0]["labels"]
    assert torch.equal(found, drawn) if conditional else found is None


def test_sampling_is_timed_batch_by_batch_for_half_a_second_and_evaluations_add_up(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On clocks that advance by an eighth of a second, and by 5, at each reading."""

    def clock(step: float) -> Callable[..., float]:
        ticks = count()
        return lambda: step * next(ticks)

    monkeypatch.setattr(trained.cost, "clock", lambda device: clock(0.125))
    monkeypatch.setattr(trained, "time", SimpleNamespace(perf_counter=clock(5.0)))
    watched = Given()
    events: list[dict[str, Any]] = []
    evaluated = Evaluation(watched, watched.model, digits, watched, CPU, 3, 350, events.append)  # type: ignore[arg-type]
    for runs in (1, 2):
        evaluated.final()
        assert evaluated.windows == [(250, 0.125), (100, 0.125), (250, 0.125), (250, 0.125)]
        assert evaluated.before_sampling_s == 0.125
        assert evaluated.seconds == 5 * runs
    assert [(event["done"], event["total"]) for event in events[:3]] == [(250, 350), (350, 350), (250, 250)]
