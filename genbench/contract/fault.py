"""The outcomes of a check that does not pass: a fault of the plugin, or a reason why the check does not apply."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import torch

from genbench.plugin.visible import wording

__all__ = ["Caution", "Fault", "Refused", "Unmet", "calling", "in_library", "own_line"]

_TORCH = str(Path(torch.__file__).parent)
_GENBENCH = str(Path(__file__).parent.parent)
_CARRIES_OUT = ("functional.py", "overrides.py")  # torch files, in addition to its private modules
_PYTHON = str(Path(contextlib.__file__).parent) + os.sep


class Fault(Exception):  # noqa: N818  # it is the plugin's error, and a result here
    """A promise that the plugin broke: what was expected, what was found, and what to change."""

    def __init__(self, expected: str, found: str, change: str) -> None:
        super().__init__(f"expected {expected}, found {found}\nto fix it: {change}")


class Caution(Exception):  # noqa: N818  # no error: the promise is kept
    """Something an author should know although nothing is broken; the text says where and at what cost."""


class Unmet(Exception):  # noqa: N818  # no error at all
    """A check that does not apply here; the text is the reason."""


class Refused(Unmet):
    """`build_model` refused these items with a `ValueError`, so nothing else can be checked on them."""


@contextlib.contextmanager
def calling(hook: str, home: str) -> Iterator[None]:
    """Convert any exception of a hook into a `Fault` that names the line of the plugin, whose source is in `home`."""
    try:
        with _exit_raises():
            yield
    except (Caution, Fault, Unmet, KeyboardInterrupt):
        raise
    except BaseException as error:  # third-party code can raise anything, and SystemExit would end the suite
        where = own_line(traceback.extract_tb(error.__traceback__), home)
        raise Fault(f"{hook} to return", f"that it raised {wording(error)}", f"see {where}") from error


@contextlib.contextmanager
def _exit_raises() -> Iterator[None]:
    """Make `os._exit` raise in this process: otherwise a plugin could end the suite with the exit code of success."""
    own, leave = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != own:  # a child that was forked in the block
            leave(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = leave


def own_line(frames: traceback.StackSummary, home: str, *, torchs: bool = False) -> str:
    """Return the innermost line of the source in `home`, as `file.py:12: source`; the innermost of all if none matches.

    If that line calls a library that the plugin wraps, the library's innermost line follows it; torch's own only if
    `torchs` is set.
    """
    # In some installations the home of a one-file plugin is site-packages, which contains torch too.
    called = [index for index, frame in enumerate(frames) if _is_of(frame, home)]
    if not called:
        return _line(frames[-1])
    inner = frames[called[-1] + 1 :]
    wrapped = [frame for frame in inner if _is_of_a_library(frame) or (torchs and _is_installed(frame))]
    return _line(frames[called[-1]]) + (f" (within {_line(wrapped[-1])})" if wrapped else "")


def in_library(frames: traceback.StackSummary, home: str) -> bool:
    """Return whether the innermost line belongs to an installed library, not to the source in `home` or next to it.

    torch's modules, optimizers and weight averages count as such a library; code that merely executes a tensor
    method or an operator does not.
    """
    worked = [frame for frame in frames if _is_of(frame, home) or _is_installed(frame) or _is_of_a_library(frame)]
    return bool(worked) and not _is_of(worked[-1], home) and _is_installed(worked[-1])


def _is_installed(frame: traceback.FrameSummary) -> bool:
    if frame.filename.startswith(_TORCH):
        inner = Path(frame.filename).relative_to(_TORCH)
        return inner.name not in _CARRIES_OUT and not any(part.startswith(("_", "autograd")) for part in inner.parts)
    return "-packages" + os.sep in frame.filename and not frame.filename.startswith(_GENBENCH)


def _is_of(frame: traceback.FrameSummary, home: str) -> bool:
    return frame.filename.startswith(home) and not frame.filename.startswith(_TORCH)


def _is_of_a_library(frame: traceback.FrameSummary) -> bool:
    """Return whether the code belongs neither to torch, nor to the suite that watches it, nor to Python itself."""
    pythons_own = frame.filename.startswith(_PYTHON) and "-packages" not in frame.filename  # site- or dist-packages
    return not pythons_own and not frame.filename.startswith((_TORCH, _GENBENCH, "<"))


def _line(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno}: {frame.line}"
