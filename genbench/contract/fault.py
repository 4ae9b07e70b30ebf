"""How a check ends when it does not pass: a fault of the plugin, or a reason why it does not apply."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import pluggy
import torch

import genbench

__all__ = ["Fault", "Refused", "Unmet", "calling", "own_line"]

# Frames in these are never the author's to mend.
_FOREIGN = tuple(str(Path(module.__file__ or "").parent) for module in (torch, pluggy))
_HARNESS = str(Path(genbench.__file__).parent)


class Fault(Exception):
    """A promise that the plugin broke: what was expected, what came, and what to change."""

    def __init__(self, expected: str, found: str, change: str) -> None:
        super().__init__(f"expected {expected}, found {found}\nto mend it: {change}")


class Unmet(Exception):
    """A check that does not apply here; the text is the reason."""


class Refused(Unmet):
    """`build_model` said by `ValueError` that it does not take these images, so nothing else can be checked on them."""


@contextlib.contextmanager
def calling(hook: str) -> Iterator[None]:
    """Turn whatever a hook raises into a `Fault` that names the line in the plugin."""
    try:
        yield
    except (Fault, Unmet, KeyboardInterrupt):
        raise
    except BaseException as error:  # a stranger's hook can raise anything, and SystemExit would end the suite
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raised = f"{type(error).__name__}: {said}" if said else type(error).__name__
        where = own_line(traceback.extract_tb(error.__traceback__))
        raise Fault(f"{hook} to return", f"that it raised {raised}", f"look at {where}") from error


def own_line(frames: traceback.StackSummary) -> str:
    """Return the innermost line of the author's own code as `file.py:12: source`."""
    own = [frame for frame in frames if not frame.filename.startswith((*_FOREIGN, _HARNESS, "<"))]
    frame = own[-1] if own else frames[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
