"""The language of `--fail-on`: `fd>5%,dcgan:fd>1%,vae:beta=4@digits:ssim<-0.02`.

    expression = term {"," term}
    term       = [MODEL ["@" DATASET] ":"] NAME (">" | "<") NUMBER ["%"]
    MODEL      = a model's label including its options: everything up to the last ":" before the sign
    NAME       = a number or a cost as named in records: letters, digits and "_", not starting with a digit
    NUMBER     = decimal, with an optional sign and exponent

Whitespace between the parts is ignored.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from genbench.errors import InputError, nearest

__all__ = ["ExpressionError", "Term", "applying", "check_names", "parse"]

_POINTED = 30  # characters shown on either side of a fault
_BLANKS = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# No comma before the first colon: options come after it, and a comma also ends a term. No sign, which ends the names.
_MODEL = re.compile(r"(?P<model>[^<>,:]+(?::[^<>]*)?):(?=[^<>:]*(?:[<>]|$))")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class ExpressionError(InputError):
    """An expression that cannot be parsed. `position` counts its characters from 1; `pointer` is two lines to show."""

    def __init__(self, expression: str, offset: int, fault: str) -> None:
        self.position = offset + 1
        self.pointer = _pointer(expression, offset)
        super().__init__(f"--fail-on, at character {self.position}: {fault}")


@dataclass(frozen=True)
class Term:
    """One term: it fails if `name` changes beyond `bound`.

    Args:
        name: as named in records.
        sign: `>` fails above the bound, `<` below it.
        bound: a share of BASE's mean if `relative` (5% is 0.05), otherwise in the number's own unit.
        relative: whether the term has a percent sign.
        text: the term as written, without whitespace.
        offset: where it starts in the expression, from 0.
        model: the label it applies to, or label@dataset; empty if it applies to every model.
        name_offset: where its name starts.
    """

    name: str
    sign: str
    bound: float
    relative: bool
    text: str
    offset: int
    model: str = ""
    name_offset: int = 0

    def passed_by(self, change: float) -> bool:
        """Whether `change`, a share of BASE's mean if the term is relative, lies beyond the bound."""
        return change > self.bound if self.sign == ">" else change < self.bound


def parse(expression: str) -> list[Term]:
    """Parse an expression.

    Raises:
        ExpressionError: it cannot be parsed, or a bound is one that zero change would already exceed.

    Example:
        >>> [(term.model, term.name, term.sign, term.bound, term.relative) for term in parse("fd > 5%, vae:ssim<-0.02")]
        [('', 'fd', '>', 0.05, True), ('vae', 'ssim', '<', -0.02, False)]
    """
    terms = []
    offset = 0
    while True:
        term, offset = _term(expression, offset)
        terms.append(term)
        if offset == len(expression):
            return terms
        if expression[offset] != ",":
            raise ExpressionError(
                expression, offset, f"found {expression[offset]!r} after {term.text!r}; put a comma between terms"
            )
        offset += 1


def check_names(expression: str, terms: Collection[Term], known: Collection[str], models: Collection[str]) -> None:
    """Refuse terms whose name or model is in neither set of records.

    Args:
        known: the names of numbers and costs.
        models: labels, both alone and as label@dataset.

    Raises:
        ExpressionError: naming the closest matches.
    """
    for term in terms:
        if term.model and term.model not in models:
            fault = f"no record of either set is of the model {term.model!r}{nearest(term.model, models)}"
            raise ExpressionError(expression, term.offset, fault)
        if term.name not in known:
            fault = f"no record of either set has {term.name!r}{nearest(term.name, known)}"
            raise ExpressionError(expression, term.name_offset, fault)


def applying(terms: Sequence[Term], label: str, dataset: str) -> list[Term]:
    """Return the terms that judge this model on this dataset.

    A term for label@dataset overrides one for the label, which overrides one for every model, if they have the same
    number and sign.
    """
    ranked = ("", label, f"{label}@{dataset}")
    mine = [term for term in terms if term.model in ranked]
    closest: dict[tuple[str, str], int] = {}
    for term in mine:
        key = term.name, term.sign
        closest[key] = max(closest.get(key, 0), ranked.index(term.model))
    return [term for term in mine if ranked.index(term.model) == closest[term.name, term.sign]]


def _shown(text: str) -> str:
    """Return `text` with the same number of characters, none of which moves the cursor."""
    return "".join(" " if character.isspace() else character if character.isprintable() else "�" for character in text)


def _pointer(expression: str, offset: int) -> str:
    """Return the expression, or the part around `offset`, as one line, and a line with `^` below that position."""
    start, end = max(0, offset - _POINTED), offset + _POINTED
    before, after = _shown(expression[start:offset]), _shown(expression[offset:end])
    left, right = "…" * (start > 0), "…" * (end < len(expression))
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in before)
    return f"  {left}{before}{after}{right}\n  {' ' * (len(left) + len(before) + wide)}^"


def _term(expression: str, offset: int) -> tuple[Term, int]:
    start = _skip(expression, offset)
    model, name_start = _model(expression, start)
    name, offset = _part(_NAME, expression, name_start, "a name, such as fd")
    place = _skip(expression, offset)
    sign = expression[place : place + 1]
    if sign not in (">", "<"):
        raise ExpressionError(expression, place, f"expected > or < after {name!r}{_found(expression, place)}")
    place = _skip(expression, place + 1)
    number, offset = _part(_NUMBER, expression, place, f"a number after {name + sign!r}, such as 5% or -0.1")
    relative = expression[_skip(expression, offset) :].startswith("%")
    if relative:
        offset = _skip(expression, offset) + 1
    whose = f"{model}:{name}" if model else name
    text = f"{whose}{sign}{number}{'%' if relative else ''}"
    term = Term(name, sign, float(number) / (100 if relative else 1), relative, text, start, model, name_start)
    if not math.isfinite(term.bound):
        raise ExpressionError(expression, place, f"{number[:20]!r} is too large for a bound")
    if term.passed_by(0.0):
        size = number.lstrip("+-") + ("%" if relative else "")
        fault = f"{text!r} would fail without any change; write '{whose}>{size}' or '{whose}<-{size}'"
        raise ExpressionError(expression, place, fault)
    return term, _skip(expression, offset)


def _model(expression: str, start: int) -> tuple[str, int]:
    """Return the model that a term names, if any, and where the name of its number starts."""
    found = _MODEL.match(expression, start)
    return (found["model"].strip(), _skip(expression, found.end())) if found else ("", start)


def _skip(expression: str, offset: int) -> int:
    blanks = _BLANKS.match(expression, offset)
    assert blanks is not None  # it also matches the empty string
    return blanks.end()


def _part(pattern: re.Pattern[str], expression: str, offset: int, wanted: str) -> tuple[str, int]:
    match = pattern.match(expression, offset)
    if match is None:
        raise ExpressionError(expression, offset, f"expected {wanted}{_found(expression, offset)}")
    return match[0], match.end()


def _found(expression: str, offset: int) -> str:
    return f", found {expression[offset]!r}" if offset < len(expression) else ", but it ends there"
