"""A record's bytes to its document, and whether its checksum fits: by the fast JSON library where that is sure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from genbench.records.identity import canonical

__all__ = ["checksum", "signed"]

# The one JSON text of a record has numbers as Python writes them: orjson has 0.00002 for 2e-05, 1e-7 for 1e-07 and 1e16
# for 1e+16. Each pattern begins with what is rare, for it is sought in every record.
_SMALL = re.compile(rb"0\.0000(?<=[:,\[-]0\.0000)\d+(?=[,}\]])")
_EXPONENT = re.compile(rb"e-?\d+(?=[,}\]])")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def checksum(document: Mapping[str, Any]) -> str:
    """Return the checksum of a record: of its canonical text without the checksum itself."""
    return hashlib.sha256(canonical({key: value for key, value in document.items() if key != "sha256"})).hexdigest()


def signed(content: bytes) -> tuple[dict[str, Any], bool]:
    """Return the document that a record's file holds, and whether its checksum fits.

    orjson is several times as fast as the standard library, but knows no NaN, no infinity and no half of a surrogate
    pair, and reads a whole number beyond 64 bits as a float. So what it read counts only if the checksum, which the
    standard library made, fits what it writes of it; all else goes the slow way, and a record is accepted or refused
    as if that were the only one.

    Raises:
        ValueError, AttributeError, KeyError, TypeError, RecursionError: it is no record.
    """
    try:
        document = orjson.loads(content)
        body = {key: value for key, value in document.items() if key != "sha256"}
        text = _as_python(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
        if hashlib.sha256(text).hexdigest() == document["sha256"]:
            return document, True
    except (ValueError, AttributeError, KeyError, TypeError):
        pass  # for the slow way to say
    document = json.loads(content.decode("utf-8"))
    return document, bool(document["sha256"] == checksum(document))


def _as_python(text: bytes) -> bytes:
    """Return a JSON text of orjson with its numbers as Python writes them.

    What looks like a number within a string is changed too; then the checksum does not fit, and the slow way is taken.
    """
    if b"0.0000" in text:
        text = _SMALL.sub(lambda found: repr(float(found[0])).encode(), text)
    parts, done = [], 0
    for exponent in _EXPONENT.finditer(text):
        begin = max(text.rfind(mark, done, exponent.start()) for mark in (b":", b",", b"[")) + 1
        if _NUMBER.fullmatch(text, begin, exponent.start()):
            parts += [text[done:begin], repr(float(text[begin : exponent.end()])).encode()]
            done = exponent.end()
    return b"".join([*parts, text[done:]]) if parts else text
