"""`fraction=` and `held_out=`: which part of a dataset is used, as what follows its colon says. Imports no torch."""

from __future__ import annotations

import os
import re
from fractions import Fraction

from genbench.datasets.source import Part, Source, fault
from genbench.errors import InputError, nearest, quoted

__all__ = ["OPTIONS", "cut"]

OPTIONS = "fraction=F,held_out=N"
_NAMES = ("fraction", "held_out")
_NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,2})?", re.ASCII)
_TRAILING = re.compile(rf"(.*),({'|'.join(_NAMES)})=([^,/]*)", re.DOTALL)
_STRANGE = re.compile(r"(.*),([A-Za-z_-]+)=([^,/]*)", re.DOTALL)


def cut(source: Source, spec: str, argument: str | None) -> tuple[str | None, Part]:
    """Split what follows a dataset's colon into its own argument and the part that is asked for.

    A path may hold commas and `=`: options are cut from its end only where they are exactly `,fraction=NUMBER` or
    `,held_out=NUMBER`. A folder whose name ends so is reached with a slash behind it.

    Raises:
        InputError: an option that there is not, is given twice, or has a value that makes no sense.
    """
    if argument is None or source.drawn:  # drawn datasets read options of their own
        return argument, Part()
    if source.argument_needed:
        path, given = _of_path(spec, argument)
        return path, _part(spec, given)
    pairs = (option.partition("=") for option in argument.split(","))
    return None, _part(spec, [(name, value) for name, _, value in pairs])


def _of_path(spec: str, argument: str) -> tuple[str, list[tuple[str, str]]]:
    path, given = argument, list[tuple[str, str]]()
    while (match := _TRAILING.fullmatch(path)) and (_NUMBER.fullmatch(match[3]) or not _exists(path)):
        path = match[1]
        given.append((match[2], match[3]))
    strange = _STRANGE.fullmatch(path)
    if strange and not _exists(path) and _exists(strange[1]):
        raise _unknown(spec, strange[2])
    return path, given


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))


def _part(spec: str, given: list[tuple[str, str]]) -> Part:
    values: dict[str, str] = {}
    for name, value in given:
        if name not in _NAMES:
            raise _unknown(spec, name)
        if name in values:
            raise fault(spec, f"option {name} is given twice")
        values[name] = value
    fraction, held_out = values.get("fraction", "1"), values.get("held_out")
    share = Fraction(fraction) if _NUMBER.fullmatch(fraction) else Fraction(0)
    if not 0 < share <= 1:
        raise fault(spec, f"fraction must be a number above 0 and at most 1, such as 0.1, not {quoted(fraction)}")
    if held_out is None:
        return Part(share)
    if not re.fullmatch(r"[0-9]{1,15}", held_out) or not int(held_out):
        raise fault(spec, f"held_out must be a whole number of 1 or more, not {quoted(held_out)}")
    return Part(share, int(held_out))


def _unknown(spec: str, name: str) -> InputError:
    return fault(spec, f"no option is called {quoted(name)}{nearest(name, _NAMES)}")
