"""Values as they are written to CSV files: many at once, and the same bytes on every machine."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from genbench.plugin.visible import visible

__all__ = ["field_text", "float_texts", "quoted"]

_FORMULAS = ("=", "+", "-", "@", "\t")  # with these, a spreadsheet takes a field for a formula


def float_texts(values: NDArray[np.float64]) -> list[str]:
    """Return each float, (n,), at full precision as Python writes it; NaN is empty.

    >>> float_texts(np.array([0.1, float("nan"), 1e-7, 3.0]))
    ['0.1', '', '1e-07', '3.0']
    """
    if not values.size:
        return []
    texts = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    size = np.abs(values)
    # orjson writes the others as Python does.
    for place in np.flatnonzero(~((size >= 1e-4) & (size < 1e16) | (size == 0))).tolist():
        value = float(values[place])
        texts[place] = "" if value != value else repr(value)
    return texts


def field_text(value: str) -> str:
    """Return a text as a CSV file may show it, before quotes: visible, and no formula to a spreadsheet.

    The output may go to a terminal, some readers stop at a zero byte, and a label may come from anybody's record.

    >>> field_text("=1+1"), field_text("-5"), field_text("vae:beta=4")
    ("'=1+1", '-5', 'vae:beta=4')
    """
    shown = visible(value, keep="\n\t")
    return f"'{shown}" if shown.startswith(_FORMULAS) and not _is_number(shown) else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def quoted(value: Any) -> str:
    """Return a value as a field of a CSV file whose lines end in a line feed."""
    line = io.StringIO()
    shown = field_text(value) if isinstance(value, str) else value
    csv.writer(line, lineterminator="\n").writerow([shown, ""])  # a field that is alone would be quoted if it is empty
    return line.getvalue()[:-2]
