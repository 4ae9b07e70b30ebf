"""How cost grows: measures it, and draws one figure each from the measurements.

training    images/s of four models against their width and the batch
evaluation  seconds and memory of the default metrics against the images N and the features d of each
report      seconds and memory of `genbench report` against the number of records

    python benchmarks/growth all                              # half an hour on two quiet cores
    python benchmarks/growth evaluation --limit 300           # no point that is expected to take longer
    python benchmarks/growth all --quick --out /tmp/growth    # a trial of a few seconds
    python benchmarks/growth report --redraw                  # redraw the figure from its table

Each writes NAME.csv with one row per measurement, NAME.json with the machine and the software, and NAME.svg, into
docs/performance unless --out is given.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import figures
import pandas as pd
import storage

from genbench.errors import InputError

OUT = Path(__file__).parents[2] / "docs" / "performance"


def measure(name: str, quick: bool, limit_s: float) -> tuple[pd.DataFrame, list[str]]:
    """Return the table, and a line about each point that was left out."""
    # Imported here because they import torch, which redrawing does not need.
    import evaluation
    import isolation
    import reporting
    import training

    if name == "training":
        size = training.QUICK if quick else training.SETTINGS
        return isolation.isolated(training.measure, size), []  # isolated because this process must not start threads
    if name == "evaluation":
        return evaluation.measure(evaluation.QUICK if quick else evaluation.SETTINGS, limit_s)
    return reporting.measure(reporting.QUICK if quick else reporting.SETTINGS, limit_s)


def about(begin: float, left_out: list[str], quick: bool) -> dict[str, Any]:
    import torch

    from genbench.machine import environment

    return {
        "measured_at": datetime.fromtimestamp(begin, UTC).isoformat(timespec="seconds"),
        "measuring_s": round(time.time() - begin, 1),
        "quick": quick,
        "left_out": left_out,
        "environment": environment.describe(torch.device("cpu")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=[*figures.FIGURES, "all"])
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the tables and figures (docs/performance)")
    parser.add_argument("--quick", action="store_true", help="a few tiny points, to try it out")
    parser.add_argument("--limit", type=float, default=math.inf, metavar="SECONDS", help="per point, except training")
    parser.add_argument("--redraw", action="store_true", help="redraw from earlier measurements")
    given = parser.parse_args()
    for name in figures.FIGURES if given.what == "all" else (given.what,):
        if not given.redraw:
            begin = time.time()
            table, left_out = measure(name, given.quick, given.limit)
            storage.save(given.out, name, table, about(begin, left_out, given.quick))
            print(f"{name}: measured in {time.time() - begin:,.0f} s", flush=True)
        try:
            figures.draw(name, *storage.load(given.out, name), given.out / f"{name}.svg")
        except InputError as error:
            sys.exit(f"growth: {error}")
        print(f"wrote {given.out / name}.svg")


if __name__ == "__main__":
    main()
