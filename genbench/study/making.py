"""Makes a study from a finished benchmark's folder: the page for people, and the key that stays with whoever asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import InputError, nearest
from genbench.kinds.nouns import noun_of
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
"""Nobody sees an item, decides and presses a key in less; the page takes no answer before."""

_SIDE = 192  # pixels that an image's longer side has at least, unless a magnification is given


@dataclass(frozen=True)
class Wish:
    """What a study is to be.

    Args:
        protocol: its name.
        questions: that a rater is asked at the most, beside training and catch trials.
        models: labels; all models of the folder where there are none.
        seed: decides what is shown.
        time_limit_ms: how long an item is shown; None, until the answer.
        magnification: of images by whole pixels, of texts times 16 pixels; None chooses.
        dataset: of the records; may be None where there is one.
        budget: likewise.
        raters: how many people will answer, to say what the study can resolve.
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
    """A study that was written, and lines that say what it asks and what it can resolve."""

    page: Path
    key: Path
    study: str
    said: tuple[str, ...]


def make(directory: Path, wish: Wish) -> Made:
    """Write a study of a folder's samples into `studies/` in it. The same wish gives the same bytes.

    Raises:
        InputError: there is no such model, its samples are gone, they are too few, or there is no `real` or `noise`.
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
        **shown(design, wish.seed),
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
            f"{wish.protocol} compares {least} models or more, and there are {len(models)}: name them by --models"
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
    """Return what can change the numbers of a study, but for who answers."""
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
    reach = "no share at all" if least is None else f"{least:.1%} or more"
    return (
        f"{len(models)} models, {len(form)} questions a rater with catch trials, {len(design.training)} to train, "
        f"{len(design.forms)} forms of other items",
        f"{wish.raters} raters judge {each * wish.raters} {what}: 80% power, two-sided 5%, to tell {reach} from 50% if "
        "votes are independent; those of one rater are not quite, so expect rather less",
        "votes needed for a share against 50%: 783 for 55%, 194 for 60%, 47 for 70%",
    )
