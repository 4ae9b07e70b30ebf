"""`regress`: two revisions, counted and timed side by side, and the verdict."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.config import ModelSpec
from genbench.errors import InputError
from genbench.plugin import finding
from genbench.regression import baseline, checkout, installation, timing
from genbench.regression.baseline import Moved
from genbench.regression.decision import LEAST_PAIRS, Judgement, judge
from genbench.regression.process import Process
from genbench.regression.timing import Case, Sides

__all__ = ["Request", "Result", "Row", "regress"]

Show = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to compare, and how closely.

    Args:
        repository: its root.
        base: a revision.
        head: a revision, or None for the current working tree.
        models: names; if empty, the models that the repository's distributions provide at both revisions.
        pairs: number of pairs of fresh processes, at least 8.
        threshold: the slow-down that matters, such as 0.05.
        seconds: of steps, for each model and process.
        shape: (C, H, W) of the images, or (L,) of the texts, that are timed.
        batch: training images per step.
    """

    repository: Path
    base: str
    head: str | None
    models: tuple[str, ...] = ()
    pairs: int = LEAST_PAIRS
    threshold: float = 0.05
    seconds: float = timing.SECONDS
    shape: tuple[int, ...] = (1, 28, 28)
    batch: int = 64

    def __post_init__(self) -> None:
        if self.pairs < LEAST_PAIRS:
            raise InputError(f"--pairs must be at least {LEAST_PAIRS}, not {self.pairs}: fewer give no interval")
        if not 0 < self.threshold < 1:
            raise InputError(f"--threshold must be above 0% and below 100%, not {self.threshold:.3%}")
        if not 0 < self.seconds < math.inf:
            raise InputError(f"--seconds must be finite and above 0, not {self.seconds:g}")


@dataclass(frozen=True)
class Row:
    """The outcome of one model's timing; `confirming` is the second run's judgement of a suspect."""

    case: Case
    judgement: Judgement
    confirming: Judgement | None = None

    @property
    def regressed(self) -> bool:
        return self.confirming is not None and self.confirming.verdict == self.judgement.verdict == "slower"


@dataclass(frozen=True)
class Result:
    """Everything that the gate found: the counters that moved, which of them are unexplained, and the times."""

    base: str
    head: str
    moved: tuple[Moved, ...]
    unexplained: tuple[Moved, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        return bool(self.unexplained) or any(row.regressed for row in self.rows)


def regress(request: Request, show: Show) -> Result:
    """Compare two revisions: the counters first, then the times.

    Args:
        show: called with progress lines.

    Raises:
        InputError: not a repository, no such revision or model, or a revision that does not install or run.
    """
    base = f"base {request.base} ({checkout.commit_of(request.repository, request.base)[:12]})"
    head = "head (working tree)"
    if request.head is not None:
        head = f"head {request.head} ({checkout.commit_of(request.repository, request.head)[:12]})"
    with tempfile.TemporaryDirectory(prefix="genbench-regress-") as name, contextlib.ExitStack() as stack:
        room = Path(name)
        trees = [
            stack.enter_context(checkout.checked_out(request.repository, revision, room / side))
            for side, revision in (("base", request.base), ("head", request.head))
        ]
        sides = Sides(*(_install(tree, room, title, show) for tree, title in zip(trees, (base, head), strict=True)))
        models, notes = _models(request, trees)
        moved, unexplained, said = _count(sides, models, trees, (base, head), show)
        cases = [Case(model, request.shape, request.batch) for model in models]
        rows = _time(request, sides, cases, show)
    return Result(base, head, tuple(moved), tuple(unexplained), tuple(rows), (*notes, *said))


def _install(tree: Path, room: Path, title: str, show: Show) -> Path:
    show(f"installing {title}")
    target = room / f"{tree.name}-installed"
    installation.install(checkout.distributions(tree), target, title)
    return target


def _models(request: Request, trees: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the models to compare, and a note on each that only one revision has."""
    base, head = (checkout.models_of(tree) for tree in trees)
    both = [model for model in base if model in head]
    for model in request.models:
        spec = ModelSpec.parse(model)
        name = spec.name.rpartition(":")[2]
        if name not in {*base, *head}:
            finding.find(spec)  # not part of the repository, so the same on both sides: what runs it may differ
        elif name not in both:
            side = "head" if name in base else "base"
            raise InputError(f"model {name!r} is not in {side}: there is nothing to compare it with")
    if request.models:
        return list(request.models), []
    if not both:
        raise InputError("the two revisions have no model in common; name an installed one with -m")
    notes = [f"{model} is new: nothing to compare it with" for model in head if model not in base]
    return both, notes + [f"{model} is only in base" for model in base if model not in head]


def _count(
    sides: Sides, models: Sequence[str], trees: Sequence[Path], titles: tuple[str, str], show: Show
) -> tuple[list[Moved], list[Moved], list[str]]:
    """Count both sides; a counter that moved is explained if the head's baseline file has its new value."""
    with Process(titles[0], sides.base) as base, Process(titles[1], sides.head) as head:
        here = baseline.versions(head)
        counted = [baseline.count_models(process, models, show) for process in (base, head)]
    moved = baseline.compare(counted[0], counted[1])
    stored = [baseline.read(path) if (path := tree / baseline.BASELINE).exists() else None for tree in trees]
    if stored[1] is None:
        return moved, moved, [f"head has no {baseline.BASELINE}, which would explain counters that are meant to move"]
    skip, said = baseline.not_compared(stored[1], here)
    known = {model: stored[1]["counts"].get(model, {}) for model in models}
    wrong = {(one.model, one.shape, one.counter) for one in baseline.compare(known, counted[1], skip)}
    if said:  # a baseline from other versions cannot be checked; it must suffice that it was changed here
        before = {model: stored[0]["counts"].get(model, {}) if stored[0] else {} for model in models}
        changed = {(one.model, one.shape, one.counter) for one in baseline.compare(before, known)}
        wrong |= {key for one in moved if (key := (one.model, one.shape, one.counter)) not in changed}
    unexplained = [one for one in moved if (one.model, one.shape, one.counter) in wrong]
    return moved, unexplained, [said] if said else []


def _time(request: Request, sides: Sides, cases: Sequence[Case], show: Show) -> list[Row]:
    """Time all models, and time those that look slower again, in separate processes and pairs."""
    first = _judged(request, sides, cases, show)
    suspects = [case for case in cases if first[case].verdict == "slower"]
    if suspects:
        show(f"confirming {', '.join(map(str, suspects))}")
    second = _judged(request, sides, suspects, show) if suspects else {}
    return [Row(case, first[case], second.get(case)) for case in cases]


def _judged(request: Request, sides: Sides, cases: Sequence[Case], show: Show) -> dict[Case, Judgement]:
    timings = timing.measure(sides, cases, request.pairs, request.seconds, show)
    return dict(zip(timings, judge(list(timings.values()), request.threshold), strict=True))
