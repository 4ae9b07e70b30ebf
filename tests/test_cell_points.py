"""The points of a curve that a cell tells: each once and in order, in messages that can be sent, whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genbench.cell import points as cell_points
from genbench.cell.points import PACK_PAUSE_S, Points
from genbench.execution.messages import decode, encode
from genbench.training.loop import Row


def test_a_point_holds_what_its_row_measured_and_json_can_hold() -> None:
    told: list[dict[str, Any]] = []
    losses = {"a": 0.5, "b": float("nan"), "c": float("-inf")}
    row = Row(3, 24, 1.5, 1e9, losses, {"fd": 2.0, "kid": float("inf")})
    Points(told.append, True).made([row], lambda: False)
    point = {"step": 3, "items": 24, "elapsed_s": 1.5, "losses": {"a": 0.5}, "numbers": {"fd": 2.0}}
    assert told == [{"event": "points", "points": [point], "after": -1}]
    assert decode(encode(told[0])) == told[0]


def test_points_are_told_once_a_second_at_most_and_the_last_is_left_to_the_record() -> None:
    now = [0.0]
    told: list[dict[str, Any]] = []
    paused: list[float] = []
    points = Points(told.append, True, lambda: now[0], paused.append)
    rows: list[Row] = []
    for step in range(1, 8):
        rows.append(Row(step, 8 * step, 0.5 * step, losses={"a": 1.0, "b": float("nan")}))
        points.made(rows, lambda: rows[-1].step == 7)
        now[0] += 0.5
    steps = [[point["step"] for point in event["points"]] for event in told]
    assert steps == [[1], [2, 3], [4, 5], [6]]
    assert [event["after"] for event in told] == [-1, 1, 3, 5]
    assert told[0]["points"][0]["losses"] == {"a": 1.0}  # JSON has no other numbers
    assert decode(encode(told[0])) == told[0]
    Points(told.append, False).made(rows, lambda: False)
    assert len(told) == 4
    assert not paused


def test_points_before_a_failure_are_told_and_the_failure_is_what_is_raised() -> None:
    told: list[Any] = []
    points = Points(told.append, True, lambda: 0.0)
    rows = [Row(1, 8, 0.5)]

    def train() -> None:
        with points.told_whatever_happens():
            points.made(rows, lambda: False)
            rows.append(Row(2, 16, 1.0))
            points.made(rows, lambda: False)
            rows.append(Row(3, 24, 1.5))  # incomplete: it was still to be evaluated
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert [point["step"] for event in told for point in event["points"]] == [1, 2]

    def closed(event: object) -> None:
        raise OSError

    points = Points(closed, True)
    points._rows, points._complete = rows, 2
    with pytest.raises(ZeroDivisionError), points.told_whatever_happens():
        raise ZeroDivisionError


def test_a_training_without_a_window_tells_nothing() -> None:
    told: list[dict[str, Any]] = []
    with Points(told.append, True).told_whatever_happens():
        pass
    assert told == []


def test_a_long_curve_is_told_in_packs_and_a_point_that_is_too_large_not_at_all() -> None:
    told: list[dict[str, Any]] = []
    paused: list[float] = []
    points = Points(told.append, True, lambda: 0.0, paused.append)
    rows = [
        Row(step, step, 0.1, losses={f"loss {number}": 0.123456789 for number in range(200)}) for step in range(100)
    ]
    points.made(rows, lambda: False)
    assert [point["step"] for event in told for point in event["points"]] == list(range(100))
    assert len(told) > 3
    assert paused == [PACK_PAUSE_S] * (len(told) - 1)
    for event in told:
        assert decode(encode(event)) == event
    rows.append(Row(100, 100, 0.1, losses={f"loss {number}": 0.1 for number in range(10_000)}))
    rows.append(Row(101, 101, 0.1))
    points.made(rows, lambda: False)
    points.tell()
    assert [point["step"] for event in told for point in event["points"]] == list(range(100))


EMPTY = '{"step": 0, "items": 8, "elapsed_s": 0.5, "losses": {}, "numbers": {}}'  # as it is sent


@pytest.mark.parametrize(
    ("size", "packs"),
    [
        (len(EMPTY), [1] * 7),
        (3 * len(EMPTY) - 1, [2, 2, 2, 1]),
        (3 * len(EMPTY), [3, 3, 1]),
        (len(EMPTY) - 1, []),
    ],
)
def test_a_message_is_filled_to_the_last_byte(monkeypatch: pytest.MonkeyPatch, size: int, packs: list[int]) -> None:
    monkeypatch.setattr(cell_points, "PACK_BYTES", size)
    told: list[dict[str, Any]] = []
    rows = [Row(step, 8, 0.5) for step in range(7)]
    Points(told.append, True, pause=lambda seconds: None).made(rows, lambda: False)
    assert [len(event["points"]) for event in told] == packs
    assert all(len(json.dumps(event["points"])) == len(event["points"]) * (len(EMPTY) + 2) for event in told)


@pytest.mark.parametrize(("name", "size"), [("loss", 4), ("é", 2), ("\U0001f600", 4), ("\ud800", 1)])
def test_a_name_takes_the_bytes_that_it_is_sent_as(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    told: list[dict[str, Any]] = []
    for spare in (-1, 0):
        monkeypatch.setattr(cell_points, "PACK_BYTES", len(EMPTY) + len('"": 0.25') + size + spare)
        Points(told.append, True).made([Row(0, 8, 0.5, losses={name: 0.25})], lambda: False)
        assert len(told) == spare + 1


def test_what_comes_before_a_point_that_is_too_large_is_told_and_what_comes_after_is_not() -> None:
    told: list[dict[str, Any]] = []
    large = {f"loss {number}": 0.1 for number in range(10_000)}
    rows = [Row(1, 8, 0.5), Row(2, 16, 1.0, losses=large), Row(3, 24, 1.5)]
    Points(told.append, True).made(rows, lambda: False)
    assert [point["step"] for event in told for point in event["points"]] == [1]
