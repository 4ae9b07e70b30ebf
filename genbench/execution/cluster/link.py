"""The connection to a scheduler: all messages arrive in one inbox, and every request has a time limit."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed import Client, Future

from genbench.errors import GenbenchError
from genbench.execution.cluster import hosting
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.connection import connect
from genbench.execution.cluster.pool import Place

__all__ = ["END_S", "Link"]

END_S = 10.0  # for workers to end their tasks at the end
ASK_S = 5.0  # for workers to receive the request to end cells


class Link:
    """One client of one scheduler.

    Args:
        address: of the scheduler.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.token = os.urandom(4).hex()  # of this run, part of the names of its tasks
        self.topic = f"genbench-{self.token}"
        self.inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.client: Client

    def open(self) -> None:
        """Connect; raise `InputError` if no scheduler answers."""
        for name in ("distributed", "tornado"):  # a lost connection is reported here, in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.client = connect(self.address)

    def listen(self) -> None:
        """Subscribe the inbox to events and to workers that join and leave."""
        self.client.subscribe_topic(self.topic, lambda event: self.inbox.put(("event", event[1])))
        self.client.subscribe_topic("all", lambda event: self.inbox.put(("workers", event[1])))

    def check(self) -> None:
        """Raise `GenbenchError` if the scheduler is gone."""
        if self.client.status != "running":
            raise GenbenchError(
                f"the scheduler at {self.address.scheduler} is gone. Finished cells are safe; start it and its "
                "workers again, and repeat the command to resume"
            )

    def workers(self) -> Mapping[str, Mapping[str, Any]] | None:
        """Return the scheduler's information on its workers, by address; None if it does not answer, as in a stall."""
        try:
            # Not `scheduler_info`: a periodic update of Dask removes the workers from its copy.
            scheduler: Any = self.client.scheduler
            workers: Mapping[str, Mapping[str, Any]] = self.client.sync(scheduler.identity, n_workers=-1)["workers"]
        except (OSError, TimeoutError):  # `check` knows more
            return None
        return workers

    def submit(
        self,
        function: Callable[[dict[str, Any]], Any],
        argument: dict[str, Any],
        place: Place,
        name: str,
        resources: dict[str, float] | None = None,
    ) -> Future[Any]:
        """Call a function once, on one particular worker."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # a model file's data, once for each worker
            return self.client.submit(
                function,
                argument,
                key=f"genbench-{name}",
                workers=[place.address],
                allow_other_workers=False,
                resources=resources,
                retries=0,
                pure=False,
            )

    def ask_to_end(self, keys: Sequence[str], workers: Sequence[str]) -> set[str]:
        """Request that workers end the cells with these keys; return the keys of the cells that were asked."""
        try:
            answers = self.client.sync(
                self.client._run,
                hosting.ask_to_end,
                keys,
                workers=list(workers),
                on_error="ignore",
                callback_timeout=ASK_S,
            )
        except (OSError, TimeoutError):  # cells that were asked still end, and the others are ended with the run
            return set()
        return {key for answer in answers.values() if isinstance(answer, list) for key in answer}

    def close(self, keys: Sequence[str]) -> None:
        """End the tasks with these keys on all workers, and disconnect."""
        with contextlib.suppress(Exception):  # a worker or the scheduler may be gone, or not answer
            self.client.unsubscribe_topic("all")  # otherwise the scheduler would complain about a missing listener
            self.client.sync(self.client._run, hosting.end, keys, callback_timeout=END_S)
        self.client.close(timeout=END_S)

    def leave(self) -> None:
        """Disconnect as a client that is killed: what runs on workers continues there."""
        with contextlib.suppress(Exception):
            self.client.unsubscribe_topic("all")
        self.client.close(timeout=END_S)
