"""`docs/tutorials/study-with-people.md`, typed as written, with raters who answer the page that it makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pages import ROOT, Command, on_path, read_page, type_page

from genbench.study.making import Wish

PAGE = read_page(ROOT / "docs" / "tutorials" / "study-with-people.md")
SMALL = {
    "1500steps": "3steps",
    "--seeds 3": "--seeds 2",
    "--out": "--metrics fd --evaluations 1 --control real --control noise --out",
}
RATES = {"real": 0.9, "vae": 0.3}


def test_what_the_tutorial_says_happens(
    tmp_path: Path, command: Command, program: list[str], asked: Callable[..., Any], rates: Callable[..., Any]
) -> None:
    folder = tmp_path / "work"

    def answer() -> None:
        study = asked(folder / "reports" / "asked", Wish("real-or-fake", 40))
        (folder / "answers").mkdir()
        for number in range(6):
            document = study.answers(f"rater {number}", rates(RATES, number))
            (folder / "answers" / f"{number}.json").write_text(json.dumps(document))

    type_page(PAGE, folder, command, on_path(tmp_path / "shims", program), SMALL, {"genbench study read": answer})
    (results,) = folder.glob("reports/asked/studies/real-or-fake-*/results.json")
    assert json.loads(results.read_text())["recipe"]["raters"] == 6
    assert "Human evaluation" in (folder / "reports" / "asked" / "report.md").read_text()
