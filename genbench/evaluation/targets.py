"""Which targets can be met: numbers that curves contain, towards their better side. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genbench.config import Benchmark, Settings
from genbench.config.target import Target
from genbench.errors import InputError, nearest
from genbench.evaluation.selection import select
from genbench.metrics.metric import Metric
from genbench.metrics.table import DIRECTIONS, METRICS
from genbench.records.real_ratio import REAL_ABOVE_ZERO

__all__ = ["check_benchmark", "check_measured", "read_targets"]

_SIGNS = {"lower": "<", "higher": ">"}


def read_targets(texts: Sequence[str]) -> list[Target]:
    """Return the targets, each once, in their order.

    Raises:
        InputError: a target cannot be read, names an unknown number, one without a direction or one that curves do not
            contain, or asks for the worse side.
    """
    return list(dict.fromkeys(_read(text) for text in texts))


def check_benchmark(benchmark: Benchmark) -> None:
    """Refuse targets that no cell of a benchmark can meet, or that have no effect.

    Raises:
        InputError: as `read_targets`; a number that is not measured; a ratio without the control `real`; stopping at a
            ratio, or without a target.
    """
    settings = benchmark.settings
    targets = read_targets(settings.target)
    if settings.stop_at_target and not targets:
        raise InputError("stop_at_target has no effect without a target; name one, such as --target 'fd<5'")
    for target in targets:
        measured = _names(select(settings.metrics))
        if target.number not in measured:
            raise InputError(f"target '{target}': {target.number} is not measured here; add it to --metrics")
        if target.is_ratio and "real" not in (*benchmark.controls, *(model.name for model in benchmark.models)):
            raise InputError(f"target '{target}': needs the control real; add --control real, or give {target.number}")
        if target.is_ratio and settings.stop_at_target:
            raise InputError(
                f"target '{target}': no cell can stop there, as none knows the score of the control real in training; "
                f"give a target of {target.number}"
            )


def check_measured(settings: Settings, kind: str, earned: Mapping[str, str], dataset: str) -> None:
    """Refuse to stop at a target that no curve on this dataset contains: for other kinds of items or other networks.

    Args:
        settings: of the cells.
        kind: of the dataset's items.
        earned: names that the extractor's weights earn, `Extractor.earned`.
        dataset: its name, for the error.
    """
    if not settings.stop_at_target:
        return
    held = [
        name
        for metric in select(settings.metrics, kind)
        if metric.curve
        for name in metric.reported_names(earned).values()
    ]
    for target in read_targets(settings.target):
        if target.number not in held:
            have = ", ".join(held) or "no number"
            raise InputError(f"target '{target}': curves on {dataset} have no {target.number}; they have {have}")


def _read(text: str) -> Target:
    target = Target.parse(text)
    on_curves = _names([metric for metric in METRICS.values() if metric.curve])
    known = [*on_curves, *(f"{name}_ratio" for name in on_curves if name in REAL_ABOVE_ZERO)]
    if target.name not in known:
        if target.name not in DIRECTIONS:
            raise InputError(f"target '{target}': unknown number{nearest(target.name, known)}")
        named = ", ".join(name for name in known if _direction(name))
        raise InputError(
            f"target '{target}': {target.name} is measured only at the end of training; curves contain {named}"
        )
    direction = _direction(target.name)
    if direction is None:
        raise InputError(f"target '{target}': {target.name} has no better side, so it cannot be a target")
    if target.sign != _SIGNS[direction]:
        better = f"{target.name}{_SIGNS[direction]}{target.bound:.15g}"
        raise InputError(f"target '{target}': {direction} {target.name} is better; write {better}")
    return target


def _direction(name: str) -> str | None:
    return DIRECTIONS[name.removesuffix("_ratio")]


def _names(metrics: Sequence[Metric]) -> list[str]:
    """Return every name that a number of these metrics may have, under any extractor."""
    return list(dict.fromkeys(name for metric in metrics for value in metric.values for name in value.names))
