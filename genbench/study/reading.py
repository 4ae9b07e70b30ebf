"""Reads the answers to a study: reports why a file does not count, and analyses the others together."""

from __future__ import annotations

import json
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench.errors import InputError, nearest
from genbench.machine import atomic
from genbench.machine.regular_file import read_regular
from genbench.records.identity import identity
from genbench.records.signed import checksum, signed
from genbench.records.studies import FOLDER, RESULTS
from genbench.study.answers import Answers, Unusable, read_answers
from genbench.study.asking import Answered, Asked, Protocol
from genbench.study.making import KEY, LEAST_MS
from genbench.study.order import form_of, is_swapped, order_of
from genbench.study.protocols import PROTOCOLS

__all__ = ["Read", "find_key", "read_study", "stored_results"]

SCHEMA = 1

_SEED = 0  # of the bootstrap
_CLOCK_MS = 1000.0  # tolerance between two clocks of one machine
_DOUBLE = "double"


@dataclass(frozen=True)
class Read:
    """The results as written, and a line for each file that does not count."""

    path: Path
    results: Mapping[str, Any]
    left_out: tuple[str, ...]


def find_key(directory: Path, name: str | None) -> Path:
    """Return the key of the named study in a folder, or of the only one.

    Raises:
        InputError: there is none, or there are several and no name is given.
    """
    keys = {path.parent.name: path for path in sorted((directory / FOLDER).glob(f"*/{KEY}"))}
    if not keys:
        raise InputError(f"{directory}: no study; create one with `genbench study new {directory}`")
    if name is None and len(keys) > 1:
        raise InputError(f"{directory} holds several studies ({', '.join(keys)}); choose one with --study")
    if name is not None and name not in keys:
        raise InputError(f"{directory}: no study {name!r}{nearest(name, keys)}")
    return keys[name] if name is not None else next(iter(keys.values()))


def read_study(key_path: Path, paths: Sequence[Path]) -> Read:
    """Read files of answers, and write their combined results next to the key.

    If one rater has two files, the one finished first counts.

    Raises:
        InputError: the key was modified, or no file counts.
    """
    key = _document(key_path, "genbench_study_key", "create the study again with the same options")
    protocol = PROTOCOLS[key["recipe"]["protocol"]]
    sound: list[tuple[Path, Answers]] = []
    refused: list[tuple[Path, Unusable]] = []
    for path in paths:
        try:
            sound.append((path, read_answers(path)))
        except Unusable as error:
            refused.append((path, error))
    counted: dict[str, tuple[Path, Answers, list[Answered]]] = {}
    for path, answers in sorted(sound, key=lambda pair: (pair[1].finished, pair[1].sha256)):
        try:
            given = _checked(answers, key, protocol)
            rater = unicodedata.normalize("NFKC", answers.rater).casefold()
            if rater in counted:
                raise Unusable(_DOUBLE, f"rater {answers.rater!r} has already answered, in {counted[rater][0]}")
            counted[rater] = path, answers, given
        except Unusable as error:
            refused.append((path, error))
    left_out = tuple(f"{path}: left out: {error}" for path, error in refused)
    if not counted:
        raise InputError("; ".join(["no file of answers counts", *left_out]))
    results = _results(key, protocol, list(counted.values()), [error.kind for _, error in refused])
    target = key_path.parent / RESULTS
    atomic.write_text(target, json.dumps({**results, "sha256": checksum(results)}, indent=1) + "\n")
    return Read(target, results, left_out)


def stored_results(directory: Path) -> list[dict[str, Any]]:
    """Return the results of every study in a benchmark's folder, sorted by path.

    Raises:
        InputError: one was modified.
    """
    paths = sorted((directory / FOLDER).glob(f"*/{RESULTS}"))
    return [
        _document(path, "genbench_study_results", "read the answers again with `genbench study read`") for path in paths
    ]


def _document(path: Path, kind: str, remedy: str) -> dict[str, Any]:
    try:
        document, fits = signed(read_regular(path))
        if not fits or document[kind] != SCHEMA:
            raise ValueError(kind)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is truncated, edited or from another version; {remedy}") from error
    return document


def _checked(answers: Answers, key: Mapping[str, Any], protocol: Protocol) -> list[Answered]:
    """Return the answers with their questions; raise `Unusable` if they are not from this study's page, or useless."""
    study = key["study"]
    if answers.study != study:
        raise Unusable("of another study", f"it answers study {answers.study[:8]}, not {study[:8]}")
    form = key["forms"][form_of(study, answers.rater, len(key["forms"]))]
    expected = order_of(study, answers.rater, form)
    if [question for question, _, _ in answers.answers] != expected:
        raise Unusable("edited", "it was edited: its questions are not this rater's questions")
    if any(choice not in protocol.choices for _, choice, _ in answers.answers):
        raise Unusable("edited", "it was edited: it contains an answer that no button gives")
    shortest, total = min(ms for _, _, ms in answers.answers), sum(ms for _, _, ms in answers.answers)
    if shortest < LEAST_MS:
        raise Unusable(
            "impossible times", f"an answer after {shortest} ms is impossible: the page accepts none before {LEAST_MS}"
        )
    if total > answers.elapsed_ms + _CLOCK_MS:
        raise Unusable("impossible times", f"{total} ms of answers in {answers.elapsed_ms:.0f} ms are impossible")
    given = [
        Answered(
            _asked(key["questions"][question]),
            choice,
            # A key of an older version has no `turned`: its page lists items in the key's order.
            is_swapped(study, answers.rater, form.index(question)) != key["questions"][question].get("turned", False),
        )
        for question, choice, _ in answers.answers
    ]
    if fault := protocol.fault(given):
        raise Unusable("failed catch trials", f"the rater {fault}")
    return given


def _asked(question: Mapping[str, Any]) -> Asked:
    return Asked(question["role"], tuple(question["models"]))


def _results(
    key: Mapping[str, Any],
    protocol: Protocol,
    counted: Sequence[tuple[Path, Answers, list[Answered]]],
    refused: Iterable[str],
) -> dict[str, Any]:
    """Return the results document. It names no rater, because a report may be public."""
    models = key["models"]
    files = sorted(answers.sha256 for _, answers, _ in counted)
    raters = sorted(counted, key=lambda one: one[1].sha256)  # independent of the order of the files
    times = [ms for _, answers, _ in counted for _, _, ms in answers.answers]
    each, what = protocol.votes(models, [_asked(key["questions"][name]) for name in key["forms"][0]])
    return {
        "genbench_study_results": SCHEMA,
        "study": key["study"],
        "models": models,
        "recipe": {**key["recipe"], "raters": len(files), "answers_sha256": identity({"files": files}, 64)},
        "left_out": dict(sorted(Counter(refused).items())),
        "votes": {"each": each * len(files), "what": what},
        "median_ms": statistics.median(times),
        "results": protocol.results(models, [given for _, _, given in raters], _SEED),
    }
