"""Which metrics go through the checks: names of genbench's own, or `module:NAME` for a third party's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genbench.errors import InputError, nearest, quoted
from genbench.metrics.metric import Metric
from genbench.metrics.table import METRICS
from genbench.sanity.constants import COUNT
from genbench.sanity.purposes import FEATURES, readings

__all__ = ["choose"]


def choose(names: Sequence[str] = ()) -> tuple[Metric, ...]:
    """Return the requested metrics, each once; by default all whose numbers the checks can judge.

    The default omits those that need more items than a draw has (`kid_subsets`): they take minutes and are checked only
    when named.

    Args:
        names: of a method or of a number in genbench's table, or `module:NAME` of a `Metric` in an importable module;
            the folder in which Python was started counts as importable.

    Raises:
        InputError: an unknown name, a module that cannot be imported, an object that is not a `Metric`, or a metric
            that needs more than features or has no number with a direction.

    >>> [metric.name for metric in choose(["recall", "kernel_distance"])]
    ['precision_recall', 'kernel_distance']
    """
    if not names:
        return tuple(m for m in METRICS.values() if not _unfit(m) and m.least_count <= COUNT)
    chosen: dict[str, Metric] = {}
    for name in names:
        metric = _third_party(name) if ":" in name else _own(name)
        if reason := _unfit(metric):
            raise InputError(f"metric {name!r}: {reason}; the checks draw only features ({', '.join(FEATURES)})")
        if chosen.setdefault(metric.name, metric) is not metric:
            raise InputError(f"metric {name!r}: another one is also called {metric.name!r}; check them one at a time")
    return tuple(chosen.values())


def _own(name: str) -> Metric:
    by_name = {
        known: metric
        for metric in METRICS.values()
        for known in (metric.name, *(written for value in metric.values for written in value.names))
    }
    if name not in by_name:
        raise InputError(f"metric {quoted(name)}: there is no metric of this name{nearest(name, by_name)}")
    return by_name[name]


def _third_party(name: str) -> Metric:
    module_name, _, attribute = name.partition(":")
    try:
        with _importable(Path.cwd()):
            module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a third party's module may raise anything
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"metric {name!r}: {module_name!r} cannot be imported: {text}") from error
    found = getattr(module, attribute, None)
    if isinstance(found, Metric):
        return found
    metrics = [each for each, value in vars(module).items() if isinstance(value, Metric)]
    if found is None:
        raise InputError(f"metric {name!r}: {module_name} has no {quoted(attribute)}{nearest(attribute, metrics)}")
    what = type(found).__name__
    raise InputError(f"metric {name!r}: is of type {what}; give a genbench.metrics.Metric{nearest(attribute, metrics)}")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """While a module is imported, search its folder last: an installed command does not search it at all."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _unfit(metric: Metric) -> str:
    """Return why the checks cannot judge a metric, or an empty string."""
    missing = [need.replace("_", " ") for need in metric.needs if need not in FEATURES]
    if missing:
        return f"needs {' and '.join(missing)}"
    return "" if readings(metric) else "has no number with a better direction"
