"""Builds a study from a finished benchmark's folder: the page for raters, and the key that its author keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import InputError, nearest
from genbench.kinds.nouns import counted, noun_of
from genbench.machine import atomic
from genbench.records.identity import identity
from genbench.records.signed import checksum
from genbench.records.studies import FOLDER
from genbench.study.design import Design, designed, key, shown
from genbench.study.items import FLOOR, REAL, Chosen, chosen_records, pool
from genbench.study.page import data_text, page, study_hash
from genbench.study.power import resolvable_share
from genbench.study.protocols import PROTOCOLS

__all__ = ["KEY", "LEAST_MS", "PAGE", "Made", "Wish", "make"]

PAGE, KEY = "study.html", "study-key.json"
SCHEMA = 1
LEAST_MS = 100
"""Nobody can see an item, decide and press a key in less; the page accepts no earlier answer."""

_SIDE = 192  # minimum size of an image's longer side in pixels, unless a magnification is given


@dataclass(frozen=True)
class Wish:
    """The parameters of a study to build.

    Args:
        protocol: its name.
        questions: maximum number of questions per rater, besides practice and catch trials.
        models: labels; if empty, all models in the folder.
        seed: decides what is shown.
        time_limit_ms: how long an item is shown; None means until it is answered.
        magnification: integer factor for images, multiple of 16 pixels for texts; None chooses one.
        dataset: of the records; may be None if there is only one.
        budget: likewise.
        raters: expected number of raters, to estimate what the study can resolve.
    """

    protocol: str
    questions: int
    models: tuple[str, ...] = ()
    seed: int = 0
    time_limit_ms: int | None = None
    magnification: int | None = None
    dataset: str | None = None
    budget: str | None = None
    raters: int = 20


@dataclass(frozen=True)
class Made:
    """A study that was written, and lines on what it asks and what it can resolve."""

    page: Path
    key: Path
    study: str
    said: tuple[str, ...]


def make(directory: Path, wish: Wish) -> Made:
    """Write a study of a folder's samples into its `studies/`. The same wish gives the same bytes.

    Raises:
        InputError: a model is not found, samples are missing or too few, or there is no `real` or `noise`.
    """
    protocol = PROTOCOLS[wish.protocol]
    chosen = chosen_records(directory, wish.dataset, wish.budget)
    models = _models(directory, wish, chosen)
    pools = {label: pool(directory, label, chosen.records[label]) for label in dict.fromkeys([*models, REAL, FLOOR])}
    design = designed(protocol, models, pools, wish.questions, wish.seed)
    magnification = wish.magnification or _magnification(chosen, pools[REAL][0].media)
    noun = noun_of(chosen.dataset)
    data = {
        "genbench_study": SCHEMA,
        "protocol": wish.protocol,
        "prompt": protocol.prompt(noun),
        "instructions": _instructions(design, wish, f"The {noun} are of the dataset {chosen.dataset['name']}."),
        "choices": [vars(button) for button in protocol.buttons],
        "magnification": magnification,
        "time_limit_ms": wish.time_limit_ms,
        "least_ms": LEAST_MS,
        **shown(design),
    }
    text = data_text(data)
    study = study_hash(text)
    folder = directory / FOLDER / f"{wish.protocol}-{study[:8]}"
    document = {
        "genbench_study_key": SCHEMA,
        "study": study,
        "models": list(models),
        "recipe": _recipe(wish, chosen, design, magnification, models),
        **key(design),
    }
    atomic.write_text(folder / KEY, json.dumps({**document, "sha256": checksum(document)}, indent=1) + "\n")
    atomic.write_text(folder / PAGE, page(text))
    return Made(folder / PAGE, folder / KEY, study, _said(design, wish, models))


def _models(directory: Path, wish: Wish, chosen: Chosen) -> tuple[str, ...]:
    for label in (REAL, FLOOR):
        if label not in chosen.records:
            raise InputError(
                f"{directory}: no finished record of the control {label}, which catch trials and comparisons need; run "
                f"the benchmark again with `-m {label}` added"
            )
    for label in wish.models:
        if label not in chosen.records:
            raise InputError(f"{directory}: no finished record of {label!r}{nearest(label, chosen.records)}")
    trained = [label for label, own in chosen.records.items() if own[0].data["cell"]["role"] == "model"]
    models = tuple(dict.fromkeys(wish.models or trained))
    least = PROTOCOLS[wish.protocol].least_models
    if len(models) < least:
        raise InputError(
            f"{wish.protocol} compares at least {least} models, and there are {len(models)}: name them with --models"
        )
    return models


def _magnification(chosen: Chosen, media: str) -> int:
    shape = chosen.dataset["shape"]
    return max(1, -(-_SIDE // max(shape[1:]))) if media.startswith("image/") else 1


def _instructions(design: Design, wish: Wish, about: str) -> list[str]:
    said = [
        about,
        f"There are {len(design.forms[0])} questions, after {len(design.training)} to practise with, which say what "
        "was right. Answer by the keys that the buttons show, or by the buttons. There is no way back to a question.",
    ]
    if wish.time_limit_ms:
        said.append(
            f"Each is shown for {wish.time_limit_ms} milliseconds; after that take the time you need to answer."
        )
    return said


def _recipe(wish: Wish, chosen: Chosen, design: Design, magnification: int, models: Sequence[str]) -> dict[str, Any]:
    """Return everything that can change the numbers of a study, except who answers."""
    return {
        "protocol": wish.protocol,
        "version": SCHEMA,
        "dataset": chosen.dataset["name"],
        "dataset_fingerprint": chosen.dataset.get("fingerprint"),
        "budget": chosen.budget,
        "cells": {label: [record.id for record in chosen.records[label]] for label in sorted({*models, REAL, FLOOR})},
        "questions": len(design.forms[0]),
        "forms": len(design.forms),
        "magnification": magnification,
        "time_limit_ms": wish.time_limit_ms,
        "items_sha256": identity({one.id: [item.sha256 for item in one.items] for one in design.questions}, 64),
        "seed": wish.seed,
    }


def _said(design: Design, wish: Wish, models: Sequence[str]) -> tuple[str, ...]:
    form = [one.asked for one in design.forms[0]]
    each, what = PROTOCOLS[wish.protocol].votes(models, form)
    least = resolvable_share(each * wish.raters)
    reach = (
        "too few to tell any share from 50%"
        if least is None
        else f"80% power, two-sided 5%, to tell {least:.1%} or more from 50% if votes are independent; those of one "
        "rater are correlated, so expect somewhat less"
    )
    who = f"{counted(wish.raters, 'raters')} {'judges' if wish.raters == 1 else 'judge'}"
    forms = f"{counted(len(design.forms), 'forms')} with different items"
    return (
        f"{counted(len(models), 'models')}, {len(form)} questions per rater including catch trials, "
        f"{counted(len(design.training), 'practice questions')}, {forms}",
        f"{who} {each * wish.raters} {what}: {reach}",
        "votes needed for a share against 50%: 783 for 55%, 194 for 60%, 47 for 70%",
    )
