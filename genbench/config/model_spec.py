"""A model as the user names it, with its options."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genbench.errors import InputError

__all__ = ["LABEL", "ModelSpec"]

OptionValue = bool | int | float | str | None
LABEL = "label"  # among the options as they are written: what the model is called, and none that its builder gets
_LABELS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")  # nothing that a file system, a table or Markdown reads


@dataclass(frozen=True)
class ModelSpec:
    """A model as the user names it: an entry point, `distribution:name`, a file or a control, and its options.

    `given_label` is what tables, figures, files and progress call it; empty where the user gave none.
    """

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    given_label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.given_label, str) or not (not self.given_label or _LABELS.fullmatch(self.given_label)):
            raise InputError(
                f"model {self.name!r}: label {self.given_label!r} cannot be used; write up to 40 letters, digits, "
                "dots, dashes and underscores, a letter or digit first"
            )

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
            raise InputError(f"model {text!r} cannot be read; write for example vae or vae:beta=4,latent=16")
        options: dict[str, OptionValue] = {}
        for part in filter(None, (part.strip() for part in tail.split(","))):
            key, equals, value = part.partition("=")
            if not equals or not key.strip().isidentifier():
                raise InputError(f"model {text!r}: option {part!r} is not of the form name=value")
            if key.strip() in options:
                raise InputError(f"model {text!r}: option {key.strip()!r} is given twice")
            options[key.strip()] = value.strip() if key.strip() == LABEL else _value(value.strip())
        if options.get(LABEL) == "":
            raise InputError(f"model {text!r}: its label is empty; write for example {LABEL}=strong")
        return cls.of(head.strip(), options)

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any]) -> ModelSpec:
        """Return the model of a name and of options as they are written, a label among them."""
        return cls(name, {key: value for key, value in options.items() if key != LABEL}, options.get(LABEL, ""))

    @property
    def is_file(self) -> bool:
        """Whether the name is that of a Python file."""
        return self.name.endswith(".py")

    @property
    def label(self) -> str:
        """What tables call it: the label that was given, else the name and the options that differ from the defaults.

        >>> ModelSpec("./nets/tiny.py", {"width": 64}).label
        'tiny:width=64'
        """
        if self.given_label:
            return self.given_label
        name = Path(self.name).stem if self.is_file else self.name
        options = ",".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{name}:{options}" if options else name


def _value(text: str) -> OptionValue:
    """Read a literal (`4`, `0.5`, `true`, `None`, `'text'`), or take the text as it is."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if value is None or isinstance(value, bool | int | float | str) else text
