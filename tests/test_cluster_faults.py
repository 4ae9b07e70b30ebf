"""What a model may leave on a worker, and what else may go wrong there: one cell fails, and no other waits for ever."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

pytest.importorskip("distributed")

from genbench.config import ModelSpec
from genbench.errors import GenbenchError, InputError
from genbench.execution.cluster import host, parcels
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.dispatch import Dispatch
from genbench.execution.cluster.engine import DaskExecutor
from genbench.execution.cluster.host import Host
from genbench.execution.cluster.hosted import Hosted
from genbench.execution.cluster.parcels import ParcelError, pack
from genbench.execution.cluster.pool import Pool
from genbench.execution.cluster.sent import Sent
from genbench.execution.conditions import Conditions
from genbench.execution.executor import FoundModel
from genbench.execution.limits import UNLIMITED
from genbench.execution.running import LOG_LIMIT_BYTES, Outcome
from genbench.plugin import finding
from genbench.records.record import cell_id, record_path, write_record
from genbench.records.schemas import SCHEMA

CELL = {"model": "vae", "label": "vae", "role": "model", "seed": 0, "dataset": {"name": "digits"}}
ID = cell_id(CELL)
PICTURE = "samples/vae.png"
PATIENCE_S = 10.0


def leave_record(folder: Path) -> Path:
    """Write a valid record that names one picture, and the picture."""
    (folder / "samples").mkdir(parents=True)
    (folder / PICTURE).write_bytes(b"picture")
    empty: dict[str, Any] = {name: {} for name in ("numbers", "recipes", "cost", "environment")}
    document = {"schema": SCHEMA, "id": ID, "cell": CELL, "status": "finished", "curve": [], **empty}
    write_record(folder, document | {"artifacts": {"samples": PICTURE}})
    return record_path(folder, ID)


def artifacts(value: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        record_path(folder, ID).write_text(json.dumps({"artifacts": value}))

    return spoil


def nested(folder: Path) -> None:
    record_path(folder, ID).write_text("[" * 99_999)


def endless(folder: Path) -> None:
    record_path(folder, ID).unlink()
    record_path(folder, ID).symlink_to("/dev/zero")


def fifo_for_record(folder: Path) -> None:
    record_path(folder, ID).unlink()
    os.mkfifo(record_path(folder, ID))


def fifo_for_picture(folder: Path) -> None:
    (folder / PICTURE).unlink()
    os.mkfifo(folder / PICTURE)


def huge_picture(folder: Path) -> None:
    os.truncate(folder / PICTURE, parcels.MOST_BYTES)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (artifacts({"samples": 5}), "cannot be read: truncated or not a record"),
        (artifacts([1]), "cannot be read: truncated or not a record"),
        (nested, "cannot be read: truncated or not a record"),
        (endless, "not a regular file"),
        (fifo_for_record, "not a regular file"),
        (fifo_for_picture, "not a regular file"),
        (huge_picture, "vae.png is larger than any cell's files"),
    ],
    ids=["number", "list", "nested", "endless", "fifo", "fifo_picture", "huge"],
)
def test_what_a_model_left_instead_of_results_is_a_failed_cell(
    tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    leave_record(tmp_path)
    spoil(tmp_path)
    each = Hosted("key", tmp_path, ID)
    answer = each.answer_of(Outcome({}, "training"))
    assert answer["outcome"]["value"] is None
    assert answer["outcome"]["stage"] == "training"
    assert answer["outcome"]["reason"].startswith("what the cell left on its worker cannot be used: ")
    assert answer["outcome"]["reason"].endswith(why)
    assert "files" not in answer


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (lambda log: log.write_bytes(b"said"), 4),
        (lambda log: log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 5)), LOG_LIMIT_BYTES),
        (os.mkfifo, 0),
        (lambda log: log.symlink_to("/dev/zero"), 0),
        (lambda log: None, 0),
    ],
    ids=["short", "long", "fifo", "endless", "none"],
)
def test_a_log_is_sent_as_far_as_it_is_one(tmp_path: Path, make: Callable[[Path], Any], size: int) -> None:
    leave_record(tmp_path)
    make(tmp_path / "log")
    answer = Hosted("key", tmp_path, ID).answer_of(Outcome({}))
    assert len(answer["log"]) == size
    assert sorted(answer["files"]) == [f"records/{ID}.json", PICTURE]


class Serving:
    """Stands in for a fork server that takes cells, and breaks in its own way."""

    def __init__(self, start: Exception | None, wait: Exception | None) -> None:
        self._start, self._wait = start, wait

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, *_: object) -> Any:
        if self._start is not None:
            raise self._start
        return Mock(number=7)

    def wait(self, timeout: float) -> list[Any]:
        if self._wait is not None:
            raise self._wait
        return [Mock(number=7, outcome=Outcome(None, "training", reason="bad luck"))]


@pytest.fixture
def hosting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def make(*servers: Serving) -> Host:
        left = iter(servers)
        monkeypatch.setattr(host, "ForkServer", lambda environment: next(left))
        made.append(Host(tmp_path, lambda topic, message: None))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


def asked(key: str) -> dict[str, Any]:
    payload = {"id": ID, "cell": CELL, "slot": 0}
    given = {"key": key, "task": "run_cell", "payload": payload, "limits": {}, "topic": "topic"}
    return {**given, "model": None, "shared": None, "anew": False, "slots": None}


def answer_of(host: Host, key: str) -> dict[str, Any]:
    """Follow a task in the thread of a Dask task, which would otherwise wait for ever."""
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(host.follow(asked(key), lambda: True)), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert found, "the task is not answered"
    return found[0]


def test_a_host_survives_whatever_its_server_raises(hosting: Callable[..., Host]) -> None:
    serving = hosting(Serving(None, TypeError("not a path")), Serving(None, None))
    assert answer_of(serving, "first") == {"lost": "TypeError: not a path"}
    assert answer_of(serving, "second")["outcome"]["reason"] == "bad luck"


def test_a_cell_that_a_full_disk_keeps_from_starting_fails_alone(hosting: Callable[..., Host]) -> None:
    serving = hosting(Serving(OSError(28, "No space left on device"), None))
    told = answer_of(serving, "first")["outcome"]
    assert (told["value"], told["reason"]) == (None, "it cannot be started on its worker: No space left on device")


def dispatch_of(tmp_path: Path, models: list[FoundModel]) -> tuple[Dispatch, Mock, Sent]:
    """A task that is sent to the only worker of a pool."""
    pool, link = Pool(), Mock(token="run", topic="topic")
    (place,) = pool.add({"a": {"host": "a", "nthreads": 1}})
    place.ready = True
    dispatch = Dispatch(link, pool, None, fresh=True)
    dispatch.take_models(models)
    spec = models[0].spec if models else ModelSpec("vae")
    payload = {
        "command": "",
        "id": ID,
        "directory": str(tmp_path),
        "cell": {"model": {"name": spec.name, "options": {}}},
    }
    sent = Sent(0, "run_cell", payload, lambda event: None, UNLIMITED)
    dispatch.send(sent, place, place.take(0))
    return dispatch, link, sent


def test_the_files_of_a_model_are_sent_once_not_with_each_cell(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"import beside\n{tiny.read_text()}")
    path.with_name("beside.py").write_text("WIDTH = 1\n")
    spec = ModelSpec(str(path))
    found = finding.find(spec)
    covered = found.coverage({})
    model = FoundModel(spec, covered, found.provenance(covered).to_json())
    dispatch, link, _ = dispatch_of(tmp_path, [model])
    (shipment,) = dispatch.take_models([model])
    assert sorted(shipment.files) == ["beside.py", "mine.py"]  # for the check of a worker
    sent = link.submit.call_args.args[1]["model"]
    assert (sent.key, sent.source_sha256, sent.files) == (shipment.key, shipment.source_sha256, {})


def test_an_answer_with_a_damaged_record_fails_its_cell_alone(tmp_path: Path) -> None:
    leave_record(tmp_path / "worker")
    dispatch, _, sent = dispatch_of(tmp_path, [])
    answer = {"outcome": {"value": {}, "stage": "", "kind": "failure", "reason": "", "traceback": "", "log_tail": ""}}
    parcel = pack(tmp_path / "worker", ID)
    name = f"records/{ID}.json"
    parcel["files"][name] = parcel["files"][name].replace(b"finished", b"unfinished", 1)
    parcel["sha256"][name] = parcels._sha256(parcel["files"][name])
    dispatch.done(dispatch.key(sent), _answering(sent, answer | parcel))
    assert sent.ended
    assert sent.outcome.reason == f"record {ID}.json was edited: its checksum does not match"
    assert not record_path(tmp_path, ID).exists()


def _answering(sent: Sent, answer: dict[str, Any]) -> Any:
    """The future of a task, once it has an answer."""
    assert isinstance(sent.future, Mock)
    sent.future.status = "finished"
    sent.future.result = lambda timeout: {"log": b"", **answer}
    return sent.future


def caused(error: OSError) -> GenbenchError:
    """What a benchmark raises where a failed record cannot be written either."""
    failure = GenbenchError("its record cannot be written")
    failure.__cause__ = error
    return failure


@pytest.mark.parametrize(
    ("error", "stay"),
    [
        (OSError(28, "No space left on device"), True),
        (caused(OSError(30, "Read-only file system")), True),
        (BrokenPipeError(32, "Broken pipe"), False),  # whoever read the output has ended
        (GenbenchError("the scheduler is gone"), False),
        (KeyboardInterrupt(), False),
        (None, False),
    ],
    ids=["full", "caused", "pipe", "other", "interrupt", "none"],
)
def test_cells_continue_where_only_their_results_cannot_be_written(error: BaseException | None, stay: bool) -> None:
    said: list[str] = []
    executor = DaskExecutor(Address.parse("localhost:8786"), None, False, said.append)
    link = executor._link = Mock()
    executor._dispatch.keys = {"key"}
    executor.__exit__(None, error, None)
    assert link.leave.called is stay
    assert link.close.called is not stay
    assert stay or link.close.call_args.args == (["key"],)
    assert [line.startswith("the cells on the workers continue") for line in said] == [True] * stay


@pytest.mark.parametrize("shared", ["", " "])
def test_an_empty_shared_folder_is_not_the_current_one(shared: str) -> None:
    with pytest.raises(InputError, match=r"^shared is empty; name a folder that all workers see"):
        Conditions(cluster="tcp://127.0.0.1:8786", shared=shared)


def test_packing_raises_in_one_line(tmp_path: Path) -> None:
    leave_record(tmp_path)
    nested(tmp_path)
    with pytest.raises(ParcelError, match=rf"^record {ID}\.json cannot be read: truncated or not a record$"):
        pack(tmp_path, ID)


def test_only_events_of_tasks_are_passed_on(tmp_path: Path) -> None:
    dispatch, _, sent = dispatch_of(tmp_path, [])
    heard: list[Any] = []
    sent.on_event = heard.append
    key = dispatch.key(sent)
    stage = {"event": "stage", "stage": "training"}
    points = {"event": "points", "points": (), "after": 3}  # as Dask delivers a list
    silence = {"event": "silence", "seconds": 30.5}
    for event in (
        stage,
        points,
        silence,
        {"event": "silence"},
        {},
        {"event": "result", "value": {}},
        {"event": "stage", "stage": 5},
        "stage",
        None,
    ):
        dispatch.tell({"key": key, "event": event})
    for message in (None, 5, ("x",), {"key": key}, {"event": stage}, {"key": [key], "event": stage}):
        dispatch.tell(message)
    assert heard == [stage, {**points, "points": []}, silence]


@pytest.mark.parametrize("message", [None, 5, ("x",), {}, {"action": "remove-worker"}, {"action": ["add-worker"]}])
def test_an_announcement_that_is_none_changes_nothing(message: Any) -> None:
    executor = DaskExecutor(Address.parse("localhost:8786"), None, False, print)
    (place,) = executor._pool.add({"a": {"host": "a", "nthreads": 1}})
    executor._take("workers", message)
    assert executor._admission.is_there(place)
