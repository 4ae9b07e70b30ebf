"""Writes a report as HTML: one self-contained file that opens from disk without a network.

It is written from the same model as `report.md` (`report.model`), plus the curves, samples and recipes behind it.
"""

from genbench.report.web.page import Watched, page

__all__ = ["Watched", "page"]
