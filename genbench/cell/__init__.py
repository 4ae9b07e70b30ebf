"""One cell from start to end: the only place that joins the stages."""

from __future__ import annotations

from genbench.cell.stages import run

__all__ = ["run"]
