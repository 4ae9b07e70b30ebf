"""Datasets that plugins bring: loaded by their hook, checked, and identified by their code too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from genbench.config.model_spec import option_value
from genbench.datasets.dataset import Dataset
from genbench.datasets.options import part_of
from genbench.datasets.source import Part, Request
from genbench.datasets.split_checks import BadSplitsError, taken_over
from genbench.datasets.subset import taken
from genbench.errors import InputError, OptionError, PluginError
from genbench.plugin import options
from genbench.plugin.guarding import guarded, load_guarded

__all__ = ["load"]


def load(request: Request) -> Dataset:
    """Load the dataset of a plugin, and take the part of it that is asked for.

    `held_out=N` is the plugin's own option where its builder has one of that name.

    Raises:
        InputError: the plugin does not load, its hook raises, or gives what is no dataset; an option is at fault.
    """
    found = request.source.found
    assert found is not None, "the table's own sources have files of their own"
    try:
        provenance = found.provenance(found.coverage(request.options))
        plugin = load_guarded(found)
        own, part = _split(request, options.accepted(plugin))
        arguments: dict[str, Any] = {"folder": request.data_root / found.name, "image_size": request.image_size}
        if request.image_size is not None and not plugin.implements(found.family.hook, "image_size"):
            raise request.fault(f"--image-size {request.image_size} has no effect on it; leave it out")
        with guarded(plugin, found.family.hook):
            given = options.call(plugin, own, **arguments)
        dataset = taken_over(given, request.spec, provenance.code)
    except OptionError as error:
        raise request.fault(str(error).removeprefix(f"{found}: ")) from error
    except PluginError as error:
        raise InputError(str(error)) from error
    except BadSplitsError as error:
        raise InputError(f"{found}: {found.family.hook} {error}") from error
    return dataset if part == Part() else taken(replace(request, part=part), dataset)


def _split(request: Request, accepted: dict[str, Any] | None) -> tuple[dict[str, Any], Part]:
    """Tell the options of the plugin's own from the part that is used, which are written alike."""
    texts = dict(request.options)
    asked = [name for name in ("fraction", "held_out") if name in texts and name not in (accepted or ())]
    of_part = {name: texts.pop(name) for name in asked}
    return {name: option_value(text) for name, text in texts.items()}, part_of(request.spec, of_part)
