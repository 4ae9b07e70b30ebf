"""A model as specified by the user, with its options."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.errors import InputError, quoted

__all__ = ["LABEL", "ModelSpec", "OptionValue", "option_fault", "option_value", "written_options"]

OptionValue = bool | int | float | str | None
LABEL = "label"  # written among the options: the display name of the model, not passed to its builder
LONGEST_NAME, LONGEST_TEXT = 4096, 1000  # characters: of a name, which may be a path, and of the text of an option
LARGEST_WHOLE = 2**63 - 1  # the limit of torch and of other programs that read the records
_LABELS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")  # nothing special to a file system, a table or Markdown


@dataclass(frozen=True)
class ModelSpec:
    """A model as specified by the user: an entry point, `distribution:name`, a file or a control, and its options.

    `given_label` is its name in tables, figures, files and the progress display; empty if the user gave none.

    Raises:
        InputError: a name is empty or longer than `LONGEST_NAME`, a label is not a valid file name, or an option is not
            a 64-bit number, printable text of at most `LONGEST_TEXT` characters, true, false or None.
    """

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    given_label: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > LONGEST_NAME:
            raise InputError(f"model {quoted(self.name)}: a name must have 1 to {LONGEST_NAME:,} characters")
        if not isinstance(self.given_label, str) or not (not self.given_label or _LABELS.fullmatch(self.given_label)):
            raise InputError(
                f"model {quoted(self.name)}: label {quoted(self.given_label)} cannot be used; write up to 40 letters, "
                "digits, dots, dashes and underscores, a letter or digit first"
            )
        for key, value in self.options.items():
            named = isinstance(key, str) and key.isidentifier()
            fault = option_fault(value) if named else "it is not an identifier"
            if fault:
                raise InputError(f"model {quoted(self.name)}: option {quoted(key)} cannot be used: {fault}")

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read `vae`, `vae:beta=4,label=strong`, `genbench-vae:vae:beta=4` or `./my_model.py:width=64`.

        >>> ModelSpec.parse("vae:beta=4,name='a b'").options
        {'beta': 4, 'name': 'a b'}
        """
        head, separator, tail = text.rpartition(":")
        if not separator or "=" not in tail:
            head, tail = text, ""
        if not head.strip() or "=" in head:
            raise InputError(f"model {quoted(text)} cannot be read; write for example vae or vae:beta=4,latent=16")
        options = written_options(f"model {quoted(text)}", tail, frozenset({LABEL}))
        if options.get(LABEL) == "":
            raise InputError(f"model {quoted(text)}: its label is empty; write for example {LABEL}=strong")
        return cls.of(head.strip(), options)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> ModelSpec:
        """Return the model with this name and these options as written, including a label."""
        return cls(name, {key: value for key, value in options.items() if key != LABEL}, options.get(LABEL, ""))

    @property
    def is_file(self) -> bool:
        """Whether the name is a Python file."""
        return self.name.endswith(".py")

    @property
    def label(self) -> str:
        """Its name in tables: the given label, or else the name and the options given.

        >>> ModelSpec("./nets/tiny.py", {"width": 64}).label
        'tiny:width=64'
        """
        if self.given_label:
            return self.given_label
        name = Path(self.name).stem if self.is_file else self.name
        options = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{name}:{options}" if options else name


def written_options(who: str, text: str, as_text: Collection[str] = ()) -> dict[str, OptionValue]:
    """Read `beta=4,name='a b'`, the form of options after a name.

    Args:
        who: the beginning of an error message.
        text: the options.
        as_text: options whose value is taken literally as text.

    Raises:
        InputError: a part does not have the form name=value, or an option is given twice.
    """
    options: dict[str, OptionValue] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not key.isidentifier():
            raise InputError(f"{who}: option {quoted(part)} is not of the form name=value")
        if key in options:
            raise InputError(f"{who}: option {quoted(key)} is given twice")
        options[key] = value if key in as_text else option_value(value)
    return options


def option_value(text: str) -> OptionValue:
    """Read a literal (`4`, `0.5`, `true`, `None`, `'text'`), or take the text unchanged."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if len(text) > LONGEST_TEXT:  # refused later as text; the parser could overflow its stack or take long
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `1is` and `'\d'` would trigger the warnings for source code
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # as documented
        return text
    return value if value is None or isinstance(value, bool | int | float | str) else text


def option_fault(value: object) -> str | None:
    """Return what is wrong with the value of an option, or None."""
    if isinstance(value, str) and not value.isprintable():  # it becomes part of the names of rows, files and records
        return f"{quoted(value)} contains characters that cannot be shown"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"its text has {len(value):,} characters, but at most {LONGEST_TEXT:,} are allowed"
    if isinstance(value, float) and math.isnan(value):
        return "it is not a number (nan)"
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return f"{quoted(value)} does not fit into 64 bits"
    if value is None or isinstance(value, bool | int | float | str):
        return None
    return f"{quoted(value)} is not a number, text, true or false"
