"""Time `docs/write-a-plugin.md`, typed verbatim in an empty folder: from nothing to a checked and tested plugin.

`python benchmarks/tutorial_time.py` prints the seconds that each command took, and the sum with installations counted
separately. Reading and typing take no time here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from pages import ROOT, commands, on_path, read_page


def timed(line: str, folder: Path, paths: dict[str, str]) -> float:
    """Run a command of the page; return the seconds that it took."""
    begun = time.perf_counter()
    subprocess.run(["bash", "-c", line], cwd=folder, env=os.environ | paths, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begun


def main() -> None:
    """Type the page, and print what took how long."""
    page, spent = read_page(ROOT / "docs" / "write-a-plugin.md"), {True: 0.0, False: 0.0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "my-model"
        paths = on_path(Path(name) / "shims", [sys.executable, "-m", "genbench"])
        folder.mkdir()
        for block in page.typed:
            if block.name:
                (folder / block.name).parent.mkdir(exist_ok=True)
                (folder / block.name).write_text(block.text)
                continue
            for line in (line for whole, _, _ in commands(block) for line in whole.split(" && ")):
                seconds = timed(line, folder, paths)
                spent[line.startswith("pip ")] += seconds
                print(f"{seconds:6.1f} s  {line}")
    print(f"{spent[False]:6.1f} s  in total, and {spent[True]:.1f} s for installing")


if __name__ == "__main__":
    main()
