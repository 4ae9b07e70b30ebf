"""An observer as specified by the user, with its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genbench.config.model_spec import OptionValue, option_fault, written_options
from genbench.errors import InputError, quoted

__all__ = ["ObserverSpec"]

# Options start at the first colon before a name and an equals sign: their values may contain more colons.
_OPTIONS = re.compile(r":(?=\s*[^\W\d]\w*\s*=)")


@dataclass(frozen=True)
class ObserverSpec:
    """An observer as specified by the user: an entry point or a file, and its options.

    Raises:
        InputError: a name is empty or cannot be shown, or an option is not a 64-bit number, printable text, true, false
            or None.
    """

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable() or "=" in self.name:
            raise InputError(f"observer {quoted(self.name)} cannot be read; write for example tensorboard:dir=runs")
        for key, value in self.options.items():
            fault = option_fault(value) if isinstance(key, str) and key.isidentifier() else "it is not an identifier"
            if fault:
                raise InputError(f"observer {quoted(self.name)}: option {quoted(key)} cannot be used: {fault}")

    @classmethod
    def parse(cls, text: str) -> ObserverSpec:
        """Read `tensorboard`, `tensorboard:dir=runs` or `mlflow:uri=sqlite:///runs.db,experiment=faces`.

        >>> ObserverSpec.parse("mlflow:uri=http://127.0.0.1:5000").options
        {'uri': 'http://127.0.0.1:5000'}
        """
        name, *options = _OPTIONS.split(text, maxsplit=1)
        return cls(name.strip(), written_options(f"observer {quoted(text)}", "".join(options)))

    @classmethod
    def of(cls, value: Any) -> ObserverSpec:
        """Return the observer given as text, or as a table with its `name` and options, as in a benchmark file."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return cls(value["name"], {key: option for key, option in value.items() if key != "name"})
        raise InputError(
            f'observe: {quoted(value)} is neither text such as "tensorboard:dir=runs" nor a table with a name'
        )

    @property
    def is_file(self) -> bool:
        """Whether the name is a Python file."""
        return self.name.endswith(".py")

    @property
    def label(self) -> str:
        """Its name in lists, in the form that a user would write."""
        return str(self)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name
