"""Counters of models at fixed shapes: counted in a fresh process, kept in a file, and compared exactly."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import InputError
from genbench.machine import atomic
from genbench.machine.regular_file import read_regular
from genbench.regression.process import Process

__all__ = [
    "BASELINE",
    "UPDATE",
    "Counts",
    "Moved",
    "compare",
    "count_models",
    "not_compared",
    "read",
    "steady",
    "write",
]

BASELINE = Path("benchmarks/counters.json")  # from the root of the repository
UPDATE = "genbench regress --update-counters"
SCHEMA = 1
SHAPES: tuple[tuple[int, ...], ...] = ((1, 8, 8), (1, 28, 28), (16,), (1, 256))  # of images, texts and clips
BATCH = 16  # the calls of a step do not depend on it, but the time to count them does
ROUNDING = {"python_bytes": 1024}  # smaller differences count as equal: object sizes vary that much between runs
# Versions on which a counter depends, besides the code; where they differ from the baseline's it is not compared.
ON_TORCH = ("operator_calls", "peak_bytes", "kernels", "synchronisations", "graphs", "graph_breaks", "recompilations")
ON_PYTHON = ("python_calls", "python_bytes")  # and on torch

Counts = dict[str, dict[str, dict[str, Any]]]  # model -> shape -> counter -> value


@dataclass(frozen=True)
class Moved:
    """One counter of one model that has changed; None where one side lacks it."""

    model: str
    shape: str
    counter: str
    was: int | None
    now: int | None
    detail: str = ""

    def __str__(self) -> str:
        was, now = ("none" if value is None else f"{value:,}" for value in (self.was, self.now))
        return f"{self.model} at {self.shape}: {self.counter} {was} → {now}{self.detail}"


def versions(process: Process) -> dict[str, str]:
    """Return the versions on which counters depend: torch's without build suffix, Python's without the patch level."""
    torch = str(process.ask("hello")["torch"]).partition("+")[0]
    return {"torch": torch, "python": ".".join(platform.python_version_tuple()[:2])}


def count_models(process: Process, models: Sequence[str], show: Callable[[str], None]) -> Counts:
    """Count one training step of each model at each of the shapes that it accepts.

    Raises:
        InputError: a model is missing, does not run, or accepts none of the shapes.
    """
    counts: Counts = {model: {} for model in models}
    # All uncompiled ones first: what compiling leaves in a process changes the interpreter's calls in later steps.
    for compiled in (False, True):
        for model in models:
            refusal = ""
            taken = [shape for shape in SHAPES if "x".join(map(str, shape)) in counts[model]]
            for shape in taken[:1] if compiled else SHAPES:  # compilation hardly depends on the shape
                show(f"counting {process.name}: {model}{' compiled' if compiled else ''}")
                answer = process.ask("count", model=model, shape=shape, batch=BATCH, compiled=compiled)
                refusal = answer.get("refused", refusal)
                if "counts" in answer:
                    counts[model].setdefault("x".join(map(str, shape)), {}).update(answer["counts"])
            if not counts[model]:
                raise InputError(f"{process.name}: {model} accepts none of the shapes that are counted: {refusal}")
    return counts


def compare(was: Counts, now: Counts, skip: Sequence[str] = ()) -> list[Moved]:
    """Return every counter that moved, including models and shapes that only one side has.

    Args:
        skip: counters that are not compared.
    """
    moved = []
    for model in sorted({*was, *now}):
        for shape in sorted({*was.get(model, {}), *now.get(model, {})}):
            before, after = (counts.get(model, {}).get(shape, {}) for counts in (was, now))
            for counter in (*dict.fromkeys([*before, *after]),):
                if counter == "operators" or counter in skip:
                    continue
                one, other = before.get(counter), after.get(counter)
                if not _equal(counter, one, other):
                    detail = _operators(before, after) if counter == "operator_calls" else ""
                    moved.append(Moved(model, shape, counter, one, other, detail))
    return moved


def not_compared(baseline: Mapping[str, Any], here: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Return the counters that a baseline from other versions cannot check, and a line that says so, or ""."""
    stored = {name: baseline[name] for name in here}
    skip: tuple[str, ...]
    if stored["torch"] != here["torch"]:
        skip, what = (*ON_TORCH, *ON_PYTHON), "torch"
    elif stored["python"] != here["python"]:
        skip, what = ON_PYTHON, "python"
    else:
        return (), ""
    return skip, (
        f"the baseline is for {what} {stored[what]}, this is {what} {here[what]}; not compared: {', '.join(skip)}"
    )


def read(path: Path) -> dict[str, Any]:
    """Read a baseline file; raise `InputError` if it is not one, or has a schema that this version does not know."""
    try:
        baseline: dict[str, Any] = json.loads(read_regular(path))
        if baseline["schema"] == SCHEMA and {"torch", "python", "counts"} <= baseline.keys():
            return baseline
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; create it with: {UPDATE}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a baseline of counters; recreate it with: {UPDATE}") from error
    raise InputError(f"{path} has schema {baseline['schema']}, this version reads {SCHEMA}; recreate it with: {UPDATE}")


def write(path: Path, counts: Counts, here: Mapping[str, str]) -> None:
    """Write a baseline file; the same counts give the same bytes."""
    document = {"schema": SCHEMA, **here, "batch": BATCH, "counts": counts}
    atomic.write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")


def steady(before: Counts, now: Counts) -> Counts:
    """Return `now` with run-to-run variation reset to `before`, so that a file's diff shows only real changes."""
    return {
        model: {
            shape: {
                counter: was
                if counter in ROUNDING
                and (was := before.get(model, {}).get(shape, {}).get(counter)) is not None
                and _equal(counter, was, value)
                else value
                for counter, value in counters.items()
            }
            for shape, counters in shapes.items()
        }
        for model, shapes in now.items()
    }


def _equal(counter: str, one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < ROUNDING.get(counter, 1)


def _operators(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return which operators are called more or less often, as ` (aten.mul.Tensor 3 → 4)`."""
    one, other = before.get("operators", {}), after.get("operators", {})
    changed = [
        f"{name} {one.get(name, 0)} → {other.get(name, 0)}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]
    return f" ({', '.join(changed)})" if one and other and changed else ""
