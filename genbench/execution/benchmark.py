"""Runs a benchmark: checks the request, plans its cells and runs those without a finished record.

Nothing here imports torch: this is the process that shows progress.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from genbench import datasets, features
from genbench.config import CONTROLS, Benchmark
from genbench.evaluation.selection import select
from genbench.evaluation.targets import check_benchmark
from genbench.execution.conditions import DEFAULT, Conditions
from genbench.execution.engines import executor_for
from genbench.execution.output import check_writable, remove_empty_folders
from genbench.execution.planning import Listener, Planned, plan
from genbench.execution.runner import Runner
from genbench.execution.standing import standing
from genbench.machine import atomic
from genbench.plugin import finding
from genbench.records.plans import write_plan
from genbench.records.record import Record

__all__ = ["Listener", "Planned", "run_benchmark"]

GOES_ON = "repeat the command to resume"


def run_benchmark(
    benchmark: Benchmark,
    directory: Path,
    listener: Listener,
    command: str,
    conditions: Conditions = DEFAULT,
) -> list[Record]:
    """Run every cell of the benchmark without a finished record in `directory`; return the records of all cells.

    Other processes may run the same benchmark in the same directory; they divide the cells between them.

    Args:
        command: the command that runs it again, for the report.

    Raises:
        InputError: the request is at fault; nothing has been trained.
        GenbenchError: a record is damaged, or cannot be written.

    An exception that ends it early carries a note (`__notes__`) with the number of finished cells.
    """
    named = [model for model in benchmark.models if model.name not in CONTROLS]
    found = {model.label: finding.find(model, conditions.plugins_from) for model in named}
    for dataset in benchmark.datasets:  # report an unknown name before a server is started
        datasets.presence_of(dataset, plugins_from=conditions.plugins_from)
    select(benchmark.settings.metrics, plugins_from=conditions.plugins_from)  # likewise
    features.check_name(benchmark.settings.extractor, conditions.plugins_from)
    check_benchmark(benchmark)
    made = check_writable(directory)
    atomic.sweep(directory)
    ids: list[str] = []

    def tell(text: str) -> None:
        listener.checking("cells", {"event": "notice", "text": text})

    try:
        # Locks are released last: cells may write until the executor has ended.
        with contextlib.ExitStack() as locks, executor_for(conditions, benchmark.settings, tell) as executor:
            planned = plan(benchmark, found, executor, listener, conditions.limits, conditions.plugins_from)
            ids = [each.id for each in planned]
            runner = Runner(executor, planned, directory, listener, command, conditions, bool(benchmark.observe))
            locks.callback(runner.let_go)
            described = ((each.id, each.description) for each in planned)
            write_plan(directory, described, benchmark.settings.target)  # for the report of a partial run
            listener.all_planned(planned)
            try:
                records = runner.run()
            except KeyboardInterrupt:
                runner.end()
                raise
    except BaseException as error:
        error.add_note(f"{standing(directory, ids)}; {GOES_ON}" if ids else GOES_ON)
        raise
    finally:
        atomic.sweep(directory)  # after cells that were ended while writing a checkpoint
        remove_empty_folders(directory, made)
    return records
