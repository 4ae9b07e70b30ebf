"""The families of plugins: what each brings, the entry-point group that it is found by, and the hook that makes it.

Imports nothing of the plugins, and neither torch nor pluggy: lists are made from distributions' metadata alone.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DATASET", "EXTRACTOR", "FAMILIES", "METRIC", "MODEL", "OBSERVER", "Family"]


@dataclass(frozen=True)
class Family:
    """What one kind of plugin is called and how it is found.

    Args:
        name: what it brings, in the singular, as in `--family dataset` and in errors.
        group: the entry-point group of its plugins.
        hook: the hook of `genbench.plugin.hookspecs` that makes what it brings. Models have further ones.
    """

    name: str
    group: str
    hook: str


MODEL = Family("model", "genbench", "build_model")
DATASET = Family("dataset", "genbench.datasets", "load_dataset")
EXTRACTOR = Family("extractor", "genbench.extractors", "build_extractor")
METRIC = Family("metric", "genbench.metrics", "define_metric")
OBSERVER = Family("observer", "genbench.observers", "build_observer")

FAMILIES = {family.name: family for family in (MODEL, DATASET, EXTRACTOR, METRIC, OBSERVER)}
