"""Datasets from plugins: loaded through their hook, checked, and identified by their code as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genbench.config.model_spec import option_value
from genbench.datasets.dataset import Dataset
from genbench.datasets.options import part_of
from genbench.datasets.source import Part, Request, default_data_root
from genbench.datasets.split_checks import BadSplitsError, taken_over
from genbench.datasets.subset import taken
from genbench.errors import InputError, OptionError, PluginError
from genbench.plugin import options
from genbench.plugin.families import DATASET
from genbench.plugin.finding import Found
from genbench.plugin.guarding import guarded, load_guarded
from genbench.plugin.loading import Plugin

__all__ = ["fingerprint_of", "given", "load"]


def load(request: Request) -> Dataset:
    """Load a plugin's dataset and take the requested part of it.

    `held_out=N` is the plugin's own option if its builder has one of that name.

    Raises:
        InputError: the plugin does not load, its hook raises or returns no valid dataset, or an option is wrong.
    """
    found = request.source.found
    assert found is not None, "the table's own sources have files of their own"
    try:
        provenance = found.provenance(found.coverage(request.options))
        plugin = load_guarded(found)
        own, part = _split(request, options.accepted(plugin))
        if request.image_size is not None and not plugin.implements(DATASET.hook, "image_size"):
            raise request.fault(f"--image-size {request.image_size} has no effect on it; leave it out")
        with guarded(plugin, DATASET.hook):
            splits = given(plugin, own, request.data_root, request.image_size)
        dataset = taken_over(splits, request.spec, provenance.code)
    except OptionError as error:
        raise request.fault(str(error).removeprefix(f"{found}: ")) from error
    except PluginError as error:
        raise InputError(str(error)) from error
    except BadSplitsError as error:
        raise InputError(f"{found}: {DATASET.hook} {error}") from error
    return dataset if part == Part() else taken(replace(request, part=part), dataset)


def given(plugin: Plugin, own: Mapping[str, Any], data_root: Path | None = None, image_size: int | None = None) -> Any:
    """Return the unchecked result of a dataset plugin's hook.

    Args:
        plugin: of the dataset.
        own: options for its builder.
        data_root: the folder of downloaded data, in which the plugin has its own folder; None for the default.
        image_size: the requested side of the images, or None.
    """
    folder = (data_root or default_data_root()) / plugin.found.name
    return options.call(plugin, own, folder=folder, image_size=image_size)


def fingerprint_of(name: str, target: str, file: str, own: str) -> str:
    """Load any plugin dataset in this process and return its fingerprint.

    Args:
        name: of its entry point.
        target: its module.
        file: its file, if it has no entry point; otherwise empty.
        own: options for its builder, as JSON.
    """
    found = Found(name, "", "", target, Path(file) if file else None, DATASET)
    return taken_over(given(load_guarded(found), json.loads(own)), name, {}).fingerprint


def _split(request: Request, accepted: Mapping[str, Any] | None) -> tuple[dict[str, Any], Part]:
    """Separate the plugin's own options from those that select a part; both have the same syntax."""
    texts = dict(request.options)
    asked = [name for name in ("fraction", "held_out") if name in texts and name not in (accepted or ())]
    of_part: dict[str, str] = {name: texts.pop(name) for name in asked}
    return {name: option_value(text) for name, text in texts.items()}, part_of(request.spec, of_part)
