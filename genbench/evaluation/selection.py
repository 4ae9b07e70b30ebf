"""Which metrics are measured: looks up the names that a user gives in the table. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from genbench.errors import InputError, nearest, quoted
from genbench.kinds.nouns import NOUNS
from genbench.metrics.metric import Metric
from genbench.metrics.table import METRICS
from genbench.plugin import finding
from genbench.plugin.families import METRIC

__all__ = ["is_named", "names_in", "select"]


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, the value of `--metrics`.

    Raises:
        InputError: it names nothing, which would select the default.

    >>> names_in("fd, kid")
    ('fd', 'kid')
    """
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    if not names:
        raise InputError(f"--metrics {quoted(text)}: names no metric; name some, or leave it out for the default")
    return names


def select(
    names: Sequence[str] = (), kind: str | None = None, plugins_from: Sequence[str] | None = None
) -> tuple[Metric, ...]:
    """Return the requested metrics, in the table's order, followed by those that plugins bring.

    A plugin's metric is measured only where it is requested, by the name of its entry point.

    Args:
        names: of methods (`kernel_distance`) or of their numbers (`kid`, `fid`): only these are measured. With a plus
            before each (`+cas`) they are added to the default. Without names, the default.
        kind: of the items that are measured; None where it is not known yet: then names are checked, and plugins are
            found but not imported, and left out of what is returned. The default is what is valid for the kind.
        plugins_from: distributions whose metrics may be loaded; None for all.

    Raises:
        InputError: a name that no method or number has, a mix of names with and without a plus, a metric for another
            kind, or a plugin's that cannot be loaded.

    Example:
        >>> [metric.name for metric in select(["kid", "fid"])]
        ['frechet_distance', 'kernel_distance']
    """
    added = [name.startswith("+") for name in names]
    if any(added) and not all(added):
        raise InputError(
            f"metrics {','.join(names)!r}: put a plus before every name to add to the default, or before none"
        )
    wanted = {_method(name.removeprefix("+")) for name in names}
    if all(added):
        wanted |= {metric.name for metric in METRICS.values() if metric.default and _fits(metric, kind)}
    chosen = tuple(metric for metric in METRICS.values() if metric.name in wanted)
    chosen += _brought(sorted(wanted - METRICS.keys()), kind, plugins_from)
    for metric in chosen:
        if not _fits(metric, kind):
            takes = " and ".join(NOUNS[each] for each in metric.kinds or ())
            raise InputError(f"metric {metric.name!r} is for {takes}, but these are {NOUNS[str(kind)]}; leave it out")
    return chosen


def is_named(metric: Metric, names: Sequence[str]) -> bool:
    """Return whether a metric, or one of its numbers, is among the names that `select` was given."""
    return any(name.removeprefix("+") in _names(metric) for name in names)


def _fits(metric: Metric, kind: str | None) -> bool:
    return kind is None or metric.kinds is None or kind in metric.kinds


def _method(name: str) -> str:
    for metric in METRICS.values():
        if name in _names(metric):
            return metric.name
    offered = finding.installed(family=METRIC)
    if name in offered:
        return name
    known = [known for metric in METRICS.values() for known in _names(metric)]
    raise InputError(f"unknown metric {name!r}{nearest(name, [*known, *offered])} (`genbench metrics` lists them)")


def _brought(names: Sequence[str], kind: str | None, plugins_from: Sequence[str] | None) -> tuple[Metric, ...]:
    """Return the metrics of plugins; none where their kind is not known yet, but what is wrong with their names."""
    for name in names:
        finding.find_brought(METRIC, name, plugins_from)
    if kind is None or not names:
        return ()
    from genbench.evaluation import brought  # here, since it imports torch

    metrics = tuple(brought.load(name, plugins_from) for name in names)
    owners: dict[str, str] = {}
    for metric in metrics:
        for value in metric.values:
            if owners.setdefault(value.name, metric.name) != metric.name:
                raise InputError(
                    f"metrics {owners[value.name]!r} and {metric.name!r} both give {value.name}; ask for one of them"
                )
    return metrics


def _names(metric: Metric) -> list[str]:
    """The name of the method and those of its numbers."""
    return [metric.name, *(name for value in metric.values for name in value.names)]
