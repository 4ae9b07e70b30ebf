"""The cost of `genbench report` on many records: cold, again with nothing changed, and again with one more record.

python benchmarks/report_scale.py --records 100000
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "growth"))
from reporting import Writer, more_seeds, more_settings

from genbench.records.rendered import NOTE

KINDS = {"seeds": more_seeds, "settings": more_settings}
# The kernel's own peak memory, VmHWM: that of `getrusage` starts at the peak of the parent process.
_COMMAND = """
import atexit, re, sys, time
from genbench.cli import main
most = lambda: re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
atexit.register(lambda: print(time.process_time(), most(), file=sys.stderr))
main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--kind", choices=KINDS, default="seeds", help="which number grows with the records (seeds)")
    parser.add_argument("--folder", type=Path, help="folder of the records, or to create them in; default: temporary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        writer, number = Writer(folder), KINDS[options.kind]
        for place in range(options.records):
            writer.write(*number(place, writer.labels))
        (folder / NOTE).unlink(missing_ok=True)
        print(f"{options.records:,} records, more {options.kind}\n")
        print("| report | processor time, s | time, s | peak memory, MB |\n| --- | ---: | ---: | ---: |")
        cold = _row("cold", folder)
        same = _row("nothing changed", folder)
        writer.write(*number(options.records, writer.labels))
        _row("one record more", folder)
        print(f"\nthe same bytes cold and with nothing changed: {'yes' if cold == same else 'NO'}")


def _row(name: str, folder: Path) -> str:
    """Run the report in a separate process, print its cost, and return a checksum of all files in the report."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _COMMAND, "report", str(folder)], capture_output=True, text=True)
    wall = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"report_scale: genbench report failed: {done.stderr}")
    processor, most = done.stderr.split()
    print(f"| {name} | {float(processor):.1f} | {wall:.1f} | {float(most) * 1024 / 1e6:.0f} |", flush=True)
    digest = hashlib.sha256()
    for path in (folder / "report.md", *sorted(folder.glob("*.csv")), *sorted(folder.glob("figures/*.png"))):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
