"""`Process`: a fresh Python process that times and counts one installation, on commands from its parent."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from genbench.errors import InputError

__all__ = ["Process", "tail"]

WORKER = Path(__file__).with_name("worker.py")
ANSWER_TIMEOUT_S = 600.0
TAIL_LINES = 15


class Process:
    """A worker on the code of one installation.

    Args:
        name: its name in messages.
        target: the folder in which the revision's distributions are installed; None uses those installed here.

    Raises:
        InputError: from any call, when the process dies or its code cannot do what is requested.
    """

    def __init__(self, name: str, target: Path | None) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            # -P: nothing may be imported from the worker's own folder.
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(target),
            text=True,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.send(do, **arguments)
        return self.receive()

    def send(self, do: str, **arguments: Any) -> None:
        """Send a command; `receive` returns its answer, so that several processes can work at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `receive` reports why
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            state = "ended" if ready else f"gave no answer for {ANSWER_TIMEOUT_S:.0f} s"
            raise InputError(f"{self.name}: the process that measures it {state}", *self._tail().splitlines())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError(f"{self.name}: {answer['error']}", *self._tail().splitlines())
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._log.close()

    def _tail(self) -> str:
        self._log.seek(0)
        return tail(self._log.read())

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def tail(text: str) -> str:
    """Return the last lines of a log, each indented by two spaces."""
    return "\n".join(f"  {line}" for line in text.splitlines()[-TAIL_LINES:])


def _environment(target: Path | None) -> Mapping[str, str]:
    own = dict(os.environ)
    if target is not None:
        # First on the path, so it hides what is installed here; what was on the path before, such as a plugin from
        # outside the repository, stays behind it.
        own["PYTHONPATH"] = os.pathsep.join([str(target), *filter(None, [own.get("PYTHONPATH")])])
    # Times repeat best with one torch thread.
    own |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return own
