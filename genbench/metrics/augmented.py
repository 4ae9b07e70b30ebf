"""What samples add to real items as training data: three small classifiers, tested on the same held-out items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.constants import CAS_BATCH, CAS_STEPS
from genbench.metrics.small_classifier import Network, predict, train

__all__ = ["Augmented", "augmented"]


@dataclass(frozen=True)
class Augmented:
    """For each classifier, which of the (K,) held-out items it classifies correctly, as booleans.

    Args:
        real: trained on real items.
        samples: trained on samples.
        both: trained on batches that are half real, half samples.
    """

    real: Tensor
    samples: Tensor
    both: Tensor


def augmented(
    network: Network,
    real: tuple[Tensor, Tensor],
    samples: tuple[Tensor, Tensor | None],
    test: tuple[Tensor, Tensor],
    classes: int,
    *,
    steps: int = CAS_STEPS,
    batch: int = CAS_BATCH,
    seed: int = 0,
) -> Augmented:
    """Train the same network three times, from the same weights and for the same number of steps, and test each.

    Every step sees `batch` items whatever the training set, so more data never means more training. Samples without
    labels are labelled by the classifier trained on real items.

    Paper: Ravuri & Vinyals 2019, "Classification accuracy score for conditional generative models",
    https://arxiv.org/abs/1905.10887 (there called the naive augmentation score)

    Args:
        network: for the items' kind.
        real: training items (N, ...) as stored, with their labels (N,) int64.
        samples: (M, ...) with the labels that were requested, or None.
        test: (K, ...) held-out items, with their labels.
        classes: number of classes.
        steps: training steps of each classifier.
        batch: items per step, drawn with replacement.
        seed: seeds the weights and the batches.
    """

    def trained(*pools: tuple[Tensor, Tensor]) -> list[Tensor]:
        return train(network, pools, classes, steps, batch, torch.Generator().manual_seed(seed))

    def right(weights: list[Tensor]) -> Tensor:
        found = predict(network, test[0], weights)
        return found == test[1].to(found.device)

    of_real = trained(real)
    items, asked = samples
    labelled = items, predict(network, items, of_real) if asked is None else asked
    return Augmented(right(of_real), right(trained(labelled)), right(trained(real, labelled)))
