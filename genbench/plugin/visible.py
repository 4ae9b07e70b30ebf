"""Makes third-party text safe to show: nothing in it moves the cursor, sets a title or starts a new line."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

__all__ = ["message_of", "name_of", "spoken", "visible", "wording"]

# Control and format characters, lone surrogates, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(value: object, keep: str = "") -> str:
    r"""Return `str(value)`, escaping every character that a terminal interprets instead of showing.

    This includes format characters, which reorder the visible text, and lone surrogates, which UTF-8 cannot encode.

    Args:
        keep: control characters to keep, such as a newline in a traceback.

    >>> print(visible("two\nlines \x1b[2J"))
    two\nlines \x1b[2J
    """
    shown = str(value)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSEEN and character not in keep
        else character
        for character in shown
    )


def message_of(error: BaseException) -> str:
    """Return the first line of an exception's message, empty if it has none; never raises.

    >>> message_of(ValueError("bad luck"))
    'bad luck'
    """
    lines = spoken(lambda: str(error), "a message").strip().splitlines()
    return lines[0] if lines else ""


def wording(error: BaseException) -> str:
    """Return an exception on one line, with its class and message; never raises.

    >>> wording(ValueError("bad luck")), wording(KeyboardInterrupt())
    ('ValueError: bad luck', 'KeyboardInterrupt')
    """
    said = message_of(error)
    return f"{name_of(error)}: {said}" if said else name_of(error)


def name_of(error: BaseException) -> str:
    """Return the name of an exception's class, which a metaclass may hide."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name


def spoken(text: Callable[[], str], what: str) -> str:
    """Return `text()`, or which exception it raises: third-party `__str__` and `__repr__` may raise anything.

    >>> spoken(lambda: str(1 / 0), "a message")
    'with a message that raises ZeroDivisionError'
    """
    try:
        return str.__str__(text())  # a plain string: a subclass could override methods
    except BaseException as fault:
        return f"with {what} that raises {name_of(fault)}"
