"""How a check ends when it does not pass: a fault of the plugin, or a reason why it does not apply."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from genbench.visible import wording

__all__ = ["Fault", "Refused", "Unmet", "calling", "own_line"]

_TORCH = str(Path(torch.__file__).parent)
_GENBENCH = str(Path(__file__).parent.parent)
_PYTHON = str(Path(contextlib.__file__).parent) + os.sep


class Fault(Exception):  # noqa: N818  # it is the plugin's error, and a result here
    """A promise that the plugin broke: what was expected, what came, and what to change."""

    def __init__(self, expected: str, found: str, change: str) -> None:
        super().__init__(f"expected {expected}, found {found}\nto mend it: {change}")


class Unmet(Exception):  # noqa: N818  # no error at all
    """A check that does not apply here; the text is the reason."""


class Refused(Unmet):
    """`build_model` said by `ValueError` that it does not take these images, so nothing else can be checked on them."""


@contextlib.contextmanager
def calling(hook: str, home: str) -> Iterator[None]:
    """Turn whatever a hook raises into a `Fault` that names the line of the plugin, whose source is in `home`."""
    try:
        yield
    except (Fault, Unmet, KeyboardInterrupt):
        raise
    except BaseException as error:  # a stranger's hook can raise anything, and SystemExit would end the suite
        where = own_line(traceback.extract_tb(error.__traceback__), home)
        raise Fault(f"{hook} to return", f"that it raised {wording(error)}", f"look at {where}") from error


def own_line(frames: traceback.StackSummary, home: str) -> str:
    """Return the innermost line of the source in `home`, as `file.py:12: source`; the innermost of all if none is.

    Where that line calls a library that the plugin wraps, the library's innermost line is named after it.
    """
    # A plugin of one file has site-packages for its home in some installations, and torch is there too.
    called = [index for index, frame in enumerate(frames) if _is_of(frame, home)]
    if not called:
        return _line(frames[-1])
    wrapped = [frame for frame in frames[called[-1] + 1 :] if _is_of_a_library(frame)]
    return _line(frames[called[-1]]) + (f" (within {_line(wrapped[-1])})" if wrapped else "")


def _is_of(frame: traceback.FrameSummary, home: str) -> bool:
    return frame.filename.startswith(home) and not frame.filename.startswith(_TORCH)


def _is_of_a_library(frame: traceback.FrameSummary) -> bool:
    """Whether the code is neither torch's, nor the suite's that watches it, nor Python's own."""
    pythons_own = frame.filename.startswith(_PYTHON) and "-packages" not in frame.filename  # site- or dist-packages
    return not pythons_own and not frame.filename.startswith((_TORCH, _GENBENCH, "<"))


def _line(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
