"""What a GPU does with genbench: the shipped models' training, extraction and the metric suite, in absolute figures.

    python benchmarks/gpu_table.py                          # `make gpu`; needs an NVIDIA GPU, and about ten minutes
    python benchmarks/gpu_table.py --device cpu --quick     # a rehearsal with tiny settings, without a GPU

Writes README.md, table.csv and environment.json under reports/gpu/<the device's name>/. For each model and image size,
the modes and the two loops alternate, so that a drift in the clock affects all of them: the harness's loop, and a bare
one over a resident tensor in the same mode (`bare_loop.py`). The first turn warms up: no compilation and no capture is
timed.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gpu_rows import MODES, QUICK, Sizes, evaluation_rows, training_rows

from genbench.errors import InputError
from genbench.machine import environment
from genbench.records.identity import slug

REPORTS = Path(__file__).parent.parent / "reports" / "gpu"


def write(rows: list[dict[str, Any]], about: dict[str, Any], folder: Path) -> None:
    """Write the table as Markdown and CSV, and a description of the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    (folder / "environment.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    shown = {
        "what": lambda row: row["what"],
        "image": lambda row: row["image"],
        "mode": lambda row: row["mode"],
        "images/s": lambda row: _ranged(row, "images_per_s", "{:,.0f}"),
        "of the bare loop": lambda row: _ranged(row, "share_of_bare", "{:.1%}"),
        "peak memory, MiB": lambda row: _plain(row, "peak_allocated_bytes", lambda size: f"{size / 2**20:,.0f}"),
        "kernels a step": lambda row: _plain(row, "kernels_per_step", str),
        "waits a step": lambda row: _plain(row, "synchronisations_per_step", str),
        "seconds": lambda row: _plain(row, "seconds", "{:.1f}".format),
    }
    lines = [f"| {' | '.join(cells)} |" for cells in ([*shown], ["---"] * len(shown))]
    lines += [f"| {' | '.join(read(row) for read in shown.values())} |" for row in rows]
    (folder / "README.md").write_text(_text(about, lines), encoding="utf-8")


def _text(about: dict[str, Any], lines: list[str]) -> str:
    sizes = about["measured"]
    rehearsed = "" if about["cuda"] else "A rehearsal without a GPU: no figures.\n\n"
    made = f"torch {about['torch']}, CUDA {about['cuda']}, genbench {about['genbench']} at {about['commit']}"
    return f"""# {about["device_name"]}

{rehearsed}Made by `make gpu` with {made}.

Median over {sizes["turns"]} turns of {sizes["steps"]} steps of {sizes["batch"]} images, in which modes and loops
alternate; in brackets the least and the most. fp32 is without TF32, and `compile` and `cuda-graph` are in fp32. A
replay counts as one kernel. The suite is the metrics over so many samples, extraction included; {sizes["extractor"]}
has random weights.

""" + "".join(f"{line}\n" for line in lines)


def _ranged(row: dict[str, Any], name: str, form: str) -> str:
    values = [row.get(part) for part in (name, f"{name}_least", f"{name}_most")]
    return "–" if None in values else f"{form} [{form}, {form}]".format(*values)


def _plain(row: dict[str, Any], name: str, show: Callable[[Any], str]) -> str:
    return "–" if row.get(name) is None else show(row[name])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu only with --quick")
    parser.add_argument("--quick", action="store_true", help="tiny settings: shows whether it runs, gives no figures")
    parser.add_argument("--out", type=Path, help="the folder to write to")
    given = parser.parse_args(arguments)
    try:
        device = environment.choose_device(given.device)
    except InputError as error:
        sys.exit(_refusal(str(error).partition(";")[0]))
    if device.type != "cuda" and not given.quick:
        sys.exit(_refusal(f"{device} is not one"))
    sizes = QUICK if given.quick else Sizes()
    on_cuda = device.type == "cuda"
    modes = {key: mode for key, mode in MODES.items() if on_cuda or not (mode.graph or mode.precision == "tf32")}
    about = {**environment.describe(device), "measured": vars(sizes), "modes": [*modes]}
    out = given.out or REPORTS / ("rehearsal" if given.quick else slug(about["device_name"]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GENBENCH_CACHE"] = folder  # keeps gigabytes of features of noise out of the user's cache
        rows: list[dict[str, Any]] = []
        for name, side in itertools.product(sizes.models, sizes.sides):
            rows += training_rows(name, side, modes, sizes, device)
            write(rows, about, out)  # keeps what has been measured if a later part takes too long
        rows += evaluation_rows(sizes, device, Path(folder))
        write(rows, about, out)
    print(f"table: {out / 'README.md'}")


def _refusal(why: str) -> int:
    print(f"gpu_table: needs an NVIDIA GPU: {why}; rehearse with --device cpu --quick", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
