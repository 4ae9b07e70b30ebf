"""`genbench.run` and `genbench.Report`: run a benchmark from Python, as on the command line, and show its report."""

from __future__ import annotations

import contextlib
import shlex
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.config import CONTROLS, Benchmark, Budget, Settings, make_benchmark
from genbench.config.model_spec import LABEL
from genbench.datasets import reads_data_root
from genbench.datasets.cacheless import without_cache
from genbench.execution.benchmark import Listener, run_benchmark
from genbench.execution.conditions import Conditions
from genbench.machine.home import settings_of_matplotlib
from genbench.machine.privacy import without_home
from genbench.observers import observing
from genbench.progress import listener_for
from genbench.records.record import Record

__all__ = ["Report", "command_for", "default_directory", "run"]

if TYPE_CHECKING:
    import pandas

CONDITIONS = frozenset(field.name for field in fields(Conditions))


def run(
    models: Sequence[str],
    dataset: str | Sequence[str] = "digits",
    *,
    budget: str | Budget = "3000steps",
    seeds: int | Sequence[int] = 3,
    out: str | Path | None = None,
    controls: Sequence[str] = tuple(CONTROLS),
    progress: bool | Callable[[str], object] = True,
    listener: Listener | None = None,
    observe: Sequence[str] = (),
    **settings: Any,
) -> list[Record]:
    """Train each model on each dataset with each seed under one budget, and return the records.

    Cells with a finished record in `out` are not run again. The report is also written.

    Args:
        models: as for `-m`: `"vae"`, `"vae:beta=4,label=strong"`, `"./my_model.py"`.
        dataset: one or several, as for `-d`.
        budget: `"3000steps"`, `"200kimg"`, `"60s"` or `"1e15flop"`.
        seeds: the number of seeds, or the seeds themselves.
        out: the folder for the records and the report; `reports/<dataset>-<budget>` by default.
        controls: the controls to run alongside the models.
        progress: True shows bars in a notebook or on a terminal, and prints lines to standard error elsewhere; False
            shows nothing; a function, such as `print` or `logging.info`, is called with each line.
        listener: receives every event, instead of `progress`.
        observe: trackers that follow the benchmark, as for `--observe`: `"tensorboard:dir=runs"`.
        settings: any field of `genbench.config.Settings`, such as `batch_size=128` or `device="cuda"`, and of
            `genbench.execution.conditions.Conditions`, such as `jobs=2` or `timeout=600`.

    Raises:
        GenbenchError: the request is at fault. A cell that fails raises nothing; its record contains the failure.

    Example::

        records = genbench.run(models=["gan", "vae"], dataset="digits", budget="500steps", seeds=2)
    """
    values = {
        "models": list(models),
        "datasets": [dataset] if isinstance(dataset, str) else list(dataset),
        "seeds": seeds,
        "budget": budget,
        "controls": list(controls),
        "observe": [observe] if isinstance(observe, str) else list(observe),
        **{name: value for name, value in settings.items() if name not in CONDITIONS},
    }
    benchmark = make_benchmark(values)
    conditions = Conditions(**{name: value for name, value in settings.items() if name in CONDITIONS})
    directory = Path(out) if out is not None else default_directory(benchmark)
    with settings_of_matplotlib(), without_cache() as warning:
        if warning is not None:
            warnings.warn(warning, stacklevel=2)
        command = command_for(benchmark)
        with (
            contextlib.nullcontext(listener) if listener else listener_for(progress) as shown,
            observing(benchmark, directory, shown, command, conditions.plugins_from) as told,
        ):
            records = run_benchmark(benchmark, directory, told, command, conditions)
        from genbench import report

        report.render_directory(directory)
    return records


class Report:
    """The report of a benchmark's folder; a notebook displays it, with pictures, as the last value of a cell.

    It is rendered from the records if it is out of date. `path` is its Markdown page, `records` its table of cells.

    Raises:
        InputError: the folder does not exist or contains no records.

    Example::

        genbench.Report("reports/digits")
    """

    def __init__(self, directory: str | Path) -> None:
        from genbench import report

        self.path = report.render_directory(Path(directory))

    @property
    def records(self) -> pandas.DataFrame:
        """One row per cell, as returned by `load_records`."""
        from genbench.report.frame import load_records

        return load_records(self.path.parent)

    def __repr__(self) -> str:
        return f"Report({str(self.path.parent)!r})"

    def _repr_markdown_(self) -> str:
        from genbench.report.shown import with_pictures

        return with_pictures(self.path)


def default_directory(benchmark: Benchmark) -> Path:
    """Return `reports/<datasets>-<budget>`, restricted to letters, digits, dots and dashes."""
    name = "-".join([*map(without_home, benchmark.datasets), str(benchmark.settings.budget)])
    return Path("reports") / "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in name)


def command_for(benchmark: Benchmark) -> str:
    """Return the command line that runs a benchmark, with every non-default setting that has an effect."""
    parts = ["genbench", "run"]
    for model in benchmark.models:
        written = {**model.options, **({LABEL: model.given_label} if model.given_label else {})}
        options = ",".join(f"{key}={value}" for key, value in written.items())
        parts += ["-m", f"{model.name}:{options}" if options else model.name]
    for dataset in benchmark.datasets:
        parts += ["-d", dataset]
    count = len(benchmark.seeds)
    if benchmark.seeds == tuple(range(count)):
        parts += ["--seeds", str(count)]
    else:
        parts += [part for seed in benchmark.seeds for part in ("--seed", str(seed))]
    if benchmark.controls != tuple(CONTROLS):
        parts += [part for name in benchmark.controls for part in ("--control", name)] or ["--no-controls"]
    parts += ["--budget", str(benchmark.settings.budget)]
    defaults, left_out = Settings(), {"budget"}
    if not any(map(reads_data_root, benchmark.datasets)):  # the flag would be refused, but a benchmark file may set it
        left_out.add("data_root")
    for name, value in vars(benchmark.settings).items():
        if name not in left_out and value != getattr(defaults, name):
            flag = f"--{name.replace('_', '-')}"
            shown = ",".join(value) if isinstance(value, tuple) else str(value)
            parts += [flag] if value is True else [flag, shown]
    return shlex.join(parts)
