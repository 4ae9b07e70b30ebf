"""Runs all metrics through their sanity checks, and writes docs/metrics.md's tables and a CSV file here.

    python benchmarks/metric_checks.py

Takes three to four minutes on one core. Every verdict except a pass has to be explained below the tables:
tests/test_sanity.py lists those that are not.
"""

from __future__ import annotations

from pathlib import Path

import torch

from genbench.sanity.candidates import choose
from genbench.sanity.suite import run_checks
from genbench.sanity.tables import as_csv, as_markdown, between_markers

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "metrics.md"
EVIDENCE = Path(__file__).with_suffix(".csv")


def main() -> None:
    """Write both files."""
    torch.set_num_threads(1)  # the matrices are small: more threads would only wait for each other
    findings = run_checks(choose())
    EVIDENCE.write_text(as_csv(findings))
    PAGE.write_text(between_markers(PAGE.read_text(), as_markdown(findings)))


if __name__ == "__main__":
    main()
