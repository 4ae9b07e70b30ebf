"""Writes texts as a listing for people to read: one per line, with anything a line cannot hold made visible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from genbench.machine.atomic import replacing
from genbench.plugin.visible import visible

__all__ = ["ARROW", "save", "save_pairs", "read", "restored", "spelt"]

ARROW = "\t→\t"  # between a text and its reconstruction; texts themselves hold no tab, see `spelt`

_ESCAPED = {"n": "\n", "t": "\t", "\\": "\\"}
_ESCAPE = re.compile(r"\\([nt\\])")
_SPELLING = re.compile(r"\\(?:[ntr\\]|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")


def save(path: Path, texts: Iterable[str]) -> None:
    """Write texts as UTF-8, one per line; completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{spelt(text)}\n" for text in texts), encoding="utf-8")


def save_pairs(path: Path, originals: Sequence[str], restored: Sequence[str]) -> None:
    """Write pairs of texts, one pair per line."""
    with replacing(path) as temporary:
        lines = (f"{spelt(first)}{ARROW}{spelt(second)}\n" for first, second in zip(originals, restored, strict=True))
        temporary.write_text("".join(lines), encoding="utf-8")


def spelt(text: str) -> str:
    r"""Return a text as one line: control and format characters as escapes, a backslash doubled.

    >>> print(spelt("one\ntwo\x1b[0m"))
    one\ntwo\x1b[0m
    """
    return visible(text.replace("\\", "\\\\"))


def read(path: Path) -> list[str]:
    """Return the texts of a listing, one per line, with their line breaks, tabs and backslashes restored.

    Other control characters stay escaped, because a reader could not see them.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
        OSError: it cannot be read.
    """
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [_ESCAPE.sub(lambda found: _ESCAPED[found[1]], line) for line in lines]


def restored(line: str) -> str:
    r"""Return the text of a line of a listing: the inverse of `spelt`.

    >>> restored(r"one\ntwo\\n\x1b") == "one\ntwo\\n\x1b"
    True
    """
    return _SPELLING.sub(lambda found: found[0].encode("ascii").decode("unicode_escape"), line)
