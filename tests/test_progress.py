"""A run's progress: as bars at any width, as lines, to a function; a model's text never controls the terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

import genbench
from genbench import progress
from genbench.config import Cell, ModelSpec, Settings
from genbench.errors import GenbenchError, InputError
from genbench.execution.planning import Planned
from genbench.plugin.visible import visible
from genbench.progress import Lines, Silence, listener_for
from genbench.progress.bars import Bars
from genbench.progress.layout import Line, cut, duration, fitting, widths
from genbench.progress.notebook import NotebookBars
from genbench.progress.wording import outcome
from genbench.records.record import Record

NASTY = "a\x1b]0;title\x07\x1b[2J\nb\u202e"


def planned(name: str = "conv-vae", seed: int = 3, **options: Any) -> Planned:
    cell = Cell(ModelSpec(name, options), "fashion-mnist", seed, Settings())
    return Planned(cell, f"{name}{seed}", {"dataset": {"name": "digits", "kind": "image"}})


def training(done: int, total: int = 3000, **losses: float) -> dict[str, Any]:
    losses = losses or {"reconstruction": 0.71, "divergence": 13.1}
    return {
        "event": "progress",
        "stage": "training",
        "done": done,
        "total": total,
        "losses": losses,
        "items_per_s": 12345.6,
    }


FINISHED = Record({"id": "0f", "status": "finished", "numbers": {"fd": {"value": 1.5}}, "cost": {"train_s": 9.0}})
FAILED = Record({"id": "0f", "status": "failed", "failure": {"stage": "training", "reason": NASTY}})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def bars(width: int) -> tuple[Bars, Console, Clock]:
    console, clock = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None), Clock()
    return Bars(console, clock), console, clock


def shown(bars: Bars, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(bars.table())
    return [line.rstrip() for line in captured.get().splitlines()]


def under_way(width: int) -> list[str]:
    """The lines of a run of 30 cells: one is done after 600 s, the second has trained 900 of 3000 steps in 90 s."""
    drawn, console, clock = bars(width)
    drawn.all_planned([planned("gan"), *[planned(beta=4)] * 29])
    drawn.started(1, 30, planned("gan"), None)
    clock.now += 600
    drawn.ended(1, 30, planned("gan"), FINISHED, False)
    drawn.started(2, 30, planned(beta=4), None)
    drawn.event(planned(beta=4), training(0))
    clock.now += 90
    drawn.event(planned(beta=4), training(900))
    return shown(drawn, console)


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 120, 200])
def test_what_a_user_looks_for_first_stands_at_every_width(width: int) -> None:
    everything, cell = under_way(width)
    assert len(everything) <= width
    assert len(cell) <= width
    assert " 30%" in cell
    assert " 3:30" in cell  # 2100 steps are left, and 900 took 90 s
    assert "seed 3" in cell
    assert "1 of 30 cells" in everything
    # (600 + 90) s for 1.3 cells, and 28.7 are left.
    assert duration(690 / 1.3 * 28.7) in everything
    assert ("training" in cell) == (width > 40)
    assert ("━" in cell) == (width >= 50)


def test_columns_go_in_the_order_of_what_they_say() -> None:
    rows = {width: under_way(width)[1] for width in (60, 80, 120, 140)}
    name = "conv-vae:beta=4 on fashion-mnist, seed 3"
    assert name not in rows[60]
    assert name in rows[80]
    assert "images/s" not in rows[80]
    assert "12,346 images/s" in rows[120]
    assert "divergence" not in rows[120]
    assert "reconstruction 0.71, divergence 13.1" in rows[140]


@pytest.mark.parametrize("width", range(30, 200, 7))
def test_no_number_is_ever_cut(width: int) -> None:
    line = Line("gan on digits, seed 0", "training", 1, 9, 3.0, "12,346 images/s", ("generator 0.71", "critic 1.3"))
    room = widths([line], width)
    assert room.rate in (0, len(line.rate))
    assert fitting(line.losses, room.losses) in ("", "generator 0.71", "generator 0.71, critic 1.3")
    assert bool(room.losses) == bool(fitting(line.losses, room.losses))
    columns = [part for part in (room.name, room.stage, room.bar, 4, 8, room.rate, room.losses) if part]
    assert sum(columns) + len(columns) - 1 <= width


def test_a_long_name_keeps_its_end() -> None:
    assert cut("a" * 50 + ", seed 3", 30).endswith(" seed 3")
    assert len(cut("a" * 50 + ", seed 3", 30)) == 30
    assert len(cut("模型" * 50, 31).encode("utf-16-le")) // 2 <= 16  # each takes two columns


def test_the_time_left_counts_from_where_training_was_taken_up() -> None:
    drawn, console, clock = bars(80)
    drawn.started(1, 1, planned(), None)
    drawn.event(planned(), training(2000))
    clock.now += 50
    drawn.event(planned(), training(2500))
    assert " 0:50" in shown(drawn, console)[1]


def test_the_time_left_of_all_cells_is_that_of_the_models() -> None:
    """Four controls end at once, then a model takes 100 s: another that is a tenth done takes 90 s, not 20."""
    drawn, console, clock = bars(80)
    models = [planned("gan"), planned("vae")]
    controls = [planned(name) for name in ("real", "gaussian", "noise", "copycat")]
    drawn.all_planned([*controls, *models])
    for number, each in enumerate([*controls, models[0]], 1):
        drawn.started(number, 6, each, None)
        clock.now += 100 * (number == 5)
        drawn.ended(number, 6, each, FINISHED, False)
        assert ("1:40" in shown(drawn, console)[0]) == (number == 5)
    drawn.started(6, 6, models[1], None)
    drawn.event(models[1], training(0))
    clock.now += 10
    drawn.event(models[1], training(300))
    assert " 1:30" in shown(drawn, console)[0]


def test_all_cells_take_at_least_as_long_as_a_running_one() -> None:
    drawn, console, clock = bars(80)
    drawn.all_planned([planned("gan"), planned("vae")])
    drawn.started(1, 2, planned("gan"), None)
    clock.now += 1
    drawn.ended(1, 2, planned("gan"), FINISHED, False)
    drawn.started(2, 2, planned("vae"), None)
    drawn.event(planned("vae"), training(0))
    clock.now += 100
    drawn.event(planned("vae"), training(300))
    assert [line.rstrip().endswith("15:00") for line in shown(drawn, console)] == [True, False]
    assert " 15:00" in shown(drawn, console)[1]


def test_each_metric_is_shown_as_it_begins() -> None:
    drawn, console, _ = bars(80)
    drawn.started(1, 1, planned(), None)
    drawn.event(planned(), {"event": "stage", "stage": "measuring"})
    drawn.event(planned(), {"event": "metric", "name": "ms_ssim", "done": 3, "total": 12})
    assert "measuring ms_ssim" in shown(drawn, console)[1]
    assert " 25%" in shown(drawn, console)[1]


def test_a_long_silence_is_shown_instead_of_the_rate() -> None:
    drawn, console, _ = bars(120)
    drawn.started(1, 1, planned(), None)
    drawn.event(planned(), training(9))
    drawn.event(planned(), {"event": "silence", "seconds": 35.0})
    assert "no report for 35 s" in shown(drawn, console)[1]
    assert "images/s" not in shown(drawn, console)[1]


def test_a_long_silence_of_a_check_is_shown_too() -> None:
    drawn, console, _ = bars(80)
    silence = {"event": "silence", "seconds": 35.0}
    drawn.checking("cifar10", None)
    drawn.checking("cifar10", silence)
    assert "no report for 35 s" in shown(drawn, console)[0]
    said: list[str] = []
    Lines(said.append).checking("cifar10", silence)
    assert said == ["  cifar10: no report for 35 s; it is still running"]


@pytest.mark.parametrize("text", [NASTY, "\x9b2J", "\r\x1b[Kgenbench: all is well", "a\u2028b\x85c\x00"])
def test_nothing_that_a_model_supplies_is_obeyed(text: str) -> None:
    drawn, console, _ = bars(400)
    lines: list[str] = []
    clock = Clock()
    plain = Lines(lines.append, clock)
    odd = planned(text)
    before = Record({"status": "failed", "failure": {"stage": text, "reason": text}})
    with console.capture() as captured:
        for listener in (drawn, plain):
            listener.checking(text, None)
            listener.checking(text, {"event": "notice", "text": text})
            listener.checking(text, {"event": "progress", "stage": text, "done": 1, "total": 2})
            listener.started(1, 2, odd, before)
            for event in (
                {"event": "stage", "stage": text},
                {**training(1), "losses": {text: 1.0}, "stage": text},
                {"event": "metric", "name": text, "done": 1, "total": 2},
                {"event": "notice", "text": text},
            ):
                clock.now += 20
                listener.event(odd, event)
            console.print(drawn.table())
            listener.ended(1, 2, odd, FAILED, False)
    for line in (captured.get().replace("\n", ""), *lines):
        assert not set(line) & set("\x1b\x07\x9b\r\n\u202e\u2028\x85\x00"), line
    assert len(lines) > 5


def test_what_a_terminal_would_obey_is_shown() -> None:
    assert visible(NASTY) == r"a\x1b]0;title\x07\x1b[2J\nb\u202e"
    assert outcome(FAILED, False) == rf"FAILED in training: {visible(NASTY)}"
    assert visible("two\nlines\x1b", keep="\n") == "two\nlines\\x1b"
    assert visible("naïve 模型 é") == "naïve 模型 é"


def test_control_characters_in_errors_are_shown_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from genbench import cli

    def fail(**_: object) -> None:
        raise GenbenchError(f"{NASTY} failed")

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error == f"genbench: {visible(NASTY)} failed\n"
    assert "\x1b" not in error


def test_the_output_of_a_failed_process_keeps_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from genbench import cli

    def fail(**_: object) -> None:
        raise InputError("a\nb failed:", "\tfirst\x1b", "second")

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "genbench: a\\nb failed:\n\tfirst\\x1b\nsecond\n"


def test_an_interrupt_says_how_many_cells_are_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import click

    from genbench import cli

    error = KeyboardInterrupt()
    error.add_note("3 of 30 cells are done")
    raised: list[BaseException] = [error, KeyboardInterrupt()]

    def interrupt(**_: object) -> None:
        raise click.Abort from raised.pop(0)

    monkeypatch.setattr(cli.cli, "main", interrupt)
    for said in ("genbench: interrupted; 3 of 30 cells are done\n", "genbench: interrupted\n"):
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code, capsys.readouterr().err) == (130, said)


def test_lines_come_at_most_every_ten_seconds() -> None:
    lines: list[str] = []
    clock = Clock()
    plain = Lines(lines.append, clock)
    plain.started(1, 2, planned(), None)
    for _ in range(25):
        clock.now += 1
        plain.event(planned(), training(9, critic=0.5))
    assert lines[1:] == ["  conv-vae on fashion-mnist, seed 3: training: 9 of 3000, 12,346 images/s, critic 0.5"] * 2


def test_progress_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    with listener_for(False) as listener:
        assert isinstance(listener, Silence)
    with listener_for(lines.append) as listener:
        listener.waiting(2)
    assert lines == ["waiting for 2 cells that another genbench run is working on"]
    with listener_for(True) as listener:
        listener.waiting(1)
    assert capsys.readouterr() == ("", "waiting for 1 cell that another genbench run is working on\n")
    monkeypatch.setattr(progress, "watched", lambda: True)
    with listener_for(True) as listener:
        assert isinstance(listener, Bars)


def test_a_run_from_python_tells_a_function(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from genbench import api

    def told(benchmark: object, directory: object, listener: Any, *_: object) -> list[Record]:
        listener.waiting(1)
        return []

    monkeypatch.setattr(api, "run_benchmark", told)
    monkeypatch.setattr("genbench.report.render_directory", lambda directory: directory)
    lines: list[str] = []
    genbench.run(["vae"], out=tmp_path, progress=lines.append)
    assert lines == ["waiting for 1 cell that another genbench run is working on"]
    genbench.run(["vae"], out=tmp_path, listener=Lines(lines.append))
    assert len(lines) == 2


def test_a_run_from_python_shows_lines_unless_told_to_be_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from genbench import api

    monkeypatch.setattr(api, "run_benchmark", lambda benchmark, directory, listener, *_: listener.waiting(1) or [])
    monkeypatch.setattr("genbench.report.render_directory", lambda directory: directory)
    genbench.run(["vae"], out=tmp_path)
    assert capsys.readouterr() == ("", "waiting for 1 cell that another genbench run is working on\n")
    genbench.run(["vae"], out=tmp_path, progress=False)
    assert capsys.readouterr() == ("", "")


class Shell:
    """The part of a notebook's IPython that is used: the outputs under a cell, by their id."""

    def __init__(self) -> None:
        self.kernel = object()
        self.display_pub = self
        self.outputs: dict[str, list[str]] = {}

    def publish(self, data: dict[str, str], *, transient: dict[str, str], update: bool) -> None:
        held = self.outputs.setdefault(transient["display_id"], [])
        assert update == bool(held), "the first call creates the output, the others update it"
        held.append(data["text/plain"])


def test_a_notebook_has_one_output_that_is_written_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with listener_for(True) as listener:
        assert isinstance(listener, NotebookBars)
        listener._clock = clock = Clock()
        listener.checking("digits", None)
        clock.now += 1
        listener.started(1, 2, planned("gan"), None)
        clock.now += 1
        listener.event(planned("gan"), training(900))
        clock.now += 0.1
        listener.event(planned("gan"), training(999))  # too soon to be shown
        clock.now += 1
        listener.ended(1, 2, planned("gan"), FINISHED, False)
    (output,) = shell.outputs.values()
    assert [text.splitlines()[-1].split()[0] for text in output] == ["checking", "gan", "gan", "1", "[1/2]"]
    assert "30%" in output[2]
    assert output[-1] == "[1/2] gan on fashion-mnist, seed 3: fd 1.5, trained 9.0 s", "the bars remain after the run"
    assert "\x1b" not in "".join(output)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", [None, object()])
def test_a_terminals_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with listener_for(True) as listener:
        assert isinstance(listener, Lines)


@pytest.mark.parametrize("command", ["run", "evaluate", "regress"])
@pytest.mark.parametrize("value", ["9" * 400, "9" * 5000, "nan", "inf", "1e400", "-" + "9" * 400, "1__0", "no"])
def test_an_invalid_number_is_refused_in_one_line(command: str, value: str) -> None:
    from genbench.cli import cli
    from genbench.cli.numbers import Whole, _Seconds
    from genbench.errors import InputError

    for parameter in cli.commands[command].params:
        if isinstance(parameter.type, Whole | _Seconds):
            answer = CliRunner().invoke(cli, [command, parameter.opts[0], value])
            assert isinstance(answer.exception, InputError), parameter.opts
            assert str(answer.exception).startswith(parameter.opts[0])
            assert len(str(answer.exception)) < 150
