"""What changed between two sets of records, and whether it is a regression. Nothing here imports torch.

The statistics come from `genbench.records.statistics`; this package decides what may be compared with what.
"""

from __future__ import annotations

from genbench.changes.change import Change
from genbench.changes.comparing import compare
from genbench.changes.documents import FORMATS
from genbench.changes.expression import ExpressionError, check_names, parse
from genbench.changes.gate import Verdict, judge
from genbench.changes.sets import read_set
from genbench.changes.wording import Shown

__all__ = [
    "FORMATS",
    "Change",
    "ExpressionError",
    "Shown",
    "Verdict",
    "check_names",
    "compare",
    "judge",
    "parse",
    "read_set",
]
