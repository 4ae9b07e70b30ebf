"""pythae's autoencoders by name, each with its class and the options of its configuration, read from pythae itself."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import pythae.models
from pydantic import ValidationError
from pythae.models import BaseAE, BaseAEConfig

__all__ = ["AUTOENCODERS", "configure"]

REFUSED = {
    "RHVAE": "it keeps its metric outside its state_dict, so a checkpoint would lose it",
    "VQVAE": "its codes are discrete, and a prior over them is a second model that is trained after it",
}
# Set from the images by pythae itself, or a list, which cannot be given on a command line.
_HIDDEN = {"name", "input_dim", "discriminator_input_dim", "scales"}


def _autoencoders() -> dict[str, tuple[type[BaseAE], type[BaseAEConfig]]]:
    found = {}
    for name in pythae.models.__all__:
        member = getattr(pythae.models, name)
        if issubclass(member, BaseAE) and member is not BaseAE:
            configurations = (f"{name}Config", f"{name}_Config")
            found[name] = (member, next(getattr(pythae.models, c) for c in configurations if hasattr(pythae.models, c)))
    return found


AUTOENCODERS = _autoencoders()


def configure(name: str, input_dim: tuple[int, ...], given: Mapping[str, Any]) -> tuple[type[BaseAE], BaseAEConfig]:
    """Return the class of the autoencoder `name`, and its configuration for images (C, H, W).

    Args:
        name: one of `AUTOENCODERS`.
        input_dim: (C, H, W).
        given: options of its configuration, which checks their types.

    Raises:
        ValueError: pythae lacks the name or an option, or a value is out of its domain; a one-line message.
    """
    if name not in AUTOENCODERS:
        raise ValueError(f"pythae has no model {name!r}{_nearest(name, AUTOENCODERS)}")
    if name in REFUSED:
        raise ValueError(f"pythae's {name} is not supported: {REFUSED[name]}")
    autoencoder, configuration = AUTOENCODERS[name]
    takes = _options(configuration)
    for option in given:
        if option not in takes:
            raise ValueError(f"pythae's {name} has no option {option!r}{_nearest(option, takes)}")
    try:
        return autoencoder, configuration(input_dim=input_dim, **given)
    except ValidationError as error:
        fault = error.errors()[0]
        option, value = ".".join(str(part) for part in fault["loc"][:1]), fault["input"]
        raise ValueError(f"{option} of pythae's {name} cannot be {value!r}: {fault['msg']}") from error


def _options(configuration: type[BaseAEConfig]) -> list[str]:
    names = (field.name for field in dataclasses.fields(configuration))
    return [name for name in names if name not in _HIDDEN and not name.startswith("uses_default_")]


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else f"; it has {', '.join(known)}"
