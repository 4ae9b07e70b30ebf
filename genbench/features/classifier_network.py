"""The small classifier behind `classifier`, and the single procedure that trains it, for items of every kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import seeding
from genbench.datasets.dataset import Split
from genbench.features.intake import Intake

__all__ = ["FEATURES", "SLOPE", "Classifier", "Design", "train_classifier"]

FEATURES = 64
SLOPE = 0.1
_BATCH = 64
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 6, 800, 4000
_NORMALISED_ON = 2048
_LEARNING_RATE, _WEIGHT_DECAY = 3e-3, 1e-2
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Design:
    """The design of the classifier for items of one kind and shape.

    Args:
        procedure: the name of the network and its training; any change to the weights requires a new name.
        intake: the items it takes.
        body: builds all layers but the last two, and returns them with the number of values per item they output.
        varied: augments the prepared items of a training batch without invalidating their labels, using the generator.
        item_bytes: approximate memory that one item needs as it passes through the network.
        without_labels: the extractor to use for a dataset without labels.
    """

    procedure: str
    intake: Intake
    body: Callable[[], tuple[list[nn.Module], int]]
    varied: Callable[[Tensor, torch.Generator], Tensor]
    item_bytes: int
    without_labels: str


class Classifier(nn.Module):
    """From a prepared batch to (B, 64) features (the last layer's input) and (B, K) logits."""

    def __init__(self, design: Design, classes: int) -> None:
        super().__init__()
        layers, inputs = design.body()
        self.body = nn.Sequential(*layers)
        self.embed = nn.Linear(inputs, FEATURES)
        self.classify = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = F.leaky_relu(self.embed(self.body(x)), SLOPE)
        return features, self.classify(features)

    @torch.no_grad()
    def set_feature_scale(self, factor: float) -> None:
        """Multiply the features by `factor`, leaving the logits unchanged (a leaky ReLU commutes with the factor)."""
        self.embed.weight.mul_(factor)
        self.embed.bias.mul_(factor)
        self.classify.weight.div_(factor)


def train_classifier(
    design: Design, classes: int, split: Split, progress: Callable[[int, int], None] | None = None
) -> Classifier:
    """Train on `split` on the CPU and return the network in evaluation mode, its features scaled to mean variance 1.

    Uses AdamW with a one-cycle learning rate, and cross-entropy.
    All randomness comes from one fixed seed, and a single thread computes, so that the result does not depend on the
    number of threads; torch's generators, thread count and gradient mode are restored.

    Args:
        design: of the network.
        classes: K, at least 2.
        split: labelled items.
        progress: called with (step, steps).
    """
    assert split.labels is not None
    steps = min(max(_EPOCHS * len(split) // _BATCH, _FEWEST_STEPS), _MOST_STEPS)
    randomness = seeding.generator(0, design.procedure, "batches")
    batches = _batches(len(split), randomness)
    with _isolated(design):
        network = Classifier(design, classes)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
        for step in range(steps):
            chosen = next(batches)
            items = design.varied(_prepared(design, split.items.index_select(0, chosen)), randomness)
            loss = F.cross_entropy(network(items)[1], split.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress is not None:
                progress(step + 1, steps)
        _normalise(network.eval().requires_grad_(False), _prepared(design, split.items[:_NORMALISED_ON]))
    return network


def _prepared(design: Design, items: Tensor) -> Tensor:
    return design.intake.prepared(items, _CPU, torch.float32)


@contextlib.contextmanager
def _isolated(design: Design) -> Iterator[None]:
    """Use one thread, enable gradients and seed torch's CPU generator; restore everything at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            torch.default_generator.manual_seed(seeding.derive(0, design.procedure, "weights"))
            yield
    finally:
        torch.set_num_threads(threads)


def _batches(count: int, randomness: torch.Generator) -> Iterator[Tensor]:
    """Yield batches of indices endlessly, each item once per epoch."""
    order = torch.empty(0, dtype=torch.int64)
    while True:
        while len(order) < _BATCH:
            order = torch.cat([order, torch.randperm(count, generator=randomness)])
        yield order[:_BATCH]
        order = order[_BATCH:]


def _normalise(network: Classifier, items: Tensor) -> None:
    """Scale the features to mean variance 1, so that distances on different datasets have the same magnitude."""
    features = network(items)[0]
    variance = features.double().var(dim=0).mean().item()
    if variance > 0:
        network.set_feature_scale(variance**-0.5)
