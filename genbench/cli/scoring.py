"""The work of `genbench evaluate` before it prints: open both sides, read them and score."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from genbench.cli.measurable import split_applicable, split_measurable
from genbench.cli.sides import Opened, Request, Show, tell
from genbench.errors import InputError
from genbench.evaluation.stopwatch import Stopwatch
from genbench.kinds.nouns import counted

if TYPE_CHECKING:
    from genbench.datasets.dataset import Dataset
    from genbench.evaluation.measurement import Number
    from genbench.features.extractor import Extractor

__all__ = ["Scored", "score"]

# Describes an extractor in the title, so that nobody mistakes fd for FID; any other is a small classifier.
_WHAT = {
    "random-conv": "a network with random weights",
    "log-mel": "statistics of a log-mel spectrogram",
    "vggish": "VGGish with weights other than the published ones, or over several windows",
    "ngram": "projected counts of 1- to 4-grams",
    "minilm": "sentence embeddings of all-MiniLM-L6-v2",
}


@dataclass(frozen=True)
class Scored:
    """The scores of the items, and the extractor's throughput on them; `floor` is the score of real items."""

    title: str
    noun: str
    count: int
    numbers: dict[str, Number]
    floor: dict[str, Number]
    recipes: dict[str, dict[str, Any]]
    missing: dict[str, str]
    unasked: list[str]  # of the missing: metrics that nobody named and that cannot apply here
    remarks: list[str]
    held_out: int
    extractor: str
    items_per_s: float
    seconds: dict[str, float]  # of each metric


def score(request: Request, show: Show) -> Scored:
    """Score items against those of `reference`, or without one against a dataset.

    Args:
        request: what to score.
        show: receives the progress.
    """
    from genbench.datasets.external_sounds import holds_sounds
    from genbench.datasets.external_texts import SUFFIX
    from genbench.evaluation.selection import select
    from genbench.features.statistics_file import holds_statistics

    select(request.settings.metrics)  # an unknown name is reported before anything is read
    paths = [path for path in (request.items, request.reference) if path is not None]
    texts = [path for path in paths if path.suffix.lower() == SUFFIX]
    clips = [path for path in paths if holds_sounds(path)]
    for noun, some in (("texts", texts), ("clips", clips)):
        if some and len(some) < len(paths):
            other = next(path for path in paths if path not in some)
            raise InputError(f"{some[0]} holds {noun} and {other} does not; compare items of one kind")
    if clips:
        from genbench.cli.scoring_sounds import open_sounds_of as opened
    elif texts:
        from genbench.cli.scoring_texts import open_texts_of as opened
    elif request.reference is not None and holds_statistics(request.reference):
        from genbench.cli.scoring_statistics import open_against_statistics as opened
    else:
        from genbench.cli.scoring_images import open_images_of as opened
    return _measured(request, show, opened(request, show))


def _measured(request: Request, show: Show, side: Opened) -> Scored:
    from genbench.evaluation import measurement, references
    from genbench.evaluation.selection import is_named, select

    data, extractor = side.data, side.extractor
    noun = data.kind.noun
    wanted = select(request.settings.metrics, data.kind.name)
    metrics, left = split_applicable(wanted, data, extractor)
    unasked = [each.name for each in wanted if each.name in left and not is_named(each, request.settings.metrics)]
    if side.reference is None:
        reference = references.reference_for(data, extractor, lambda event: tell(show.step, event), side.limit)
    else:
        reference = side.reference
        metrics, more = split_measurable(metrics, request, reference)
        left |= more
    names = [metric.name for metric in metrics]
    show.begin(f"measuring {counted(side.count, noun)} by {extractor.name}: {', '.join(names)}")
    begin = time.perf_counter()
    items, features = side.read()
    rate = len(items) / (time.perf_counter() - begin)
    evaluator = measurement.Evaluator(data, extractor, reference, metrics, side.fields())
    evaluator.watch = watch = Stopwatch(time.perf_counter, partial(show.metric, names))
    numbers = evaluator.score(items, None, features=features)
    seconds = dict(watch.seconds)
    missing = left | evaluator.missing  # of the items; the floor may miss other numbers
    if not numbers:
        why = "; ".join(dict.fromkeys(missing.values())) or "no number is finite"
        raise InputError(f"nothing was measured: {why}; request other metrics")
    floor = evaluator.floor(len(items))
    return Scored(
        title=_title(request, len(items), data, extractor),
        noun=noun,
        count=len(items),
        numbers=numbers,
        floor=floor,
        recipes=evaluator.recipes,
        missing=missing,
        unasked=unasked,
        remarks=side.remarks(),
        held_out=len(data.held_out),
        extractor=extractor.name,
        items_per_s=rate,
        seconds=seconds,
    )


def _title(request: Request, count: int, data: Dataset, extractor: Extractor) -> str:
    from genbench.features import FROM_A_FILE, extractors_of
    from genbench.features.brought import PLUGIN

    against = str(request.reference) if request.dataset is None else data.name
    if extractor.earned.get("fd") == "fid":
        what = f"Inception-v3 of 2015, profile {extractor.recipe()['profile']}"
    elif extractor.earned:
        what = f"{extractor.name} as published, profile {extractor.recipe()['profile']}"
    elif extractor.name == "inception":
        what = "Inception with weights other than those of 2015, so fd is not FID"
    else:
        kind = "a vision transformer from a file" if extractor.name in FROM_A_FILE else "a small classifier"
        if plugin := extractor.fields.get(PLUGIN):
            kind = f"brought by {str(plugin).partition(' sha256:')[0]}"
        what = f"{extractor.name}, {_WHAT.get(extractor.name, kind)}, so fd is not FID"
        if "inception" in extractors_of(data.kind.name):
            what += "; for FID add --extractor inception"
    return f"{request.items} ({counted(count, data.kind.noun)}) against {against}; features: {what}"
