"""Third-party models that fail in every way, in one benchmark with two good ones: each becomes one failed record."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import genbench

HERE = Path(__file__).parent
TINY = (HERE / "models" / "tiny.py").read_text()
STEP = "    noise = torch.randn(len(batch), LATENT, device=batch.device)\n"
SAMPLE = '    return model.networks["generator"](noise)\n'
END = '    return {"energy": loss.detach()}\n'
MODULE = "LATENT = 16\n"
LIMITS = {"jobs": 2, "timeout": 9.0, "hang_timeout": 4.0, "memory_limit": 2**30}
QUICK: dict[str, Any] = {"budget": "4steps", "seeds": 1, "evaluations": 1, "samples": 100, "controls": []}


def at(place: str, *lines: str) -> tuple[str, str]:
    """Code to insert before a place in the small model's source, with the indentation of that place."""
    indent = place[: len(place) - len(place.lstrip())]
    return place, "".join(f"{indent}{line}\n" for line in lines) + place


def in_step(*lines: str) -> tuple[str, str]:
    """Code that the second training step runs, once the model has been built and its cost counted."""
    return at(STEP, "if step == 1:", *(f"    {line}" for line in lines))


def given(expression: str) -> tuple[str, str]:
    """Something else in place of the samples."""
    return SAMPLE, SAMPLE.replace('model.networks["generator"](noise)', expression)


# name -> (the change to the small model, the stage in which it fails, what the reason says)
FAULTS: dict[str, tuple[tuple[str, str], str, str]] = {
    "raises": (in_step("raise ValueError('bad luck')"), "training", "ValueError: bad luck"),
    "nan_loss": (
        ('{"energy": loss.detach()}', '{"energy": loss.detach() * float("nan")}'),
        "training",
        "loss 'energy' became nan at step 0",
    ),
    "infinite_loss": (
        ('{"energy": loss.detach()}', '{"energy": loss.detach() / (0 if step == 3 else 1)}'),
        "training",
        "loss 'energy' became inf at step 3",
    ),
    "samples_shape": (
        given("torch.zeros(count, 3, 5, 5)"),
        "evaluating",
        "sample returned (100, 3, 5, 5), expected (100, 1, 8, 8)",
    ),
    "samples_type": (given("torch.zeros(count, 1, 8, 8, dtype=torch.int64)"), "evaluating", "int64"),
    "samples_range": (given('model.networks["generator"](noise) * 300'), "evaluating", "[-1, 1]"),
    "samples_nan": (given('model.networks["generator"](noise) * float("nan")'), "evaluating", "NaN"),
    "samples_text": (given('"none"'), "evaluating", "sample returned str"),
    "sleeps": (in_step("import time; time.sleep(600)"), "training", "hung: no step, no message"),
    "loops": (in_step("while True: pass"), "training", "timed out after 9 s"),
    "exits": (in_step("import sys; sys.exit(0)"), "training", "called sys.exit(0)"),
    "exits_hard": (in_step("import os; os._exit(0)"), "training", "ended with exit code 0 and said nothing"),
    "crashes": (in_step("import ctypes; ctypes.string_at(0)"), "training", "killed by SIGSEGV"),
    "is_killed": (in_step("import os; os.kill(os.getpid(), 9)"), "training", "killed by SIGKILL"),
    "hoards": (
        in_step("global kept; kept = [bytearray(2**26) for _ in range(10**6)]"),
        "training",
        "out of memory: used",
    ),
    "import_fails": (at(MODULE, "1 / 0"), "building", "import failed: ZeroDivisionError: division by zero"),
    "import_hangs": (at(MODULE, "import time; time.sleep(30)"), "building", "hung: no step, no message"),
    "requires": (at(MODULE, "import no_such_module"), "building", "No module named 'no_such_module'"),
    "has_no_step": (("@hookimpl\ndef train_step", "def train_step"), "building", "does not implement train_step"),
    "sets_type": (
        at(END, "if step == 3: torch.set_default_dtype(torch.float64)"),
        "training",
        "changed torch's default dtype",
    ),
    "sets_threads": (
        in_step("torch.set_num_threads(torch.get_num_threads() + 1)"),
        "training",
        "changed torch's number of threads (",
    ),
    "sets_folder": (in_step("import os; os.chdir('/')"), "training", "changed the working directory"),
    "sets_variable": (in_step("import os; os.environ['MINE'] = '1'"), "training", "changed the environment (MINE)"),
    "draws_numpy": (in_step("import numpy; numpy.random.rand()"), "training", "changed the state of numpy's random"),
    "seeds": (in_step("torch.manual_seed(1)"), "training", "changed the seed of torch's global generator"),
    "sets_determinism": (
        in_step("torch.use_deterministic_algorithms(True)"),
        "training",
        "changed torch's deterministic-algorithms setting (default became error)",
    ),
    "detects_anomalies": (
        in_step("torch.autograd.set_detect_anomaly(True)"),
        "training",
        "changed torch's anomaly detection (False became True)",
    ),
    "sets_precision": (
        in_step("torch.set_float32_matmul_precision('medium')"),
        "training",
        "changed torch's float32 precision (products: highest became medium, mkldnn.matmul: none became bf16, "
        "cuda.matmul: none became tf32)",
    ),
    "sets_precision_by_backend": (
        in_step("torch.backends.cuda.matmul.fp32_precision = 'tf32'"),
        "training",
        "changed torch's float32 precision (products: highest became mixed, cuda.matmul: none became tf32)",
    ),
    "names_no_text": (
        in_step(r"raise FileNotFoundError('caf\udce9.png')"),
        "training",
        "FileNotFoundError: caf?.png",
    ),
    "has_no_message": (
        in_step("class Odd(Exception): __str__ = None", "raise Odd"),
        "training",
        "Odd: with a message that raises TypeError",
    ),
    "says_megabytes": (
        in_step("raise ValueError('x' * 2**25)"),
        "training",
        "characters left out",
    ),
    "leaves_thread": (
        in_step("import threading, time", "threading.Thread(target=time.sleep, args=[99], name='mine').start()"),
        "measuring",
        "left thread 'mine'",
    ),
    "leaves_process": (
        in_step("import subprocess; subprocess.Popen(['sleep', '97'], start_new_session=True)"),
        "measuring",
        "(sleep) running",
    ),
    "writes_to_the_pipe": (
        in_step(
            "import os",
            "for n in range(3, 20):",
            "    try: os.write(n, b'nonsense\\n')",
            "    except OSError: pass",
        ),
        "training",
        "something else than genbench wrote to genbench's own pipe",
    ),
    "forges_an_error": (
        in_step(
            "import os",
            "for n in range(3, 20):",
            '    try: os.write(n, b\'{"event": "error"}\\n\')',
            "    except OSError: pass",
        ),
        "training",
        "something else than genbench wrote to genbench's own pipe",
    ),
    "forges_progress": (
        in_step(
            "import os",
            "for n in range(3, 20):",
            """    try: os.write(n, b'{"event": "progress", "stage": [], "done": NaN, "total": 1}\\n' + b'[' * 9999)""",
            "    except OSError: pass",
        ),
        "training",
        "something else than genbench wrote to genbench's own pipe",
    ),
    "closes_all": (in_step("import os", "os.closerange(0, 99)"), "training", "the model closed or replaced"),
    "dies_unnamed": (in_step("import os; os.kill(os.getpid(), 40)"), "training", "killed by signal 40"),
    "forges_a_result": (
        in_step(
            "import os",
            "for n in range(3, 20):",
            '    try: os.write(n, b\'{"event": "result", "value": {}}\\n\')',
            "    except OSError: pass",
            "os._exit(0)",
        ),
        "training",
        "the process said that it had finished, and left no record",
    ),
}
SPOILING = (
    "import os, sys",
    "frame = sys._getframe()",
    "while not isinstance(payload := frame.f_locals.get('payload'), dict): frame = frame.f_back",
    'record = f\'{payload["directory"]}/records/{payload["id"]}.json\'',
    "%s",
    "for n in range(3, 20):",
    '    try: os.write(n, b\'{"event": "result", "value": {}}\\n\')',
    "    except OSError: pass",
    "os._exit(0)",
)
for _name, _harm in (
    ("spoils_its_record", "open(record, 'w').write('[' * 99999)"),
    ("blocks_its_record", "os.mkdir(record)"),
):
    _lines = [line % _harm if line == "%s" else line for line in SPOILING]
    FAULTS[_name] = (in_step(*_lines), "training", "it left no usable record: record ")
PRINTS = at(STEP, "print('x' * 2**21, flush=True)")  # 8 MiB in four steps: a nuisance, but not a failure


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    step = "def train_step(model, batch, step):"
    for name, ((old, new), *_) in {**FAULTS, "prints": (PRINTS,)}.items():
        assert old in TINY, name
        text = TINY.replace(old, new, 1).replace("def train_step(model, batch):", step)
        (folder / f"{name}.py").write_text(text)
    (folder / "good.py").write_text(TINY)
    (folder / "fine.py").write_text(TINY.replace("rate: float = 1e-3", "rate: float = 2e-3"))
    return folder


@pytest.fixture(scope="module")
def records(folder: Path, warm_servers: None) -> dict[str, genbench.Record]:
    names = ["good", *FAULTS, "prints", "fine"]
    found = genbench.run([str(folder / f"{name}.py") for name in names], out=folder / "out", **QUICK, **LIMITS)
    return {record.label: record for record in found}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_failed_record(records: dict[str, genbench.Record], name: str) -> None:
    _, stage, reason = FAULTS[name]
    record = records[name]
    assert not record.finished
    failure = record.failure
    assert failure is not None
    assert reason in failure["reason"], failure
    assert failure["stage"] == stage
    assert "\n" not in failure["reason"]
    assert record.data["cell"]["plugin"]["distribution"] == "file"
    assert len(record.data["cell"]["plugin"]["source_sha256"]) == 64
    assert record.numbers == {}


@pytest.mark.parametrize("name", ["raises", "sleeps", "loops", "crashes", "import_hangs"])
def test_a_failure_says_where_it_stood(records: dict[str, genbench.Record], name: str) -> None:
    failure = records[name].failure
    assert failure is not None
    assert f"{name}.py" in failure["traceback"] + failure["log_tail"]


def test_a_model_that_prints_megabytes_is_none_the_worse(records: dict[str, genbench.Record], folder: Path) -> None:
    assert records["prints"].finished
    assert sum(path.stat().st_size for path in (folder / "out" / "logs").iterdir()) < 2**24


def lasting(record: genbench.Record) -> dict[str, Any]:
    """What must be the same to the last digit: everything except times, memory and the machine."""
    data = record.data
    curve = [{key: value for key, value in row.items() if key != "elapsed_s"} for row in data["curve"]]
    return {"id": record.id, "numbers": data["numbers"], "recipes": data["recipes"], "curve": curve}


def test_bad_models_do_not_affect_good_ones(records: dict[str, genbench.Record], folder: Path) -> None:
    alone = genbench.run(
        [str(folder / f"{name}.py") for name in ("good", "fine")], out=folder / "alone", **QUICK, **LIMITS
    )
    assert all(record.finished for record in alone)
    assert [lasting(records[record.label]) for record in alone] == [lasting(record) for record in alone]
    for record in alone:
        for path in record.data["artifacts"].values():
            assert (folder / "out" / path).read_bytes() == (folder / "alone" / path).read_bytes()


def test_the_report_lists_the_failed_and_nothing_is_left_behind(
    records: dict[str, genbench.Record], folder: Path
) -> None:
    page = (folder / "out" / "report.md").read_text()
    failed = page[page.index("## Failed") :]
    assert all(name in failed for name in FAULTS)
    assert not list((folder / "out").rglob(".partial-*"))
    assert not (folder / "out" / "locks").exists()
    deadline = time.monotonic() + 10
    while (left := running("sleep", "97")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def running(*command: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().split(b"\0")[:-1]
        except OSError:
            continue  # it has ended in the meantime
        if [part.decode(errors="replace") for part in text] == list(command):
            found.append(int(path.parent.name))
    return found


def test_speeds_of_cells_side_by_side_are_marked(records: dict[str, genbench.Record], folder: Path) -> None:
    assert records["good"].data["environment"]["jobs"] == 2
    assert "**Shared:** up to 2 cells ran side by side" in (folder / "out" / "report.md").read_text()


def test_a_failed_cell_is_tried_again_and_a_finished_one_is_not(
    records: dict[str, genbench.Record], folder: Path
) -> None:
    before = {
        name: os.stat(folder / "out" / "records" / f"{records[name].id}.json").st_ino for name in ("good", "raises")
    }
    genbench.run([str(folder / f"{name}.py") for name in before], out=folder / "out", **QUICK, **LIMITS)
    after = {name: os.stat(folder / "out" / "records" / f"{records[name].id}.json").st_ino for name in before}
    assert after["good"] == before["good"]
    assert after["raises"] != before["raises"]


def test_a_fresh_start_moves_what_was_there(folder: Path, records: dict[str, genbench.Record]) -> None:
    path = folder / "alone" / "records" / f"{records['good'].id}.json"
    before = json.loads(path.read_text())
    genbench.run([str(folder / "good.py")], out=folder / "alone", fresh=True, **QUICK, **LIMITS)
    (moved,) = (folder / "alone" / "replaced").rglob(path.name)
    assert json.loads(moved.read_text()) == before
    assert json.loads(path.read_text())["numbers"] == before["numbers"]
