"""The outcome of the mutants that `make mutants` planted: a table row per file, and every survivor as a one-line diff.

    python benchmarks/mutants.py                 # after `make mutants`; exits 1 if under 95% of a file's are killed
    python benchmarks/mutants.py --survivors     # also the survivors that have not been judged equivalent

A mutant that cannot change what the program does is not a fault of the tests. `tests/equivalent_mutants.toml` lists
these with the reason, by file, function and changed lines, because mutmut's own numbers move with every edit. An entry
that no longer matches a survivor is reported, so that the list stays current.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = ROOT / "tests" / "equivalent_mutants.toml"
PROJECTS = (ROOT, *(ROOT / "plugins" / name for name in ("gan", "vae", "ae", "sequence")))
TARGET = 0.95
# mutmut's codes for a killed mutant: pytest failed, pytest crashed, or a timeout (an endless loop is detected too).
KILLED = {1, 3, 24, 36, 152, 255, -24, -11, -9}
CAUGHT_BY_TYPES = 37
UNTESTED = {5, 33}
SURVIVED = 0


@dataclass(frozen=True)
class Mutant:
    """One change to one function, given by the removed and added lines."""

    file: str
    function: str
    removed: str
    added: str

    def __str__(self) -> str:
        return f"{self.file}: {self.function}\n  - {self.removed}\n  + {self.added}"


@dataclass
class Tally:
    """The mutants of one file."""

    killed: int = 0
    unchecked: int = 0
    equivalent: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The killed share of the non-equivalent mutants."""
        return self.killed / max(1, self.killed + len(self.survivors))


def mutants(project: Path) -> Iterator[tuple[str, str, int | None]]:
    """Give every mutant of a project: its file, mutmut's name for it, and the exit code of the tests that ran on it."""
    for path in sorted((project / "mutants").rglob("*.meta")):
        file = path.relative_to(project / "mutants").with_suffix("")
        for name, code in json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            yield str(file), name, code


def describe(project: Path, file: str, name: str) -> Mutant:
    """Read the diff of one mutant."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    with contextlib.chdir(project):  # mutmut reads the files below the current folder
        lines = get_diff_for_mutant(name, path=file).splitlines()
    removed, added = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign) and not line.startswith(sign * 3))
        for sign in "-+"
    )
    function = name.rpartition(".")[2].partition("__mutmut")[0].removeprefix("x_").removeprefix("xǁ")
    return Mutant(str((project / file).relative_to(ROOT)), function.replace("ǁ", "."), removed, added)


def known_equivalents() -> dict[Mutant, str]:
    """Read the mutants that were judged equivalent, with the reasons."""
    if not LIST.exists():
        return {}
    listed = tomllib.loads(LIST.read_text(encoding="utf-8")).get("mutant", [])
    return {Mutant(*(each[key] for key in ("file", "function", "removed", "added"))): each["why"] for each in listed}


def tally() -> tuple[dict[str, Tally], set[Mutant]]:
    """Sort all mutants by file, and return the listed equivalents that match no survivor."""
    equivalent, met = known_equivalents(), set()
    tallies: dict[str, Tally] = {}
    for project in PROJECTS:
        for file, name, code in mutants(project):
            mine = tallies.setdefault(str((project / file).relative_to(ROOT)), Tally())
            if code in KILLED or code == CAUGHT_BY_TYPES:
                mine.killed += 1
            elif code == SURVIVED or code in UNTESTED:
                mutant = describe(project, file, name)
                if mutant in equivalent:
                    met.add(mutant)
                    mine.equivalent += 1
                else:
                    mine.survivors.append(mutant)
            else:
                mine.unchecked += 1
    return {file: each for file, each in tallies.items() if each.killed + each.unchecked + len(each.survivors)}, (
        set(equivalent) - met
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--survivors", action="store_true", help="also show each survivor")
    given = parser.parse_args()
    tallies, stale = tally()
    if not tallies:
        sys.exit("mutants: none found; run `make mutants` first")
    print("| file | mutants | killed | equivalent | survived | killed share |")
    print("| :--- | ---: | ---: | ---: | ---: | ---: |")
    total: Counter[str] = Counter()
    for file, each in tallies.items():
        count = each.killed + each.equivalent + len(each.survivors)
        print(f"| `{file}` | {count} | {each.killed} | {each.equivalent} | {len(each.survivors)} | {each.share:.1%} |")
        total += Counter(all=count, killed=each.killed, equivalent=each.equivalent, survived=len(each.survivors))
    share = total["killed"] / max(1, total["killed"] + total["survived"])
    counts = " | ".join(str(total[key]) for key in ("all", "killed", "equivalent", "survived"))
    print(f"| all | {counts} | {share:.1%} |")
    if unchecked := sum(each.unchecked for each in tallies.values()):
        print(f"{unchecked} were not run: `make mutants` resumes with them")
    for mutant in sorted(stale, key=str):
        print(f"listed as equivalent, but no longer a survivor: {mutant}")
    if given.survivors:
        print(*(mutant for each in tallies.values() for mutant in each.survivors), sep="\n")
    sys.exit(share < TARGET)


if __name__ == "__main__":
    main()
