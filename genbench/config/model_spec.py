"""A model as the user names it, with its options."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from genbench.errors import InputError

__all__ = ["ModelSpec"]

OptionValue = bool | int | float | str | None


@dataclass(frozen=True)
class ModelSpec:
    """A model as the user names it: an entry point, `distribution:name`, a file or a control, and its options."""

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read `vae`, `vae:beta=4,likelihood=gaussian`, `genbench-vae:vae:beta=4` or `./my_model.py:width=64`.

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
            options[key.strip()] = _value(value.strip())
        return cls(head.strip(), options)

    @property
    def is_file(self) -> bool:
        """Whether the name is that of a Python file."""
        return self.name.endswith(".py")

    @property
    def label(self) -> str:
        """What tables call it: the name and the options that differ from the defaults.

        >>> ModelSpec("./nets/tiny.py", {"width": 64}).label
        'tiny:width=64'
        """
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
