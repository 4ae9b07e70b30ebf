"""The parts of the cluster's executor, each on its own: addresses, places, parcels, answers, models sent along."""

from __future__ import annotations

import hashlib
import os
import queue
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

pytest.importorskip("distributed")

from genbench.config import ModelSpec
from genbench.errors import InputError
from genbench.execution.cluster import connection, host, vetting
from genbench.execution.cluster.address import Address
from genbench.execution.cluster.allocator import training_environment
from genbench.execution.cluster.dispatch import Dispatch
from genbench.execution.cluster.engine import DaskExecutor
from genbench.execution.cluster.host import Host
from genbench.execution.cluster.parcels import ParcelError, pack, unpack
from genbench.execution.cluster.pool import Place, Pool
from genbench.execution.cluster.sent import Sent
from genbench.execution.cluster.throttle import Throttle
from genbench.execution.cluster.vetting import Shipment
from genbench.execution.executor import FoundModel
from genbench.execution.limits import UNLIMITED
from genbench.execution.local import ServerError
from genbench.machine import atomic
from genbench.plugin import finding
from genbench.records.files import read_record
from genbench.records.record import cell_id, record_path, write_record
from genbench.records.schemas import SCHEMA

CELL = {"model": "vae", "label": "vae", "role": "model", "seed": 0, "dataset": {"name": "digits"}}
ID = cell_id(CELL)
PICTURE = "samples/vae.png"


@pytest.mark.parametrize(
    ("text", "scheduler", "warns"),
    [
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786", False),
        ("localhost:8786", "tcp://localhost:8786", False),
        ("tcp://[::1]:8786", "tcp://[::1]:8786", False),
        ("tcp://10.0.0.1:8786", "tcp://10.0.0.1:8786", True),
        ("tcp://login.example:8786", "tcp://login.example:8786", True),
        ("tls://10.0.0.1:8786", "tls://10.0.0.1:8786", False),
    ],
)
def test_an_address_that_others_reach_in_the_clear_is_warned_of(text: str, scheduler: str, warns: bool) -> None:
    address = Address.parse(text)
    assert address.scheduler == scheduler
    assert (address.warning is not None) == warns
    assert not warns or "neither encrypted nor authenticated" in str(address.warning)


def test_a_scheduler_file_names_the_address(tmp_path: Path) -> None:
    path = tmp_path / "scheduler.json"
    path.write_text('{"address": "tcp://127.0.0.1:8786", "workers": {}}')
    assert Address.parse(str(path)) == Address("tcp://127.0.0.1:8786", path)
    os.mkfifo(tmp_path / "pipe.json")  # opening it would block
    with pytest.raises(InputError, match="cannot be read: not a regular file"):
        Address.parse(str(tmp_path / "pipe.json"))
    path.write_text("[" * 99_999)
    with pytest.raises(InputError, match="is not a scheduler file: it contains no address"):
        Address.parse(str(path))


@pytest.mark.parametrize(
    "text", ["nowhere", "http://a:1", "tcp://a", "tcp://a:b", "tcp://:1", "", "tcp://a:1\n", f"tcp://{'a' * 999}:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not an address; write tcp://HOST:PORT"):
        Address.parse(text)


def worker(host: str, threads: int, gpus: int = 0) -> dict[str, Any]:
    return {"host": host, "nthreads": threads, "resources": {"GPU": gpus} if gpus else {}}


def test_a_worker_has_a_place_for_each_thread() -> None:
    pool = Pool()
    new = pool.add({"a": worker("one", 1), "b": worker("one", 3)})
    assert pool.free() == 0  # nobody has checked them yet
    for place in new:
        place.ready = True
    assert pool.free() == 4
    assert [pool.side_by_side(place) for place in new] == [4, 4]
    first = pool.roomiest()
    assert first is new[1]
    assert [first.take(number) for number in (7, 8, 9)] == [0, 1, 2]
    assert pool.roomiest() is new[0]
    first.leave(8)
    assert first.take(10) == 1
    assert pool.add({"a": worker("one", 1), "c": worker("two", 1)})[0].address == "c"
    pool.remove("b")
    assert pool.free() == 1


def test_where_workers_name_gpus_those_are_the_places() -> None:
    pool = Pool()
    new = pool.add({"a": worker("one", 8), "b": worker("two", 8, 2), "c": worker("three", 1, 4)})
    assert [(place.address, place.slots, place.resources) for place in new] == [
        ("b", 2, {"GPU": 1}),
        ("c", 1, {"GPU": 1}),
    ]


class Line:
    """A link that accepts what is sent and returns nothing."""

    token, topic = "run", "topic"

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.sent_to: list[str] = []
        self.asked: list[str] = []

    def submit(self, function: object, argument: object, place: Place, *_: object) -> Mock:
        self.sent_to.append(place.address)
        return Mock()

    def ask_to_end(self, keys: list[str], workers: list[str]) -> set[str]:
        self.asked += workers
        return set(keys)


@pytest.mark.parametrize(("ending", "sent_to"), [(False, ["a", "b"]), (True, ["a"])])
def test_a_cell_that_loses_its_worker_goes_to_another_unless_it_is_to_end(ending: bool, sent_to: list[str]) -> None:
    pool, line = Pool(), Line()
    for place in pool.add({name: worker(name, 1) for name in "ab"}):
        place.ready = True
    dispatch = Dispatch(line, pool, None, fresh=True)  # type: ignore[arg-type]
    cell = {"command": "", "cell": {"model": {"name": "vae", "options": {}}}}
    sent = Sent(0, "run_cell", cell, lambda event: None, UNLIMITED)
    dispatch.send(sent, pool.places["a"], pool.places["a"].take(0))
    if ending:
        assert dispatch.ask_to_end([sent]) == [sent]
        assert line.asked == ["a"]
    pool.remove("a")
    dispatch.lose("a")
    dispatch.place_homeless()
    assert line.sent_to == sent_to
    assert sent.ended is ending


def test_without_a_shared_folder_no_cell_is_asked_to_end() -> None:
    asked: list[bool] = []
    executor = DaskExecutor(Address.parse("localhost:8786"), None, False, print)
    executor._dispatch.cells = lambda: {0: Sent(0, "run_cell", {}, print, UNLIMITED)}  # type: ignore[method-assign]
    executor.ask_to_end(60.0, lambda: asked.append(True))
    assert not asked


def test_the_throttle_passes_one_progress_event_a_second_and_all_notices_but_a_flood() -> None:
    throttle = Throttle()
    progress = {"event": "progress"}
    assert [throttle.passes(progress, now) for now in (0.0, 0.4, 0.9, 1.1, 1.2)] == [True, False, False, True, False]
    said = [throttle.passes({"event": "notice"}, 0.001 * index) for index in range(200)]
    assert said == [True] * 50 + [False] * 150
    assert all(throttle.passes({"event": "points"}, 0.001 * index) for index in range(200))  # none may be dropped


@pytest.fixture
def parcel(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "worker"
    (folder / "samples").mkdir(parents=True)
    (folder / PICTURE).write_bytes(b"picture")
    empty: dict[str, Any] = {name: {} for name in ("numbers", "recipes", "cost", "environment")}
    write_record(
        folder,
        {"schema": SCHEMA, "id": ID, "cell": CELL, "status": "finished", "curve": [], **empty}
        | {"artifacts": {"samples": PICTURE}},
    )
    return pack(folder, ID)


def test_what_a_cell_left_arrives_as_it_was(parcel: dict[str, Any], tmp_path: Path) -> None:
    unpack(parcel, tmp_path / "here", ID)
    for name in (PICTURE, f"records/{ID}.json"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "worker" / name).read_bytes()
    assert read_record(record_path(tmp_path / "here", ID)).finished


def damaged(parcel: dict[str, Any]) -> None:
    parcel["files"][PICTURE] = b"pictore"


def edited(parcel: dict[str, Any]) -> None:
    name = f"records/{ID}.json"
    parcel["files"][name] = parcel["files"][name].replace(b"finished", b"unfinished", 1)
    parcel["sha256"][name] = hashlib.sha256(parcel["files"][name]).hexdigest()


def misplaced(parcel: dict[str, Any]) -> None:
    name = f"records/{ID}.json"
    parcel["files"]["records/00.json"] = parcel["files"].pop(name)
    parcel["sha256"]["records/00.json"] = parcel["sha256"].pop(name)


def incomplete(parcel: dict[str, Any]) -> None:
    del parcel["files"][PICTURE]


def no_bytes(parcel: dict[str, Any]) -> None:
    parcel["files"][PICTURE] = "picture"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, "came back from its worker damaged"),
        (edited, "was edited"),
        (misplaced, "sent no record"),
        (incomplete, "names samples/vae.png, which its worker did not send"),
        (no_bytes, "nothing that genbench sends"),
        (dict.clear, "nothing that genbench sends"),
    ],
)
def test_what_arrives_otherwise_is_refused_and_leaves_no_record(
    parcel: dict[str, Any], tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    spoil(parcel)
    with pytest.raises((ParcelError, Exception), match=message):
        unpack(parcel, tmp_path / "here", ID)
    assert not record_path(tmp_path / "here", ID).exists()


def test_a_picture_elsewhere_is_refused(tmp_path: Path) -> None:
    empty: dict[str, Any] = {name: {} for name in ("numbers", "recipes", "cost", "environment")}
    record = {"schema": SCHEMA, "id": ID, "cell": CELL, "status": "finished", "curve": [], **empty}
    write_record(tmp_path / "worker", record | {"artifacts": {"samples": "report.md"}})
    (tmp_path / "worker" / "report.md").write_text("mine")
    with pytest.raises(ParcelError, match=r"report\.md"):
        unpack(pack(tmp_path / "worker", ID), tmp_path / "here", ID)
    assert not (tmp_path / "here" / "report.md").exists()


WORDS = {"stage": "training", "kind": "failure", "reason": "bad luck", "traceback": "", "log_tail": ""}


def test_an_answer_is_believed_only_where_it_is_one() -> None:
    sent = Sent(0, "run_cell", {}, print, UNLIMITED)
    outcome = sent.read({"outcome": {"value": None, **WORDS}, "log": b""})
    assert (outcome.ok, outcome.stage, outcome.reason) == (False, "training", "bad luck")
    for answer in (
        None,
        {},
        {"outcome": WORDS},
        {"outcome": {**WORDS, "reason": 1}, "log": b""},
        {"outcome": [], "log": b""},
    ):
        with pytest.raises(ParcelError, match="nothing that genbench sends"):
            sent.read(answer)


def found(path: Path, **options: Any) -> FoundModel:
    spec = ModelSpec(str(path), options)
    model = finding.find(spec)
    covered = model.coverage(options)
    return FoundModel(spec, covered, model.provenance(covered).to_json())


def test_a_model_file_is_sent_with_its_neighbours_and_is_the_same_there(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "mine.py"
    path.write_text(f"import beside\n{tiny.read_text()}")
    path.with_name("beside.py").write_text("WIDTH = 1\n")
    path.with_name("unused.py").write_text("WIDTH = 2\n")
    shipment = Shipment.of(found(path))
    assert sorted(shipment.files) == ["beside.py", "mine.py"]
    there = tmp_path / "there"
    shipment.unpack(there / shipment.key)
    assert vetting.differing_models([shipment], there) == []
    (there / shipment.key / "beside.py").write_text("WIDTH = 3\n")
    (line,) = vetting.differing_models([shipment], there)
    assert line == "model 'mine' (file): its source is different"
    (there / shipment.key / "beside.py").unlink()
    (line,) = vetting.differing_models([shipment], there)
    assert "imports or reads beside.py, which is outside its folder" in line


def test_an_installed_model_is_compared_by_version_and_source(tmp_path: Path) -> None:
    model = finding.find(ModelSpec("vae"))
    provenance = model.provenance().to_json()
    same = Shipment.of(FoundModel(ModelSpec("vae"), None, provenance))
    assert vetting.differing_models([same], tmp_path) == []
    older = Shipment.of(FoundModel(ModelSpec("vae"), None, {**provenance, "version": "0.0.1"}))
    assert vetting.differing_models([older], tmp_path) == [f"{model} is {model.version}, here 0.0.1"]
    other = Shipment.of(FoundModel(ModelSpec("vae"), None, {**provenance, "source_sha256": "0" * 64}))
    assert vetting.differing_models([other], tmp_path) == [f"{model}: its source is different"]
    gone = Shipment.of(FoundModel(ModelSpec("gone"), None, provenance))
    assert "unknown model 'gone'" in vetting.differing_models([gone], tmp_path)[0]


def test_software_differs_by_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    own = vetting.software()
    assert vetting.differing_software(own) == []
    assert vetting.differing_software({**own, "Python": "2.7"}) == [f"Python is {own['Python']}, here 2.7"]


def test_workers_that_try_one_folder_at_once_do_not_sweep_away_each_others_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], tempfile.mkstemp

    def swept(**settings: Any) -> tuple[int, str]:
        made.append(make(**settings))
        if len(made) == 1:
            atomic.sweep(tmp_path)  # by another worker
        return made[-1]

    monkeypatch.setattr(tempfile, "mkstemp", swept)
    assert vetting.unwritable(tmp_path) == ""
    assert len(made) == 2
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_the_first_difference_of_two_answers_is_told() -> None:
    first = {"device": "cpu", "dataset": {"name": "digits", "fingerprint": "aa"}}
    other = {"device": "cpu", "dataset": {"name": "digits", "fingerprint": "bb"}}
    assert connection.differences(first, other) == "its dataset fingerprint is 'bb', of others 'aa'"


def test_cells_do_not_get_the_allocator_settings_of_the_nanny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "HOME": "/"}
    assert training_environment(given) == {"OMP_NUM_THREADS": "1", "HOME": "/"}
    own = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "2"}
    assert training_environment(own) == own

    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    environments: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    server = Mock(__enter__=Mock(side_effect=ServerError("this is enough")), __exit__=Mock())
    monkeypatch.setattr(host, "ForkServer", lambda environment: environments.put(environment) or server)
    serving = Host(tmp_path, lambda topic, message: None)
    serving.start()
    serving._asked.put(lambda server: None)
    environment = environments.get(timeout=10)
    serving.close()
    assert "MALLOC_TRIM_THRESHOLD_" not in environment
    assert "PATH" in environment
