"""From a record's bytes to its document and whether its checksum matches: by the fast JSON library where it is safe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from genbench.records.identity import canonical

__all__ = ["checksum", "signed"]

# The canonical JSON text of a record has numbers as Python writes them: orjson has 0.00002 for 2e-05, 1e-7 for 1e-07
# and 1e16 for 1e+16. Each pattern begins with its rarest part, because every record is searched for it.
_SMALL = re.compile(rb"0\.0000(?<=[:,\[-]0\.0000)\d+(?=[,}\]])")
_EXPONENT = re.compile(rb"e-?\d+(?=[,}\]])")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def checksum(document: Mapping[str, Any]) -> str:
    """Return the checksum of a record: of its canonical text without the checksum itself."""
    return hashlib.sha256(canonical({key: value for key, value in document.items() if key != "sha256"})).hexdigest()


def signed(content: bytes) -> tuple[dict[str, Any], bool]:
    """Return the document in a record's file, and whether its checksum matches.

    orjson is several times as fast as the standard library, but supports neither NaN, infinity nor lone surrogates, and
    reads integers beyond 64 bits as floats. Its result is therefore accepted only if the checksum, which the standard
    library computed, matches what orjson writes for it; everything else goes the slow way, and a record is accepted or
    refused as if that were the only one.

    Raises:
        ValueError, AttributeError, KeyError, TypeError, RecursionError: it is not a record.
    """
    try:
        document = orjson.loads(content)
        body = {key: value for key, value in document.items() if key != "sha256"}
        text = _as_python(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
        if hashlib.sha256(text).hexdigest() == document["sha256"]:
            return document, True
    except (ValueError, AttributeError, KeyError, TypeError):
        pass  # the slow way reports the reason
    document = json.loads(content.decode("utf-8"))
    return document, bool(document["sha256"] == checksum(document))


def _as_python(text: bytes) -> bytes:
    """Return a JSON text from orjson with its numbers as Python writes them.

    Anything in a string that looks like a number is changed too; then the checksum does not match, and the slow way is
    taken.
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
