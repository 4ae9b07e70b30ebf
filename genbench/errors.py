"""The errors a user sees: each is one line that names the culprit, the fault and the remedy."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

LONGEST_LINE = 2000  # characters; 100 kB of input is not echoed back to the user
_LONGEST_VALUE = 80


def shortened(text: str, limit: int = LONGEST_LINE) -> str:
    """Return `text`, with its middle cut out if it is longer than `limit` characters.

    >>> shortened("abcdefghij" * 10, 60)
    'abcdefghijabcd … (72 characters left out) … ghijabcdefghij'
    """
    if len(text) <= limit:
        return text
    told = len(f" … ({len(text):,} characters left out) … ")  # or a little less
    kept = max(limit - told, 2) // 2
    return f"{text[:kept]} … ({len(text) - 2 * kept:,} characters left out) … {text[-kept:]}"


class _Quoting(reprlib.Repr):
    """`repr` of a bounded length and depth; an integer with more digits than Python prints is described."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _LONGEST_VALUE

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"a whole number of {x.bit_length():,} bits"


quoted = _Quoting().repr  # formats a user-supplied value for an error message


class GenbenchError(Exception):
    """An error reported without a traceback: one line of at most `LONGEST_LINE` characters.

    Further arguments are lines below it, such as the output of a process; `below` has them in one text as short.
    """

    def __str__(self) -> str:
        return shortened("\n".join(map(str, self.args)))

    @property
    def line(self) -> str:
        """The line itself; a newline in it is part of a user's text, such as a file's name."""
        return shortened(str(self.args[0]) if self.args else "")

    @property
    def below(self) -> str:
        """The lines below it, separated by newlines; empty if there are none."""
        return shortened("\n".join(map(str, self.args[1:])))


class InputError(GenbenchError):
    """The request cannot be met: nothing has been trained, and the command exits with code 2."""


class PluginError(GenbenchError):
    """A plugin broke its contract. The line names the model, its distribution and version, and the fault."""


class Unsuitable(Exception):  # noqa: N818  # not an error: it states what the model does not support
    """Raised in `build_model` for data that the model does not support; the text is the reason.

    The cell is not applicable: it costs nothing, is not a failure, and appears in the report as an empty row with the
    reason.

    Example:
        >>> raise Unsuitable("takes only images")
        Traceback (most recent call last):
        genbench.errors.Unsuitable: takes only images
    """


class OptionError(InputError):
    """A model was given an option that it does not take, or a value of the wrong type."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` for the names close to `name`, or a list of all names if none is close.

    >>> nearest("dcgam", ["gan", "dcgan", "vae"])
    '; did you mean dcgan?'
    >>> nearest("cgan", ["gan", "dcgan", "vae"])
    '; did you mean dcgan or gan?'
    >>> nearest("FD", ["fd", "kid"])
    '; did you mean fd?'
    >>> nearest("zzz", ["gan", "vae"])
    '; known: gan, vae'
    """
    names = sorted(set(known))
    in_lower_case = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(name.lower(), in_lower_case, n=3)
    if close:
        *others, last = (in_lower_case[match] for match in close)
        return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
    return f"; known: {', '.join(names) or 'none'}"


def sentence(hint: str, rest: str) -> str:
    """Join a hint from `nearest` and the text that follows it: a new sentence if the hint ends in a question mark.

    >>> sentence("; did you mean beta?", "it takes beta: float = 1.0")
    '; did you mean beta? It takes beta: float = 1.0'
    >>> sentence("", "it takes no options")
    '; it takes no options'
    """
    if hint.endswith("?"):
        return f"{hint} {rest[:1].upper()}{rest[1:]}"
    return f"{hint}; {rest}"
