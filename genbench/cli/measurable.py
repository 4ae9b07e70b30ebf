"""Which metrics can be measured when only a file of statistics describes the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from genbench.cli.sides import Request
from genbench.errors import InputError

if TYPE_CHECKING:
    from genbench.evaluation.measurement import Reference
    from genbench.metrics import Metric

__all__ = ["split_measurable"]


def split_measurable(
    metrics: Sequence[Metric], request: Request, reference: Reference
) -> tuple[list[Metric], dict[str, str]]:
    """Return the metrics for which statistics suffice, and for the others, by name, one line of explanation.

    Raises:
        InputError: statistics suffice for none.
    """
    has_features = reference.gaussian is None
    left = [metric.name for metric in metrics if not _is_measurable(metric, has_features)]
    holds = "only features of the reference" if has_features else "only mean and covariance of the reference"
    said = f"{', '.join(left)}: need more than {request.reference} has, which holds {holds}"
    if len(left) == len(metrics):
        raise InputError(f"{said}; give the reference's images, or request other metrics")
    return [metric for metric in metrics if metric.name not in left], dict.fromkeys(left, said)


def _is_measurable(metric: Metric, has_features: bool) -> bool:
    of_data = {need for need in metric.needs if need.startswith(("reference", "held_out"))}
    return of_data <= ({"reference"} if has_features or metric.gaussian_suffices else set())
