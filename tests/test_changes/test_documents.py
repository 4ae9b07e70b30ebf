"""A comparison as text, in full: its figures are round enough to check by eye."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.changes import compare, judge, parse
from genbench.changes.documents import FORMATS
from genbench.changes.wording import Shown

HEADLINE = (
    "regression: 1 of 4 checks failed; 2 cells that finished in BASE failed in NEW; 2 of 4 checks could not be decided"
)
FOOT = (
    "± and brackets are 95% intervals over training seeds, each for that number only; p is Holm-corrected over all "
    "--fail-on checks together, and for any other number over the models. Changes of speed and memory are ratios of "
    "geometric means. Times have no interval: the seeds of a set ran one after another and share whatever else the "
    "machine was doing. `genbench regress` times two revisions alternately."
)
TABLE = f"""\
BASE  a_b
NEW   c*d

digits, 1500steps
model          number                 seeds  BASE   NEW    change, 95% interval  outcome
gan            fd ↓                   1      2      3      +50.0%                no interval
gan            peak_resident_bytes ↓  1      1 MiB  2 MiB  +100%                 no interval
gan            parameters ↓           1      100    101    +1.0%                 worse
vae<b>:beta=4  fd ↓                   2      5 ± 0  5 ± 0  0                     equal

3 other numbers, in which no model's change is resolved: see --format json

{FOOT}

failed in NEW: lost on digits, seeds 0, 1: training: loss became nan

NOT DECIDED: fd>5%: gan on digits: +50.0%; one seed has no interval; run both with --seeds 2 or more
ok: fd>5%: vae<b>:beta=4 on digits: 0; p = 1, Holm
REGRESSION: parameters>0%: gan on digits: +1.0%; p < 0.001, Holm
NOT DECIDED: ssim<-1: every model: no model that both sets finished has ssim

{HEADLINE}
"""
MARKDOWN = f"""\
## genbench compare: {HEADLINE}

`a_b` (BASE) and `c*d` (NEW)

- REGRESSION: parameters&#62;0%: gan on digits: +1.0%; p &#60; 0.001, Holm
- NOT DECIDED: fd&#62;5%: gan on digits: +50.0%; one seed has no interval; run both with --seeds 2 or more
- NOT DECIDED: ssim&#60;-1: every model: no model that both sets finished has ssim

**digits, 1500steps**

| model | number | seeds | BASE | NEW | change, 95% interval | outcome |
| :--- | :--- | ---: | ---: | ---: | ---: | :--- |
| `gan` | fd ↓ | 1 | 2 | 3 | +50.0% | no interval |
| `gan` | peak\\_resident\\_bytes ↓ | 1 | 1 MiB | 2 MiB | +100% | no interval |
| `gan` | **parameters ↓** | **1** | **100** | **101** | **+1.0%** | **worse** |
| `vae<b>:beta=4` | fd ↓ | 2 | 5 ± 0 | 5 ± 0 | 0 | equal |

{FOOT.replace("`", "&#96;")}

- failed in NEW: lost on digits, seeds 0, 1: training: loss became nan

<details><summary>Checks that passed</summary>

- ok: fd&#62;5%: vae&#60;b&#62;:beta=4 on digits: 0; p = 1, Holm

</details>

<details><summary>Other numbers</summary>

digits, 1500steps

| model | number | seeds | BASE | NEW | change, 95% interval | outcome |
| :--- | :--- | ---: | ---: | ---: | ---: | :--- |
| `gan` | kid ↓ | 1 | 4 | 5 | +25.0% | no interval |
| `gan` | train\\_s ↓ | 1 | 8 | 9 | +12.5% | slower in these runs |

digits, controls

| model | number | seeds | BASE | NEW | change, 95% interval | outcome |
| :--- | :--- | ---: | ---: | ---: | ---: | :--- |
| *real* | kid ↓ | 3 | 1 ± 0 | 1.25 ± 0 | +25.0% | worse, p &#60; 0.001 |

</details>
"""

Show = Callable[..., Shown]


@pytest.fixture
def show() -> Show:
    def shown(base: list, new: list, expression: str = "") -> Shown:
        terms = parse(expression) if expression else []
        comparison = compare(base, new, terms)
        return Shown(Path("a_b"), Path("c*d"), comparison, terms, judge(comparison, terms))

    return shown


@pytest.fixture
def rich(make, fail, show: Show) -> Shown:
    """A regression, undecided checks, checks that pass, a lost cell, and a control that moved."""

    def records(fd: float, kid: float, count: int, seconds: float, size: int, control: float) -> list:
        costs = {"parameters": [count], "train_s": [seconds], "peak_resident_bytes": [size]}
        return [
            *make("gan", {"fd": [fd], "kid": [kid]}, costs),
            *make("vae<b>:beta=4", {"fd": [5.0, 5.0]}),
            *make("real", {"fd": [0.5] * 3, "kid": [control] * 3}, role="control", budget=None),
        ]

    lost = make("lost", {"fd": [5.0, 6.0]})
    base = [*records(2.0, 4.0, 100, 8.0, 2**20, 1.0), *lost]
    new = [*records(3.0, 5.0, 101, 9.0, 2**21, 1.25), *map(fail, lost)]
    return show(base, new, "fd>5%,parameters>0%,ssim<-1")


@pytest.fixture
def plain(make, show: Show) -> Shown:
    """Different settings and software, and what only one set has; without checks or times."""
    base = [*make("gan", {"fd": [1.0], "kid": [1.0]}), *make("old")]
    machine = {**base[0]["environment"], "torch": "2.14.0"}
    return show(base, [*make("gan", {"fd": [2.0]}, batch_size=8, machine=machine), *make("new", machine=machine)])


def test_a_table_whole(rich: Shown) -> None:
    assert FORMATS["table"](rich) == TABLE


def test_a_page_of_markdown_whole(rich: Shown) -> None:
    assert FORMATS["markdown"](rich) == MARKDOWN


def test_without_terms_the_foot_says_what_p_is_corrected_for(plain: Shown) -> None:
    foot = (
        "± and brackets are 95% intervals over training seeds, each for that number only; p is Holm-corrected over the "
        "models that have each number.\n"
    )
    told = "settings: gan: batch size is – in BASE and 8 in NEW\nsoftware: torch is 2.13.0 in BASE and 2.14.0 in NEW\n"
    table = FORMATS["table"](plain)
    assert foot in table
    assert told in table
    assert "other numbers" not in table
    assert table.endswith("\n\ncompared; nothing was gated\n")
    page = FORMATS["markdown"](plain)
    assert foot in page
    assert "".join(f"- {line}\n" for line in told.splitlines()) in page
    assert "<details>" not in page
    assert "\n\n\n" not in page


def test_checks_that_passed_are_a_list(make, show: Show) -> None:
    page = FORMATS["markdown"](show(make(), make(), "fd>5%,fd<-9%"))
    first, second = (f"- ok: fd{bound}%: gan on digits: 0; p = 1, Holm" for bound in ("&#62;5", "&#60;-9"))
    assert f"<details><summary>Checks that passed</summary>\n\n{first}\n{second}\n\n</details>" in page


def test_empty_parts_are_left_out(make, show: Show) -> None:
    nothing = show(make("gan"), make("vae"))
    assert FORMATS["table"](nothing) == (
        "BASE  a_b\nNEW   c*d\n\nonly in BASE: gan on digits\nonly in NEW: vae on digits\n\n"
        "not comparable: no number of a model could be compared\n"
    )
    assert FORMATS["markdown"](nothing) == (
        "## genbench compare: not comparable: no number of a model could be compared\n\n"
        "`a_b` (BASE) and `c*d` (NEW)\n\n- only in BASE: gan on digits\n- only in NEW: vae on digits\n"
    )


def test_json_whole(rich: Shown) -> None:
    text = FORMATS["json"](rich)
    assert text.startswith('{\n "base": "a_b",\n "new": "c*d",\n')
    assert text.endswith("}\n")
    document = json.loads(text)
    changes = {(change["model"], change["name"]): change for change in document.pop("changes")}
    assert list(changes) == [
        ("gan", "fd"),
        ("gan", "kid"),
        ("gan", "train_s"),
        ("gan", "peak_resident_bytes"),
        ("gan", "parameters"),
        ("vae<b>:beta=4", "fd"),
        ("real", "fd"),
        ("real", "kid"),
    ]
    assert changes["real", "kid"] == {
        "dataset": "digits",
        "budget": "",
        "model": "real",
        "control": True,
        "name": "kid",
        "kind": "quality",
        "direction": "lower",
        "base": {"mean": 1.0, "half_width": 0.0, "seeds": 3, "missing": 0},
        "new": {"mean": 1.25, "half_width": 0.0, "seeds": 3, "missing": 0},
        "absolute": 0.25,
        "absolute_half_width": 0.0,
        "relative": 0.25,
        "relative_low": 0.25,
        "relative_high": 0.25,
        "p": 0.0,
        "p_holm": 0.0,
        "paired": True,
        "outcome": "worse",
    }
    assert (changes["gan", "fd"]["budget"], changes["gan", "fd"]["control"]) == ("1500steps", False)
    why = {
        "gan on digits": "one seed has no interval; run both with --seeds 2 or more",
        "every model": "no model that both sets finished has ssim",
    }
    assert document == {
        "base": "a_b",
        "new": "c*d",
        "verdict": HEADLINE,
        "exit_code": 1,
        "checks": [
            {"term": term, "name": name, "subject": subject, "outcome": outcome, "why": reason}
            for term, name, subject, outcome, reason in (
                ("fd>5%", "fd", "gan on digits", "undecided", why["gan on digits"]),
                ("fd>5%", "fd", "vae<b>:beta=4 on digits", "ok", None),
                ("parameters>0%", "parameters", "gan on digits", "regression", None),
                ("ssim<-1", "ssim", "every model", "undecided", why["every model"]),
            )
        ],
        "not_compared": [],
        "lost": [
            {"subject": "lost on digits", "number": None, "seeds": [0, 1], "why": "training: loss became nan"},
        ],
        "only_in_base": [],
        "only_in_new": [],
        "measured_in_one": [],
        "settings": {},
        "software": {},
    }


def test_json_says_what_differs_beside_the_numbers(plain: Shown) -> None:
    document = json.loads(FORMATS["json"](plain))
    assert (document["only_in_base"], document["only_in_new"]) == (["old on digits"], ["new on digits"])
    assert document["measured_in_one"] == [{"subject": "gan on digits", "name": "kid", "in": "BASE"}]
    assert document["settings"] == {"gan on digits": {"batch_size": [None, 8]}}
    assert document["software"] == {"torch": ["2.13.0", "2.14.0"]}


def test_json_says_what_was_refused_and_why(make, show: Show) -> None:
    refused = json.loads(FORMATS["json"](show(make(), make(budget="9steps"))))
    assert refused["not_compared"] == [
        {
            "rows": ["gan on digits"],
            "numbers": [],
            "what": "budgets differ",
            "fields": {"budget": ["1500steps", "9steps"]},
        }
    ]
