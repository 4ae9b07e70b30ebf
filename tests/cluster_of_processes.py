"""A Dask cluster of processes that start immediately: each is forked from one that has imported what a worker needs.

`python tests/cluster_of_processes.py ADDRESS FOLDER SOCKET` reads lines: `scheduler`, `worker`, or a mismatched worker
(`bare`: without genbench, `other`: with a different torch, `plugin`: with a different version of a plugin). It prints
one process id per line, and kills everything it has started when its input ends. The workers' fork servers come from
`tests/warm_server.py` at SOCKET.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import warm_server
from distributed import Scheduler, Worker

from genbench.execution import local
from genbench.execution.cluster import hosting, vetting
from genbench.plugin import finding


async def scheduler(port: int) -> None:
    async with Scheduler(host="127.0.0.1", port=port, dashboard_address="127.0.0.1:0") as running:
        await running.finished()


async def worker(address: str, folder: str) -> None:
    async with Worker(
        address, nthreads=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", local_directory=folder
    ) as running:
        await running.finished()


class Blind:
    """A module finder that hides genbench."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, *arguments: Any) -> Any:
        return None if name.startswith("genbench") else self.finder.find_spec(name, *arguments)


def differ(how: str) -> None:
    if how == "bare":
        for name in [name for name in sys.modules if name.startswith("genbench")]:
            del sys.modules[name]
        sys.meta_path[:] = [Blind(finder) for finder in sys.meta_path]
    elif how == "other":
        own = vetting.software()
        vetting.software = lambda: {**own, "torch": "9.9"}
    elif how == "plugin":
        found = finding.find
        finding.find = lambda *arguments: dataclasses.replace(found(*arguments), version="9.9")


def become(what: str, address: str, folder: str, socket: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if what == "scheduler":
        asyncio.run(scheduler(int(address.rpartition(":")[2])))
        return
    os.environ["TEST_WORKER"] = str(os.getpid())
    local._spawn = functools.partial(warm_server.ask, socket)
    differ(what)
    asyncio.run(worker(address, folder))


def main(address: str, folder: str, socket: str) -> None:
    assert hosting
    Path(folder).mkdir(exist_ok=True)
    os.chdir(folder)
    started = []
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                become(line.strip(), address, folder, socket)
                code = 0
            finally:
                os._exit(code)
        started.append(pid)
        print(pid, flush=True)
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # avoids zombies
    main(*sys.argv[1:])
