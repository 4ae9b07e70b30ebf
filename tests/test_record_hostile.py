"""Whatever a record with the right checksum contains, it is refused in one line, or every consumer can use it."""

from __future__ import annotations

import copy
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genbench import changes
from genbench.records.baseline import read_baseline, write_baseline
from genbench.records.files import read_record
from genbench.records.identity import identity
from genbench.records.lean import lean
from genbench.records.record import Record, RecordError, cell_id, record_path, write_record
from genbench.report import pages
from genbench.report.frame import csv, curve_frame, frame
from genbench.report.machines import machines
from genbench.report.model import markdown
from genbench.report.order import in_order
from genbench.report.pictures import Pictures
from genbench.report.sections import sections

FIXTURES = Path(__file__).parent / "records"
KEPT = ("fd", "kid", "coverage", "ms_ssim")
EXTREMES = [0, -1, 1e308, -1e308, 1.7976931348623157e308, 5e-324, 1e-310, 1e200, -1e155, 10**300, 10**400, 2**63]
EXTREMES += [float("nan"), float("inf"), float("-inf")]
ODD = [None, True, False, "", "text", "../../victim", "a\0b", "\x1b[2J", "é" * 300, "|`<b>", "NaN"]
ODD += [[], {}, [[]], {"": {}}, [None], {"value": 1.0}, {"median": 1.0}, [1, "a"]]


def original() -> dict[str, Any]:
    """A record as genbench wrote it, with fewer numbers and points."""
    data = json.loads((FIXTURES / "schema-4.json").read_text())
    numbers = {name: data["numbers"][name] | {"standard_error": 0.5} for name in KEPT}
    recipes = {number["recipe"]: data["recipes"][number["recipe"]] for number in numbers.values()}
    return data | {"numbers": numbers, "recipes": recipes, "curve": data["curve"][::2]}


ORIGINAL = original()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


PLACES = list(places(ORIGINAL))
SHALLOW = [path for path in PLACES if len(path) < 3]
NUMBERS = [path for path in PLACES if path[0] in ("numbers", "cost", "curve", "cell")]
DEEP = st.integers(2, 900).map(lambda depth: json.loads("[" * depth + "]" * depth))
# Copies: a part that is added to an equal part must not become part of itself.
ODDITIES = st.sampled_from(ODD).map(copy.deepcopy)
VALUES = st.one_of(st.sampled_from(EXTREMES), ODDITIES, DEEP, st.floats(), st.text(max_size=5))


def reached(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A record with some of its parts dropped, wrapped, extended, or set to odd values and extreme numbers."""
    document = copy.deepcopy(ORIGINAL)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.one_of(st.sampled_from(SHALLOW), st.sampled_from(PLACES), st.sampled_from(NUMBERS)))
        change = draw(st.sampled_from(["drop", "set", "set", "set", "wrap", "add"]))
        try:
            parent = reached(document, path)
            if change == "drop":
                del parent[path[-1]]
            elif change == "wrap":
                parent[path[-1]] = draw(st.sampled_from([lambda v: [v], lambda v: {"a": v}]))(parent[path[-1]])
            elif change == "add":
                parent[path[-1]][draw(st.sampled_from(["older", "id", "value", "extra"]))] = draw(VALUES)
            else:
                parent[path[-1]] = draw(VALUES)
        except (AttributeError, IndexError, KeyError, TypeError):  # an earlier change has removed it
            continue
    return plausible(document) if draw(st.booleans()) else document | {"schema": 2}


def plausible(document: dict[str, Any]) -> dict[str, Any]:
    """Give a document the identities that its content implies, if it implies any, as a forger would."""
    try:
        renamed = {name: identity(recipe, 8) for name, recipe in document["recipes"].items()}
        numbers = {name: number | {"recipe": renamed[number["recipe"]]} for name, number in document["numbers"].items()}
        recipes = {renamed[name]: recipe for name, recipe in document["recipes"].items()}
        return document | {"id": cell_id(document["cell"]), "numbers": numbers, "recipes": recipes}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return document


def other_seeds() -> list[dict[str, Any]]:
    """Records of the same model with other seeds, and of a rival, so that there are means, intervals and pairs."""
    found = []
    for seed, label in ((1, "tiny"), (2, "tiny"), (0, "rival"), (1, "rival")):
        cell = ORIGINAL["cell"] | {"seed": seed, "model": label, "label": label}
        numbers = {name: one | {"value": one["value"] * (1 + seed / 10)} for name, one in ORIGINAL["numbers"].items()}
        found.append(ORIGINAL | {"cell": cell, "id": cell_id(cell), "numbers": numbers})
    return found


OTHERS = other_seeds()


def consume(record: dict[str, Any], directory: Path) -> None:
    """Pass a record through everything that reads records, except drawing."""
    for records in ([record], [record, ORIGINAL, *OTHERS]):
        held = list(lean(records))
        csv(frame(held))
        csv(curve_frame(held))
        drawn = [(section, Pictures()) for section in sections(in_order(held))]
        page = markdown(pages.page_parts(directory, in_order(held), drawn, machines(in_order(held)), None))
        assert "\x1b" not in page
        for section, _ in drawn:
            assert "/" not in section.slug
        for base, new in ((OTHERS, held), (held, held)):
            terms = changes.parse("fd>5%,train_s<-1%")
            found = changes.compare(base, new, terms)
            shown = changes.Shown(Path("a"), Path("b"), found, terms, changes.judge(found, terms))
            for style in changes.FORMATS.values():
                style(shown)
        repr(Record(record))
    write_baseline(directory / "baseline.json", [Record(record)])
    read_baseline(directory / "baseline.json")


def stored(directory: Path, document: dict[str, Any]) -> Path:
    """Write a document to its id's path with the right checksum, or unsigned to a fixed path if that is impossible."""
    try:
        return record_path(directory, write_record(directory, document).id)
    except (KeyError, ValueError, TypeError):  # no valid id, or not Unicode
        path = record_path(directory, "0f" * 8)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        return path


def outcome(path: Path) -> tuple[Record | None, str]:
    try:
        return read_record(path), ""
    except RecordError as error:
        return None, str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_a_record_of_any_content_is_refused_in_a_line_or_every_consumer_can_use_it(document: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = stored(Path(name), document)
        record, refusal = outcome(path)
        if record is None:
            assert str(path) in refusal
            assert len(refusal.splitlines()) == 1
        else:
            consume(dict(record.data), Path(name))
