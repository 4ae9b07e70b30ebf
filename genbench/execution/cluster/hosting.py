"""The functions that the executor calls on a worker of a cluster; each finds or creates the worker's host."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from genbench.errors import InputError
from genbench.execution.cluster.host import Host
from genbench.execution.cluster.vetting import differing_software, unwritable

__all__ = ["ask_to_end", "end", "hosted", "vet", "work"]

NAME = "genbench"  # among the plugins of the worker


class Hosting(WorkerPlugin):
    """Closes a host together with its worker."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def teardown(self, worker: Worker) -> None:
        """End everything, as the worker closes."""
        self.host.close()


def work(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one task of a benchmark on this worker, as a Dask task; see `Host.follow`."""
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return _host_of(worker).follow(asked, is_wanted)


def vet(wanted: dict[str, Any]) -> list[str]:
    """Return how this worker differs from the requirements of a benchmark, one line each; a Dask task."""
    lines = differing_software(wanted["software"])
    if lines:  # the rest may not be understood
        return lines
    host = _host_of(get_worker())
    try:
        lines += host.unpack(wanted["models"])
    except (OSError, InputError) as error:
        lines.append(f"model files cannot be written to its folder: {error}")
    if wanted["shared"] is not None and (reason := unwritable(Path(wanted["shared"]))):
        lines.append(reason)
    return lines


def hosted(dask_worker: Worker) -> list[str]:
    """Return the keys of the tasks on this worker; called in its event loop."""
    hosting = dask_worker.plugins.get(NAME)
    return hosting.host.keys() if isinstance(hosting, Hosting) else []


def ask_to_end(keys: Sequence[str], dask_worker: Worker) -> list[str]:
    """Ask the cells with these keys to end with a checkpoint; return those found here. Called in its event loop."""
    hosting = dask_worker.plugins.get(NAME)
    return hosting.host.ask_to_end(keys) if isinstance(hosting, Hosting) else []


def end(keys: Sequence[str], dask_worker: Worker) -> None:
    """End the tasks with these keys on this worker; called in its event loop."""
    hosting = dask_worker.plugins.get(NAME)
    if isinstance(hosting, Hosting):
        hosting.host.end(keys)


_making = threading.Lock()


def _host_of(worker: Worker) -> Host:
    """Return the worker's host, created on first use; the worker ends it as one of its plugins."""
    with _making:
        hosting = worker.plugins.get(NAME)
        if not isinstance(hosting, Hosting) or not hosting.host.is_alive():
            os.makedirs(worker.local_directory, exist_ok=True)
            hosting = Hosting(Host(Path(worker.local_directory), worker.log_event))
            hosting.host.start()
            worker.plugins[NAME] = hosting
        return hosting.host
