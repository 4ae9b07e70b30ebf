"""The parts of a report that make it traceable: failures, models, machines, data, and how to reproduce it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genbench.records.lean import distinct, per_template, seed_of, shared_cell
from genbench.report.escape import code, fence, text
from genbench.report.formatting import NOTHING
from genbench.report.machines import machine_table, machines
from genbench.report.model import Details
from genbench.report.order import Record
from genbench.report.tables import markdown_table

__all__ = ["command_of", "data", "failed", "families", "machine", "reproduce"]

_MOST_TRACEBACKS = 50
_MOST_CHARACTERS = 8000


def failed(records: Iterable[Record]) -> list[str]:
    """Return every failed cell with stage and reason, and the end of its traceback and log in a fold."""
    lost = [record for record in records if record["status"] == "failed"]
    if not lost:
        return []
    lines = []
    for record in lost:
        cell, failure = record["cell"], record.get("failure") or {}
        reason = text(failure.get("reason") or "no reason recorded")
        where = [code(cell["label"]), text(cell["dataset"]["name"]), str(cell["seed"]), _origin(cell) or NOTHING]
        lines.append([*where, text(failure.get("stage") or NOTHING), reason])
    table = markdown_table(["cell", "dataset", "seed", "plugin", "stage", "reason"], lines, left=6)
    folds = [fold for record in lost if (fold := _last_words(record))]
    more = f"The other {len(folds) - _MOST_TRACEBACKS} tracebacks are in the records."
    return ["## Failed", table, *folds[:_MOST_TRACEBACKS], *([more] if len(folds) > _MOST_TRACEBACKS else [])]


def families(records: Iterable[Record]) -> list[str]:
    """Return each model's and control's own description, and the distribution and source that it came from."""
    kinds: dict[str, dict[str, None]] = {"model": {}, "control": {}}
    for record in distinct(records):
        cell = record["cell"]
        origin = _origin(cell)
        digest = (cell.get("plugin") or {}).get("source_sha256")
        source = f" ({origin}{f', source {code(str(digest)[:8])}' if digest else ''})" if origin else ""
        summary = text(cell.get("summary") or "no description")
        kinds["model" if cell["role"] == "model" else "control"][f"- {code(cell['model'])}: {summary}{source}"] = None
    parts = ["## Model families", "\n".join(kinds["model"])] if kinds["model"] else []
    if kinds["control"]:
        parts += [
            "Controls are not models; they anchor the table and are shown without a rank:",
            "\n".join(kinds["control"]),
        ]
    return parts


def machine(records: Sequence[Record]) -> list[str]:
    """Return the machines, with a note that times are not compared across machines."""
    known = machines(records)
    if not known:
        return []
    parts = ["## Machine", machine_table(known, records)]
    if len(known) > 1:
        parts.insert(
            1,
            f"The cells ran on {len(known)} machines or software versions. Times and speeds are averaged and "
            "compared only within one of them, never across.",
        )
    return parts


def data(records: Iterable[Record]) -> list[str]:
    """Return the datasets with their sizes, fingerprints and licences."""
    known = {
        (record["cell"]["dataset"]["name"], str(record["cell"]["dataset"].get("fingerprint"))): record["cell"][
            "dataset"
        ]
        for record in distinct(records)
    }
    lines = [
        [
            code(name),
            text(dataset.get("kind") or NOTHING),
            text("×".join(map(str, dataset.get("shape") or [])) or NOTHING),
            *(text(NOTHING if dataset.get(field) is None else dataset[field]) for field in _COUNTS),
            code(fingerprint[:8]),
            text(dataset.get("licence") or NOTHING),
        ]
        for (name, fingerprint), dataset in known.items()
    ]
    header = ["dataset", "kind", "shape", "classes", "training items", "held-out items", "fingerprint", "licence"]
    return ["## Data", markdown_table(header, lines, left=8)]


def reproduce(records: Sequence[Record], command: str | None) -> list[str]:
    """Return the command that reproduces these records: the given one, or one derived from the cells."""
    built = command or "\n".join(command_of(records))
    return [
        "## How to reproduce",
        fence(built, "sh"),
        "`genbench report DIR` renders the report again without training.",
    ]


def command_of(records: Iterable[Record]) -> list[str]:
    """Return the `genbench run` commands, one for each budget and combination of settings in the cells."""
    groups: dict[str, tuple[Mapping[str, Any], dict[str, None], dict[str, None], set[int]]] = {}
    said = per_template(_said)
    for record in records:
        cell = shared_cell(record)
        if cell["role"] != "model":
            continue
        key, model, dataset = said(record)
        _, models, datasets, seeds = groups.setdefault(key, (cell, {}, {}, set()))
        models[model] = None
        datasets[dataset] = None
        seeds.add(seed_of(record))
    commands = []
    for cell, models, datasets, seeds in groups.values():
        words = ["genbench", "run"]
        words += [word for model in models for word in ("-m", model)]
        words += [word for dataset in datasets for word in ("-d", dataset)]
        words += [word for name, flag in _FLAGS if cell.get(name) is not None for word in (flag, str(cell[name]))]
        words += ["--seeds", str(max(seeds) + 1), *(flag for name, flag in _SWITCHES if cell.get(name))]
        commands.append(shlex.join(words))
    return commands or ["genbench run"]


def _said(record: Record) -> tuple[str, str, str]:
    """Return the settings of a record's command, its model and its dataset."""
    cell = record["cell"]
    return _key([cell.get(name) for name, _ in _FLAGS]), _argument(cell), str(cell["dataset"]["name"])


_COUNTS = ("classes", "train_count", "held_out_count")
_FLAGS = (
    ("budget", "--budget"),
    ("batch_size", "--batch-size"),
    ("evaluations", "--evaluations"),
    ("samples", "--samples"),
    ("training_precision", "--training-precision"),
    ("device", "--device"),
    ("ranks", "--ranks"),
)
_SWITCHES = (("compile", "--compile"), ("cuda_graph", "--cuda-graph"))


def _argument(cell: Mapping[str, Any]) -> str:
    written = dict(cell.get("options") or {})
    if cell["label"] != cell["model"] and ":" not in cell["label"]:  # a label made of name and options contains one
        written["label"] = cell["label"]
    options = ",".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in written.items()
    )
    return f"{cell['model']}:{options}" if options else str(cell["model"])


def _origin(cell: Mapping[str, Any]) -> str:
    # A plugin that failed before it was loaded may have no version.
    plugin = cell.get("plugin") or {}
    return text(" ".join(str(plugin[name]) for name in ("distribution", "version") if plugin.get(name)))


def _last_words(record: Record) -> str:
    cell, failure = record["cell"], record.get("failure") or {}
    traceback, log = (str(failure.get(key) or "").strip() for key in ("traceback", "log_tail"))
    if traceback:
        log = log.replace(traceback, "").strip()  # a process ends by printing its traceback, which is shown above
    parts = [("Traceback", traceback), ("Log", log)]
    blocks = [f"{name}:\n\n{fence(_tail(content))}" for name, content in parts if content]
    title = f"{cell['label']} on {cell['dataset']['name']}, seed {cell['seed']}"
    return Details(title, blocks) if blocks else ""


def _tail(content: str) -> str:
    return content if len(content) <= _MOST_CHARACTERS else f"…{content[-_MOST_CHARACTERS:]}"


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
