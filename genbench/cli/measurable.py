"""Which metrics can be measured without the model that made the items, and against what a reference holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from genbench.cli.sides import Request
from genbench.errors import InputError

if TYPE_CHECKING:
    from genbench.datasets.dataset import Dataset
    from genbench.evaluation.references import Reference
    from genbench.features.extractor import Extractor
    from genbench.metrics import Metric

__all__ = ["split_applicable", "split_measurable"]

_OF_A_MODEL = ("sample_labels", "originals", "reconstructions", "log_likelihoods")


def split_applicable(
    metrics: Sequence[Metric], data: Dataset, extractor: Extractor
) -> tuple[list[Metric], dict[str, str]]:
    """Return the metrics whose needs can be met, and for the others, by name, one line that says what is not there.

    Raises:
        InputError: none of them can be measured; nothing has been extracted.
    """
    absent = dict(_absent(data, extractor))
    left = {
        metric.name: f"{metric.name}: needs {absent[need][0]}, {absent[need][1]}"
        for metric in metrics
        if (need := next((need for need in metric.needs if need in absent), None)) is not None
    }
    if metrics and len(left) == len(metrics):
        raise InputError(f"nothing to measure: {'; '.join(left.values())}; request other metrics")
    return [metric for metric in metrics if metric.name not in left], left


def _absent(data: Dataset, extractor: Extractor) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the fields of `Evidence` that cannot be there, each with its name in words and the reason."""
    held_out = data.held_out
    of_data = {
        "reference_labels": data.train.labels is not None,
        **dict.fromkeys(("held_out", "held_out_logits", "held_out_items"), len(held_out) > 0),
        "held_out_labels": len(held_out) > 0 and held_out.labels is not None,
        **dict.fromkeys(("sample_modes", "mode_count"), data.nearest_mode is not None),
        **dict.fromkeys(("sample_log_probabilities", "entropy"), data.log_probability is not None),
    }
    words = {
        **dict.fromkeys(("held_out", "held_out_items"), f"held-out {data.kind.noun}"),
        "held_out_labels": "held-out labels",
        "sample_modes": "known modes",
    }
    for need in _OF_A_MODEL:
        yield need, (need.replace("_", " "), "which only a model gives, in genbench run")
    for need in (need for need, there in of_data.items() if not there):
        why = "which the reference does not have"
        if need == "reference_labels" and not held_out:  # a --reference: its file may hold labels
            why = "which --reference does not read; -d npz:PATH reads those of an .npz"
        yield need, (words.get(need, need.replace("_", " ")), why)
    if extractor.classes is None:
        for need in ("sample_logits", "reference_logits"):
            yield need, ("logits", f"which {extractor.name} does not give")


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
    said = f"{', '.join(left)}: need{'s' * (len(left) == 1)} more than {request.reference} has, which holds {holds}"
    if len(left) == len(metrics):
        raise InputError(f"{said}; give the reference's images, or request other metrics")
    return [metric for metric in metrics if metric.name not in left], dict.fromkeys(left, said)


def _is_measurable(metric: Metric, has_features: bool) -> bool:
    of_data = {need for need in metric.needs if need.startswith(("reference", "held_out"))}
    return of_data <= ({"reference"} if has_features or metric.gaussian_suffices else set())
