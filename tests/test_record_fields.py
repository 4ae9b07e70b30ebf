"""One wrong entry among right ones makes a part of a record invalid."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from genbench.records.fields import fault

RECORD = json.loads((Path(__file__).parent / "records" / "schema-4.json").read_text())
HUGE = 10**400  # JSON can hold it, a float cannot


def with_value(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(RECORD)
    *parents, last = path.split(".")
    place = document
    for name in parents:
        place = place.setdefault(name, {}) if isinstance(place, dict) else place[int(name)]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("cell.options", {"a": [1, "b"]}, {"a": [1, HUGE]}),
        ("cell.options", {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": HUGE}}),
        ("artifacts", {"samples": "a/b.png"}, {"samples": f"a/{'b' * 300}.png"}),
        ("cost.train_items_per_s", {"median": 1.0, "p5": 0.5}, {"median": 1.0, "p5": "slow"}),
        ("cost.metric_s", {"fd": 1.0, "kid": 2.0}, {"fd": 1.0, "kid": "long"}),
        ("cell.plugin", {"version": "1", "file": "a.py"}, {"version": "1", "file": ["a.py"]}),
        ("cell.plugin", {"also_read": {"a": "1", "b": "2"}}, {"also_read": {"a": "1", "b": 2}}),
        ("curve.0.numbers", {"fd": 1, "kid": None}, {"fd": 1.0, "kid": "none"}),
        ("curve.0.losses", {"loss": 1, "other": 2.0}, {"loss": 1.0, "other": "none"}),
        ("cell.stop_at_target", ["fd<2", "kid<1"], ["fd<2", "kid"]),
        ("cell.dataset.shape", [1, 8, 8], [1, 8, -8]),
    ],
)
def test_a_part_with_one_wrong_entry_is_a_fault(path: str, right: object, wrong: object) -> None:
    assert fault(with_value(path, right)) == ""
    assert fault(with_value(path, wrong)) != ""
