"""Text that a stranger supplied, made safe to show: nothing in it moves the cursor, sets a title or begins a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

__all__ = ["message_of", "name_of", "spoken", "visible", "wording"]

# Control and format characters, halves of surrogate pairs, separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(value: object, keep: str = "") -> str:
    r"""Return `str(value)` with every character that a terminal obeys rather than shows as an escape.

    Format characters count: they reorder what a reader sees. Half a surrogate pair cannot be written as UTF-8.

    Args:
        keep: control characters that stay, such as a newline in a traceback.

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
    """Return the first line of an exception's message, empty where it has none; never raises.

    >>> message_of(ValueError("bad luck"))
    'bad luck'
    """
    lines = spoken(lambda: str(error), "a message").strip().splitlines()
    return lines[0] if lines else ""


def wording(error: BaseException) -> str:
    """Return an exception on one line, its class and what it says; never raises.

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
    """Return `text()`, or which exception it raises: a stranger's `__str__` and `__repr__` may raise anything.

    >>> spoken(lambda: str(1 / 0), "a message")
    'with a message that raises ZeroDivisionError'
    """
    try:
        return str.__str__(text())  # a plain one: a subclass could have methods of its own
    except BaseException as fault:
        return f"with {what} that raises {name_of(fault)}"
