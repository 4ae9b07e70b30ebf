"""The families of plugins: what each provides, the entry-point group that it is found by, and the hook that builds it.

Imports no plugin, and neither torch nor pluggy: lists are compiled only from distributions' metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DATASET", "EXTRACTOR", "FAMILIES", "METRIC", "MODEL", "OBSERVER", "Family"]


@dataclass(frozen=True)
class Family:
    """The name of one kind of plugin, and how it is found.

    Args:
        name: what it provides, in the singular, as in `--family dataset` and in errors.
        group: the entry-point group of its plugins.
        hook: the hook in `genbench.plugin.hookspecs` that builds what it provides. Models have further hooks.
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
