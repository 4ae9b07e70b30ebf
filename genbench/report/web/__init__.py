"""The second writer of a report: one HTML file that holds all it needs and opens from the disk without a network.

What is written is the same model as `report.md` (`report.model`), with the curves, samples and recipes behind it.
"""

from genbench.report.web.page import Watched, page

__all__ = ["Watched", "page"]
