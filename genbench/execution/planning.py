"""Checks a request in worker processes, and assigns an identity to each of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from genbench.config import CONTROL_KINDS, CONTROLS, Benchmark, Cell
from genbench.errors import GenbenchError, InputError
from genbench.execution.executor import Executor, FoundModel
from genbench.execution.limits import Limits
from genbench.kinds.nouns import NOUNS
from genbench.machine.privacy import without_home
from genbench.plugin import finding
from genbench.plugin.source_hash import Coverage
from genbench.records.record import Record, cell_id

__all__ = ["Listener", "Planned", "plan"]

CHECK_TIMEOUT_S = 120.0  # a plugin that takes longer to import is left for its cell to report


@dataclass(frozen=True)
class Planned:
    """A cell, its identity, and its description in the record."""

    cell: Cell
    id: str
    description: dict[str, Any]
    covered: Coverage | None = None  # the files of the model's code
    unsuitable: str | None = None  # why the model does not support the data


class Listener(Protocol):
    """Receives the progress of a benchmark; the command line shows it."""

    def checking(self, what: str, event: Mapping[str, Any] | None) -> None:
        """Something is being checked; `event` reports how far the check is."""

    def all_planned(self, planned: Sequence[Planned]) -> None:
        """The checks are over, and these are all cells, in the order in which they begin."""

    def started(self, number: int, total: int, planned: Planned, before: Record | None) -> None:
        """A cell begins; `number` counts from 1, and `before` is the record of a failed attempt."""

    def event(self, planned: Planned, event: Mapping[str, Any]) -> None:
        """A cell reports a stage, progress within one, a notice, or a long silence."""

    def ended(self, number: int, total: int, planned: Planned, record: Record, kept: bool) -> None:
        """A cell has a record; `kept` if it was finished before this run, or by another run in the meantime."""

    def waiting(self, count: int) -> None:
        """The remaining `count` cells are all being run by another process on the same directory."""


def plan(
    benchmark: Benchmark,
    found: Mapping[str, finding.Found],
    executor: Executor,
    listener: Listener,
    limits: Limits,
    plugins_from: Sequence[str] | None = None,
) -> list[Planned]:
    """Check data and models in worker processes, and assign each cell its identity.

    Args:
        benchmark: the request.
        found: its models, by label.
        executor: runs the checks.
        listener: follows the checks.
        limits: of each check.
        plugins_from: distributions that third-party datasets, extractors and metrics may come from; None for all.

    Raises:
        InputError: the request is at fault.
    """
    planned = []
    options = {model.label: model.options for model in benchmark.models}
    covered = {label: each.coverage(options[label]) for label, each in found.items()}
    provenance = {label: each.provenance(covered[label]).to_json() for label, each in found.items()}
    specs = {model.label: model for model in benchmark.models}
    executor.prepare([FoundModel(specs[label], covered[label], provenance[label]) for label in found])
    model_limits = replace(limits, seconds=min(limits.seconds or CHECK_TIMEOUT_S, CHECK_TIMEOUT_S))
    cells = benchmark.cells()
    for dataset in benchmark.datasets:
        own = [cell for cell in cells if cell.dataset == dataset]
        asked = {**own[0].to_json(), "plugins_from": plugins_from}
        data = _check(executor, "check_data", asked, dataset, listener, Limits())
        assert data is not None, "check_data gives a value or raises"
        listener.checking(dataset, {"event": "notice", "text": _what_is_measured(data)})
        unsuitable: dict[str, str] = {}  # by label
        own = _with_controls_of(benchmark, own, data["dataset"]["kind"], unsuitable)
        for cell in own:
            label = cell.model.label
            if label in found and cell.seed == benchmark.seeds[0]:
                payload = {"cell": cell.to_json(), "data": data, "distribution": found[label].distribution}
                told = _check(executor, "check_model", payload, label, listener, model_limits) or {}
                if reason := told.get("unsuitable"):
                    unsuitable[label] = str(reason)
        names: dict[str, str] = {}  # of the first seed's cells, by identity
        for cell in own:
            label = cell.model.label
            summary = found[label].summary() if label in found else CONTROLS[label]
            each = _identify(cell, data, provenance.get(label), summary, covered.get(label))
            if names.setdefault(each.id, label) != label:
                raise InputError(
                    f"models {names[each.id]!r} and {label!r} are the same code with the same options; leave one out"
                )
            planned.append(replace(each, unsuitable=unsuitable.get(label)))
    models = [each for each in planned if each.cell.model.label in found]
    if models and all(each.unsuitable for each in models):
        first = models[0]
        raise InputError(
            f"nothing would run: {first.cell.model.label} is not applicable to {first.cell.dataset}: {first.unsuitable}"
        )
    return planned


def _with_controls_of(benchmark: Benchmark, cells: list[Cell], kind: str, unsuitable: dict[str, str]) -> list[Cell]:
    """Drop the controls for other kinds of items from the cells; one requested by name is kept as not applicable.

    Args:
        benchmark: whose cells they are.
        cells: of one dataset.
        kind: of its items.
        unsuitable: receives the reason why a control does not fit.
    """
    asked = {model.name for model in benchmark.models}
    if benchmark.controls != tuple(CONTROLS):
        asked |= set(benchmark.controls)
    foreign = {name: takes for name, takes in CONTROL_KINDS.items() if kind not in takes}
    for name in asked & foreign.keys():
        unsuitable[name] = f"is only for {' and '.join(NOUNS[taken] for taken in foreign[name])}"
    return [cell for cell in cells if cell.model.name not in foreign or cell.model.name in asked]


def _what_is_measured(data: Mapping[str, Any]) -> str:
    """Describe what the evaluation of each cell will compute, since it may take longer than the training."""
    metrics = sorted(data["metrics"])
    return f"measured on {data['samples']:,} samples per cell, {data['extractor']['extractor']}: {', '.join(metrics)}"


def _check(
    executor: Executor, task: str, payload: dict[str, Any], what: str, listener: Listener, limits: Limits
) -> dict[str, Any] | None:
    listener.checking(what, None)
    outcome = executor.run(task, payload, lambda event: listener.checking(what, event), limits=limits)
    if not outcome.ok and outcome.kind == "input":
        raise InputError(outcome.reason)
    if not outcome.ok and task == "check_data":
        tail = (outcome.traceback or outcome.log_tail).strip()
        raise GenbenchError(f"{what}: {outcome.reason}", *tail.splitlines())
    return outcome.value


def _identify(
    cell: Cell,
    data: Mapping[str, Any],
    plugin: dict[str, str] | None,
    summary: str,
    covered: Coverage | None = None,
) -> Planned:
    """Create the description for the cell's record, and from it the cell's identity."""
    description = _description(cell, data, plugin, summary)
    return Planned(cell, cell_id(description), description, covered)


def _description(cell: Cell, data: Mapping[str, Any], plugin: dict[str, str] | None, summary: str) -> dict[str, Any]:
    """Return the cell's description in its record: all that can change its numbers must be in it (`record.cell_id`)."""
    settings = cell.settings
    return {
        "model": _name(cell),
        "label": without_home(cell.model.label),
        "options": _options(cell),
        "role": "control" if cell.is_control else "model",
        "summary": summary,
        "plugin": plugin,
        "dataset": data["dataset"],
        "seed": cell.seed,
        "budget": str(settings.budget),
        "batch_size": settings.batch_size,
        "training_precision": settings.training_precision,
        "compile": settings.compile,
        **_graph(cell),
        **_ranks(cell),
        **_stop(cell),
        "device": data["device"],
        "evaluations": settings.evaluations,
        "samples": data["samples"],
        "extractor": data["extractor"],
        "metrics": data["metrics"],
    }


def _options(cell: Cell) -> dict[str, Any]:
    return {name: without_home(each) if isinstance(each, str) else each for name, each in cell.model.options.items()}


def _name(cell: Cell) -> str:
    # The location of a file does not matter: its source is hashed.
    return Path(cell.model.name).stem if cell.model.is_file else cell.model.name.rpartition(":")[2]


def _graph(cell: Cell) -> dict[str, bool]:
    """Return the entry for CUDA graphs: nothing unless requested, so that older cells keep their identity."""
    return {"cuda_graph": True} if cell.settings.cuda_graph else {}


def _ranks(cell: Cell) -> dict[str, int]:
    """Return the number of ranks that train a model; nothing for one, so that other cells keep their identity."""
    return {"ranks": cell.settings.ranks} if cell.settings.ranks != 1 and not cell.is_control else {}


def _stop(cell: Cell) -> dict[str, list[str]]:
    """Return the targets that end training, since these can change its numbers; nothing if none does."""
    return {"stop_at_target": sorted(cell.settings.target)} if cell.settings.stop_at_target else {}
