"""What a worker may send its parent: events that follow a schema, of bounded size and rate, whatever a model writes."""

from __future__ import annotations

import json
import math
import os
import signal
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from genbench.errors import InputError, PluginError
from genbench.execution import messages
from genbench.execution.limits import UNLIMITED, Watch
from genbench.execution.messages import LINE_BYTES, ForgedError, Inbox, decode, encode
from genbench.execution.running import Running, death
from genbench.execution.worker import Descriptors, LastWords, failure

PROGRESS = {"event": "progress", "stage": "training", "done": 3, "total": 9, "losses": {"g": 0.5}, "items_per_s": 9.0}
EVENTS: list[dict[str, Any]] = [
    PROGRESS,
    {"event": "stage", "stage": "building"},
    {"event": "metric", "name": "kid", "done": 1, "total": 12},
    {"event": "notice", "text": "as it is"},
    {"event": "result", "value": {"id": "0f"}},
    {"event": "error", "kind": "failure", "type": "ValueError", "reason": "bad luck", "traceback": "a\nb\n"},
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["event"])
def test_each_kind_of_event_arrives_as_it_was_sent(event: dict[str, Any]) -> None:
    assert list(Inbox().take(encode(event), 0.0)) == [event]


def but(**changes: Any) -> bytes:
    return json.dumps({**PROGRESS, **changes}).encode()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b"3",
        b"null",
        b'{"event": ["progress"]}',
        b'{"event": "dance"}',
        b'{"event": "progress", "stage": "training", "done": 1}',
        b'{"event": "result", "value": 3}',
        b'{"event": "error", "kind": "mine", "type": "E", "reason": "r", "traceback": ""}',
        b'{"event": "error", "kind": "failure", "type": "E", "reason": "a\\nb", "traceback": ""}',
        b'{"event": "notice", "text": "' + b"x" * 9000 + b'"}',
        b"\xff\xfe",
        but(done="3"),
        but(done=3.0),
        but(done=True),
        but(done=-1),
        but(total=10**400),
        but(total=None),
        but(stage=["training"]),
        but(stage="a\nb"),
        but(losses=[1.0]),
        but(losses={"g": "0.5"}),
        but(losses={"g": math.nan}),
        but(losses={"g": [0.5]}),
        but(items_per_s=math.inf),
        but(items_per_s=-math.inf),
        but(items_per_s={}),
        but(own=1),
        b'{"event": "progress", "stage": "t", "done": 1, "total": 2, "items_per_s": 1e999}',
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_what_genbench_does_not_write_is_refused(line: bytes) -> None:
    with pytest.raises(ForgedError, match="something else than genbench wrote to genbench's own pipe"):
        decode(line)


def test_a_line_without_an_end_is_not_held() -> None:
    inbox = Inbox()
    for second in range(LINE_BYTES // 65536):
        assert list(inbox.take(b"x" * 65536, second)) == []
    with pytest.raises(ForgedError, match="a line without an end"):
        list(inbox.take(b"x", 9.0))


def test_a_line_that_comes_in_pieces_is_one_event() -> None:
    inbox, line = Inbox(), encode(PROGRESS)
    assert [event for byte in line for event in inbox.take(bytes([byte]), 0.0)] == [PROGRESS]


def test_a_flood_is_refused_and_what_cells_write_is_none() -> None:
    line = encode(PROGRESS)
    calm, flooded = Inbox(), Inbox()
    for tick in range(20_000):  # a hundred times as many as a cell sends
        assert list(calm.take(line, tick / 1000)) == [PROGRESS]
    with pytest.raises(ForgedError, match="flooded"):
        list(flooded.take(line * 20_000, 0.0))


def test_what_a_model_makes_too_long_is_shortened_and_what_cannot_be_told_is_its_fault() -> None:
    text = decode(encode({**EVENTS[-1], "reason": "x\ny" * 2**20, "traceback": "\x1b" * 2**20}))
    assert "characters left out" in text["reason"]
    assert len(text["reason"]) < 2200 > 2100 > len(text["reason"])
    assert len(text["traceback"]) < 20_200
    with pytest.raises(PluginError, match=r"an event of .* bytes"):
        encode({**PROGRESS, "losses": {"x" * 2**20: 1.0}})
    with pytest.raises(PluginError, match="whose 'losses' cannot be"):
        encode({**PROGRESS, "losses": {"g": math.nan}})


def test_the_names_of_losses_may_hold_what_is_no_unicode() -> None:
    event = decode(encode({**PROGRESS, "losses": {"caf\udce9": 1.0}}))
    assert event["losses"] == {"caf?": 1.0}


def running_on(pipe: int) -> Running:
    log = tempfile.TemporaryFile("a+b")  # noqa: SIM115  # the task closes it
    return Running(0, pipe, log, TOLD.append, Watch(UNLIMITED))


def task(written: bytes, **message: Any) -> Running:
    """A task whose worker has written these bytes and ended; the events that it sent are in `TOLD`."""
    read, write = os.pipe()
    os.write(write, written)
    os.close(write)
    running = running_on(read)
    while running.read_events(0.0):
        pass
    running.answer({"status": 1, **message}, 0.0)
    running.conclude()
    return running


TOLD: list[dict[str, Any]] = []


def test_nothing_after_a_forged_event_is_believed() -> None:
    TOLD.clear()
    result = encode(EVENTS[4])
    outcome = task(encode(EVENTS[1]) + but(done="3") + b"\n" + encode(PROGRESS) + result).outcome
    assert not outcome.ok
    assert outcome.reason.startswith("something else than genbench wrote")
    assert outcome.stage == "building"
    assert [event["stage"] for event in TOLD] == ["building"]
    assert not task(b"nonsense\n" + b"x" * 1000, words=result.decode()).outcome.ok


def test_a_worker_that_forges_before_it_is_known_is_killed_when_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, number: killed.append(number))
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    read, write = os.pipe()
    os.write(write, b"nonsense\n")
    running = running_on(read)
    running.read_events(0.0)
    assert killed == []
    running.answer({"pid": os.getpid()}, 0.0)
    assert killed == [signal.SIGKILL]
    running.close()
    running.log.close()
    os.close(write)


def test_last_words_are_the_reason_of_a_worker_that_lost_its_pipe() -> None:
    words = LastWords()
    words.say(failure(PluginError("the model closed genbench's own pipe")))
    assert task(b"", words=words.heard()).outcome.reason == "the model closed genbench's own pipe"
    assert task(b"", words="").outcome.reason == "the process ended with exit code 1 and said nothing"
    assert task(b"", words="nonsense").outcome.reason == "the process ended with exit code 1 and said nothing"


@pytest.mark.parametrize(
    ("status", "said"),
    [(3, "exit code 3"), (-9, "SIGKILL (out of memory?)"), (-11, "SIGSEGV"), (-40, "signal 40"), (-99, "signal 99")],
)
def test_every_way_to_die_has_words(status: int, said: str) -> None:
    assert said in death(status)


class HostileError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class Text(str):
    def strip(self, *_: Any) -> str:
        raise OSError

    splitlines = __str__ = __repr__ = strip  # type: ignore[assignment]


class Named(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise OSError


class NamelessError(Exception, metaclass=Named):
    pass


def subclass_of_text() -> BaseException:
    class OddError(Exception):
        def __str__(self) -> str:
            return Text("bad luck")

    return OddError()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lambda: HostileError(), "with a message that raises KeyboardInterrupt"),
        (lambda: SystemExit(HostileError()), "called sys.exit(with an object that raises KeyboardInterrupt)"),
        (lambda: SystemExit(object), "called sys.exit(<class 'object'>)"),
        (lambda: SystemExit(Text("x")), "called sys.exit(with an object that raises OSError)"),
        (lambda: NamelessError("bad luck"), "bad luck"),
        (lambda: ExceptionGroup("bad luck", [ValueError(1)]), "bad luck (1 sub-exception)"),
        (subclass_of_text, "bad luck"),
        (lambda: RecursionError(), "RecursionError"),
    ],
)
def test_whatever_is_raised_is_one_line(error: Callable[[], BaseException], reason: str) -> None:
    words = LastWords()
    words.say(failure(error()))
    event = decode(words.heard().encode())
    assert event["reason"] == reason
    assert event["kind"] == "failure"


@pytest.mark.parametrize(
    ("error", "reason"), [(KeyboardInterrupt(), "KeyboardInterrupt"), (ValueError("bad"), "ValueError: bad")]
)
def test_a_failure_without_a_message_has_its_name_once(error: BaseException, reason: str) -> None:
    assert task(encode({"event": "error"} | failure(error))).outcome.reason == reason


def test_the_users_fault_is_told_from_a_failure() -> None:
    assert failure(InputError("no"))["kind"] == "input"


@pytest.mark.parametrize("way", ["closed", "replaced"])
def test_a_descriptor_that_is_closed_or_replaced_is_named(way: str) -> None:
    read, write = os.pipe()
    descriptors = Descriptors(write)
    descriptors.check()
    if way == "closed":
        os.close(write)
    else:
        os.dup2(read, write)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, write)
        os.close(null)
    with pytest.raises(PluginError, match="closed or replaced genbench's own pipe"):
        descriptors.check()
    os.close(read)
    if way == "replaced":
        os.close(write)


def test_the_bounds_leave_room_for_the_longest_failure() -> None:
    longest = {
        "event": "error",
        "kind": "failure",
        "type": "x" * 9999,
        "reason": "\x00" * 9999,
        "traceback": "\x00" * 99999,
    }
    assert len(encode(longest)) < LINE_BYTES < messages.BURST_BYTES
