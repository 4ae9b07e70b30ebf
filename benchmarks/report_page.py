"""How soon report.html with many models is painted in a headless Chromium, and how large it is; nothing is trained.

python benchmarks/report_page.py --models 300 --points 100

First contentful paint is the browser's own figure (Paint Timing), from the start of the navigation to a file on
disk, in a new context of a running browser each time. Also shown: when the page has loaded with its scripts run, and
how long a filter and a sort of the first table take until the next frame.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from genbench.report import render

TOYS = Path(__file__).parents[1] / "tests" / "test_report" / "conftest.py"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
_FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
_FILTER = f"""async () => {{
    const begin = performance.now();
    filter.words = ["m1"];
    applyFilter();
    await {_FRAME};
    return performance.now() - begin;
}}"""
_SORT = f"""async () => {{
    const begin = performance.now();
    sortBy(document.querySelector(".table > table"), 1);
    await {_FRAME};
    return performance.now() - begin;
}}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="folder for the report; default: a temporary folder")
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("report_page: no Chromium is installed")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        records = _records(folder, options.models, options.seeds, options.points)
        begin = time.perf_counter()
        page = render(folder, records, "genbench run").with_suffix(".html")
        print(f"rendered in {time.perf_counter() - begin:.1f} s, {page.stat().st_size / 1e6:.2f} MB")
        for name, values in _measured(page, browser, options.repeats).items():
            print(f"{name}: {statistics.median(values):.0f} ms (median of {len(values)}, at most {max(values):.0f})")


def _records(folder: Path, models: int, seeds: int, points: int) -> list[dict[str, Any]]:
    """Return toy records of that many models, each with a curve of that many points and its own grid of samples."""
    spec = importlib.util.spec_from_file_location("toy_records", TOYS)
    assert spec is not None
    assert spec.loader is not None
    toys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toys)
    records = [toys.make_record(control, seed) for control in toys.CONTROLS for seed in range(seeds)]
    for place in range(models):
        for seed in range(seeds):
            record = toys.make_record(f"m{place}", seed)
            record["artifacts"]["samples"] = f"samples/m{place}-{seed}.png"
            record["curve"] = [_point(point, points, place, seed) for point in range(points)]
            records.append(record)
    toys.draw_grids(folder, records)
    return records


def _point(point: int, points: int, place: int, seed: int) -> dict[str, Any]:
    done = (point + 1) / points
    value = 100 * math.exp(-5 * done) + 2 + 0.01 * place + math.sin(7 * point + seed + place) / 10
    return {
        "step": 30 * (point + 1),
        "items": 1920 * (point + 1),
        "elapsed_s": 0.31 * (point + 1) * (1 + place / 1000),
        "flops": 1.5e9 * (point + 1),
        "losses": {"generator": value / 3, "discriminator": value / 5},
        "numbers": {"fd": value, "classifier_score": 9 - value / 20},
    }


def _measured(page: Path, executable: str, repeats: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"first contentful paint": [], "loaded": [], "filter": [], "sort": []}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=ARGUMENTS)
        for _ in range(repeats):
            context = browser.new_context(viewport={"width": 1200, "height": 900})
            opened = context.new_page()
            opened.goto(page.resolve().as_uri())
            opened.wait_for_timeout(500)
            for name, script in zip(found, (_PAINTED, _LOADED, _FILTER, _SORT), strict=True):
                found[name].append(float(opened.evaluate(script)))
            context.close()
        browser.close()
    return found


if __name__ == "__main__":
    main()
