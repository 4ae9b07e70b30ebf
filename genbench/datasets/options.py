"""Parses what follows a dataset's colon: a path, the selected part, and the source's own options. Imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from genbench.datasets.source import Part, Request, Source, fault
from genbench.errors import nearest, quoted

__all__ = ["OPTIONS", "Asked", "cut", "given", "part_of", "positive", "whole_number", "whole_numbers"]

OPTIONS = "fraction=F,held_out=N"
LARGEST = 2**31 - 1  # of any integer option
_NAMES = ("fraction", "held_out")
_NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,2})?", re.ASCII)
_TRAILING = re.compile(r"(.*),([A-Za-z_-]+)=([^,/]*)", re.DOTALL)
_AFTER_COLON = re.compile(r"(.*):([A-Za-z_-]+)=.*", re.DOTALL)
_OWN_HELD_OUT = re.compile(r"(.*),held_out=(.+)", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """What follows a dataset's colon.

    Args:
        argument: a path, a name, or options that the source parses itself; None without any.
        part: how much of the data is used.
        options: the source's own options, `name=value`, as they were written.
        own_held_out: the path that `held_out=` names, or None.
    """

    argument: str | None = None
    part: Part = field(default_factory=Part)
    options: Mapping[str, str] = field(default_factory=dict)
    own_held_out: str | None = None


def cut(source: Source, spec: str, argument: str | None) -> Asked:
    """Split what follows a dataset's colon into the source's argument, the requested part, and the options.

    A path may contain commas and `=`: only `,NAME=VALUE` of an existing option is cut from its end. For a folder whose
    own name ends like that, append a slash. `held_out=` takes a number or, if the source supports it, a path, which
    extends to the options that follow.

    Raises:
        InputError: an option does not exist, is given twice, or has an invalid value.
    """
    if argument is None:
        return Asked()
    if source.found is not None:
        return Asked(options=_of_plugin(spec, argument))
    if source.drawn:
        return _of_drawn(source, spec, argument)
    known = (*source.options, *_NAMES)
    if source.argument_needed:
        path, given = _of_path(argument, known, source.own_held_out)
        if (match := _AFTER_COLON.fullmatch(path)) and match[2] in known and not _exists(path):
            path, option = match[1], path[len(match[1]) + 1 :]
            raise fault(spec, f"options follow a path after a comma; write {source.name}:{path},{option}")
    else:
        path, given = None, [(name, value) for name, _, value in (each.partition("=") for each in argument.split(","))]
    values: dict[str, str] = {}
    for name, value in given:
        if name not in known:
            raise fault(spec, f"no option is called {quoted(name)}{nearest(name, known)}")
        if name in values:
            raise fault(spec, f"option {name} is given twice")
        values[name] = value
    options = {name: value for name, value in values.items() if name in source.options}
    held_out = values.get("held_out", "")
    own = values.pop("held_out") if source.own_held_out and held_out and not _NUMBER.fullmatch(held_out) else None
    return Asked(path, part_of(spec, values), options, own)


def _of_drawn(source: Source, spec: str, argument: str) -> Asked:
    """Extract the part; a drawn dataset parses the rest itself, including `held_out` if that is its own option."""
    own = [option.partition("=")[0] for option in (source.argument or "").split(",")]
    rest, values = list[str](), dict[str, str]()
    for option in argument.split(","):
        name, equals, value = option.partition("=")
        if not equals or name not in _NAMES or name in own:
            rest.append(option)
        elif name in values:
            raise fault(spec, f"option {name} is given twice")
        else:
            values[name] = value
    return Asked(",".join(rest), part_of(spec, values))


def _of_plugin(spec: str, argument: str) -> dict[str, str]:
    """Return all options of a plugin's dataset; which of them are its own is known only once it is loaded."""
    values: dict[str, str] = {}
    for option in argument.split(","):
        name, equals, value = (part.strip() for part in option.partition("="))
        if not equals or not name.isidentifier():
            raise fault(spec, f"option {quoted(option)} is not of the form name=value")
        if name in values:
            raise fault(spec, f"option {name} is given twice")
        values[name] = value
    return values


def _of_path(argument: str, known: tuple[str, ...], own_held_out: bool) -> tuple[str, list[tuple[str, str]]]:
    path, given = _trailing(argument, known)
    if own_held_out and not _exists(path) and (match := _OWN_HELD_OUT.fullmatch(path)):
        held_out, misspelt = _trailing(match[2], known)
        given += [*misspelt, ("held_out", held_out)]
        path, more = _trailing(match[1], known)
        given += more
    return path, given


def _trailing(path: str, known: tuple[str, ...]) -> tuple[str, list[tuple[str, str]]]:
    """Cut the options from the end of a path, the last first. Unknown ones are included so that they can be refused."""
    given = list[tuple[str, str]]()
    while (
        (match := _TRAILING.fullmatch(path))
        and match[2] in known
        and (_NUMBER.fullmatch(match[3]) or not _exists(path))
    ):
        path = match[1]
        given.append((match[2], match[3]))
    if match and match[2] not in known and not _exists(path) and _exists(match[1]):
        path = match[1]
        given.append((match[2], match[3]))
    return path, given


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))


def part_of(spec: str, values: Mapping[str, str]) -> Part:
    """Parse the part of a dataset from `fraction` and `held_out`, if they are among the values.

    Raises:
        InputError: one of them is invalid.
    """
    fraction, held_out = values.get("fraction", "1"), values.get("held_out")
    share = Fraction(fraction) if _NUMBER.fullmatch(fraction) else Fraction(0)
    if not 0 < share <= 1:
        raise fault(spec, f"fraction must be a number above 0 and at most 1, such as 0.1, not {quoted(fraction)}")
    if held_out is None:
        return Part(share)
    if not re.fullmatch(r"[0-9]{1,15}", held_out) or not int(held_out):
        raise fault(spec, f"held_out must be a whole number of 1 or more, not {quoted(held_out)}")
    return Part(share, int(held_out))


def whole_numbers(request: Request, defaults: Mapping[str, int], least: Mapping[str, int]) -> dict[str, int]:
    """Parse what follows a drawn dataset's colon, such as `count=100,seed=3`: integers by name.

    Args:
        request: with the argument to parse.
        defaults: the default value of each option.
        least: the smallest value of each.

    Raises:
        InputError: an option does not exist, is given twice, or has an invalid value.
    """
    asked = given(request, tuple(defaults))
    return {**defaults, **{name: whole_number(request, name, value, least[name]) for name, value in asked.items()}}


def given(request: Request, known: Sequence[str]) -> dict[str, str]:
    """Return the options that follow a drawn dataset's colon, `name=value`, as they were written.

    Raises:
        InputError: an option is unknown or given twice.
    """
    found: dict[str, str] = {}
    for part in request.argument.split(",") if request.argument else ():
        name, _, value = part.partition("=")
        if name not in known:
            raise request.fault(f"no option is called {quoted(name)}{nearest(name, (*known, 'fraction'))}")
        if name in found:
            raise request.fault(f"option {name} is given twice")
        found[name] = value
    return found


def positive(request: Request, name: str, value: str) -> float:
    """Parse an option that is a number above 0, such as `0.5`; raise `InputError` for anything else."""
    number = float(value) if _NUMBER.fullmatch(value) else 0.0
    if not 0 < number <= LARGEST:
        raise request.fault(f"{name} must be a number above 0, such as 0.5, not {quoted(value)}")
    return number


def whole_number(request: Request, name: str, value: str, least: int) -> int:
    """Parse an option that is an integer of at least `least`; raise `InputError` for anything else."""
    if not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise request.fault(f"{name} must be a whole number, not {quoted(value)}")
    number = int(value)
    if number < least:
        raise request.fault(f"{name} must be at least {least}, not {number}")
    if number > LARGEST:
        raise request.fault(f"{name} must be at most {LARGEST:,}, not {number}")
    return number
