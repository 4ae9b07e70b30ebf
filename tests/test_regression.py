"""`genbench regress`: the rule on synthetic noise, turn-taking, revisions side by side, and bad input."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genbench.errors import InputError
from genbench.regression import baseline, checkout, decision, gate, installation, rendering, timing
from genbench.regression.decision import Timing, estimate, judge, p_above
from genbench.regression.process import Process
from genbench.regression.timing import Case, Sides
from genbench.regression.worker import Worker

CASE = Case("tiny", (1, 8, 8), 16)
SLOWER = math.log(1.1)


def drawn(centre: float, spread: float, seed: int, pairs: int = 8) -> tuple[float, ...]:
    # Student's t with 4 degrees of freedom: times have heavy tails.
    noise = np.random.default_rng(seed).standard_t(4, pairs) / math.sqrt(2)
    return tuple((centre + spread * noise).tolist())


def simulated(centre: float, spread: float, seed: int) -> Timing:
    return Timing(drawn(centre, spread, 2 * seed), drawn(0.0, spread, 2 * seed + 1))


# The rule


@pytest.mark.parametrize("spread", [0.002, 0.01, 0.05])
def test_equal_revisions_raise_no_alarm(spread: float) -> None:
    verdicts = Counter(judge([simulated(0.0, spread, seed)], 0.05)[0].verdict for seed in range(150))
    assert verdicts["slower"] == 0
    assert (verdicts["cannot tell"] > 75) == (spread == 0.05)


def test_a_slow_down_of_a_tenth_is_found_among_six_models() -> None:
    found = 0
    for seed in range(30):
        models = [simulated(SLOWER if model == 3 else 0.0, 0.01, 6 * seed + model) for model in range(6)]
        slower = [index for index, judgement in enumerate(judge(models, 0.05)) if judgement.verdict == "slower"]
        assert slower in ([], [3])
        found += slower == [3]
    assert found >= 28


def test_the_correction_makes_one_of_many_harder_to_condemn() -> None:
    doubtful = next(
        candidate
        for seed in range(1000)
        if 0.01 < p_above((candidate := simulated(math.log(1.07), 0.012, seed)).head, 1.05) < 0.024
        and judge([candidate], 0.05)[0].verdict == "slower"
    )
    equal = [simulated(0.0, 0.004, 5000 + seed) for seed in range(5)]
    judged = judge([doubtful, *equal], 0.05)
    assert judged[0].verdict == "not slower"
    assert judged[0].p_holm == pytest.approx(6 * p_above(doubtful.head, 1.05))


def test_noise_above_the_threshold_is_reported_and_takes_no_part_in_the_correction() -> None:
    noisy = Timing(drawn(SLOWER, 0.001, 1), drawn(0.0, 0.08, 2))
    clear = simulated(SLOWER, 0.005, 3)
    first, second = judge([noisy, clear], 0.05)
    assert first.verdict == "cannot tell"
    assert first.p_holm is None
    assert first.limit > 1.05
    assert second.verdict == "slower"
    assert second.p_holm == p_above(clear.head, 1.05)


def test_the_interval_covers_as_often_as_it_says() -> None:
    covered = sum(
        (found := estimate(np.random.default_rng(seed).normal(0.0, 0.02, 8).tolist())).low < 1 < found.high
        for seed in range(200)
    )
    assert 0.91 <= covered / 200 <= 0.985


def test_an_estimate_is_of_ratios_and_repeats() -> None:
    values = drawn(SLOWER, 0.01, 0)
    found = estimate(values)
    assert found == estimate(values)
    assert found.ratio == pytest.approx(math.exp(sum(values) / 8))
    assert found.low < found.ratio < found.high
    assert estimate([SLOWER] * 8) == decision.Estimate(*[pytest.approx(1.1)] * 3)
    assert (p_above([SLOWER] * 8, 1.05), p_above([SLOWER] * 8, 1.15)) == (0.0, 1.0)
    # The p-value and the interval's lower bound agree.
    assert p_above(values, found.low * 0.999) < 0.025
    assert p_above(values, found.low * 1.001) > 0.024


# The turns


def test_a_drift_and_a_constant_share_of_noise_leave_the_ratio() -> None:
    drift = np.linspace(1, 2, 24)
    head, same = timing.log_ratios(drift, 1.02 * drift, 1.1 * drift)
    assert same == pytest.approx(math.log(1.02))
    assert head == pytest.approx(math.log(1.1 / math.sqrt(1.02)))


class Recorded:
    """Stands in for a process and records the order of turns."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name, self.turns = name, turns

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        if do == "prepare":
            return {"seconds_per_step": 0.001}
        if do == "time":
            self.turns.append(self.name)
            return {"seconds": {"cpu": [0.001 * arguments["steps"]] * arguments["windows"]}}
        return {}


def test_all_take_as_many_turns_and_follow_each_other_as_often() -> None:
    order: list[str] = []
    turns = timing.take_turns([Recorded(name, order) for name in "bsh"], [CASE] * 3, seconds=0.05)
    assert {len(own) for own in turns} == {len(order) // 3}
    assert turns[0] == pytest.approx([0.001] * len(turns[0]))
    rounds = [tuple(order[index : index + 3]) for index in range(0, len(order), 3)]
    assert set(Counter(rounds).values()) == {len(rounds) // 6}  # every order of the three, equally often
    assert all(one == other[::-1] for one, other in zip(rounds[::2], rounds[1::2], strict=True))


class Paced:
    """Stands in for a process whose steps always take as long as its name says, several of them in a window."""

    SECONDS = {"base": 1e-4, "base, second process": 1.02e-4, "head": 1.1e-4}  # noqa: RUF012

    def __init__(self, name: str, target: Path | None) -> None:
        self.name, self.target = name, target
        assert target == Path("new" if name == "head" else "old")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        step_s = self.SECONDS[self.name]
        if do == "prepare":
            return {"seconds_per_step": step_s}
        if do == "time":
            assert arguments["steps"] > 1
            return {"seconds": {"cpu": [step_s * arguments["steps"]] * arguments["windows"]}}
        return {}

    def send(self, do: str) -> None: ...

    def receive(self) -> None: ...

    def __enter__(self) -> Paced:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_turns_are_seconds_a_step_whatever_the_steps_of_a_window() -> None:
    processes = [Paced(name, Path("new" if name == "head" else "old")) for name in Paced.SECONDS]
    turns = timing.take_turns(processes, [CASE] * 3, seconds=0.01)
    assert [own[0] for own in turns] == pytest.approx([*Paced.SECONDS.values()])


def test_a_pair_tells_the_head_from_the_base_and_the_base_from_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "Process", Paced)
    found = timing.measure(Sides(Path("old"), Path("new")), [CASE], 2, 0.01, lambda line: None)[CASE]
    assert found.head == pytest.approx([math.log(1.1 / math.sqrt(1.02))] * 2)
    assert found.same == pytest.approx([math.log(1.02)] * 2)


class InThisProcess:
    """Stands in for a process, and runs its worker in this one."""

    def __init__(self, name: str, target: Path | None) -> None:
        self.worker = Worker()
        self.answers: list[dict[str, Any]] = []

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        return {} if do == "pin" else self.worker.answer({"do": do, **arguments})

    def send(self, do: str) -> None:
        self.answers.append(self.ask(do))

    def receive(self) -> dict[str, Any]:
        return self.answers.pop()

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        assert not self.worker.prepared


def test_real_steps_are_timed_in_turns(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "Process", InThisProcess)
    case = Case(str(tiny), (1, 8, 8), 16)
    found = timing.measure(Sides(None, None), [case], 1, 0.05, lambda line: None)
    assert len(found[case].head) == len(found[case].same) == 1
    assert abs(found[case].head[0]) < 3


def test_a_process_that_dies_or_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "sudden.py").write_text(
        "import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos._exit(3)\n"
    )
    with Process("head", None) as process, pytest.raises(InputError, match=r"head: .* ended\n  .*last words") as caught:
        process.ask("prepare", key="k", model=str(tmp_path / "sudden.py"), shape=[1, 8, 8], batch=4)
    assert "Traceback" not in str(caught.value)


# Revisions


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "genbench-trial"
version = "1"
[project.entry-points.genbench]
trial = "genbench_trial"
[tool.setuptools]
py-modules = ["genbench_trial"]
"""


@pytest.fixture
def repository(tmp_path: Path, tiny: Path) -> Path:
    """A plugin author's repository with one commit."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "genbench_trial.py").write_text(tiny.read_text())
    (root / ".gitignore").write_text("ignored.txt\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=first")
    return root


def slow_down(root: Path) -> None:
    """Add one operator call."""
    path = root / "genbench_trial.py"
    path.write_text(path.read_text().replace("    loss = 2 *", "    batch.abs()\n    loss = 2 *"))


def judged(cases: Sequence[Case], *centres: float) -> dict[Case, Timing]:
    return {
        case: simulated(centre, 0.004, seed) for seed, (case, centre) in enumerate(zip(cases, centres, strict=True))
    }


def test_two_revisions_end_to_end(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installation and counting are real; the times are set: one slow run, and one that confirms it."""
    slow_down(repository)
    monkeypatch.setattr(baseline, "SHAPES", (CASE.shape,))
    runs: list[Sides] = []

    def measure(sides: Sides, cases: Sequence[Case], *_: Any) -> dict[Case, Timing]:
        runs.append(sides)
        return judged(cases, SLOWER)

    monkeypatch.setattr(timing, "measure", measure)
    result = gate.regress(gate.Request(repository, "main", None), lambda line: None)
    assert result.base.startswith("base main (")
    assert result.head == "head (working tree)"
    assert [row.case.model for row in result.rows] == ["trial"]
    assert len(runs) == 2  # the second confirms the first
    assert result.regressed
    assert result.rows[0].regressed
    calls = [moved for moved in result.unexplained if moved.counter == "operator_calls"]
    assert len(calls) == 1
    assert all(moved.now == (moved.was or 0) + 1 for moved in calls)
    assert "(aten.abs.default 0 → 1)" in str(calls[0])
    assert git(repository, "worktree", "list").count("\n") == 1  # nothing is left behind
    for shown in (rendering.as_table(result), rendering.as_markdown(result)):
        assert "REGRESSION: trial at 1x28x28" in shown
        assert "(aten.abs.default 0 → 1)" in shown
    assert rendering.as_json(result)["regressed"] is True


@pytest.mark.parametrize(("second", "regressed"), [(SLOWER, True), (0.0, False)])
def test_a_suspect_is_condemned_only_when_a_second_run_agrees(
    monkeypatch: pytest.MonkeyPatch, second: float, regressed: bool
) -> None:
    other = Case("other", CASE.shape, 16)
    asked: list[list[Case]] = []

    def measure(sides: Sides, cases: Sequence[Case], *_: Any) -> dict[Case, Timing]:
        asked.append(list(cases))
        return judged(cases, *([SLOWER, 0.0] if len(asked) == 1 else [second]))

    monkeypatch.setattr(timing, "measure", measure)
    request = gate.Request(Path(), "main", None)
    rows = gate._time(request, Sides(None, None), [CASE, other], lambda line: None)
    assert asked == [[CASE, other], [CASE]]
    assert [row.regressed for row in rows] == [regressed, False]


def test_a_counter_that_nothing_explains_is_a_regression_however_fast_it_is() -> None:
    same, faster, slower = (estimate(drawn(centre, 0.004, 0)) for centre in (0.0, -SLOWER, SLOWER))
    quick, slow = (
        gate.Row(CASE, decision.Judgement(timed, same, 1.05, 0.5, verdict), confirmed)
        for timed, verdict, confirmed in (
            (faster, "not slower", None),
            (slower, "slower", decision.Judgement(slower, same, 1.05, 0.001, "slower")),
        )
    )
    moved = baseline.Moved("gan", "1x8x8", "operator_calls", 10, 11)
    for unexplained, row, regressed in (((), quick, False), ((moved,), quick, True), ((), slow, True)):
        assert gate.Result("base", "head", (moved,), unexplained, (row,), ()).regressed == regressed


def test_the_working_tree_is_copied_as_it_is(repository: Path, tmp_path: Path) -> None:
    (repository / "new.txt").write_text("new")
    (repository / "ignored.txt").write_text("ignored")
    (repository / "genbench_trial.py").write_text("changed = True\n")
    with checkout.checked_out(repository, None, tmp_path / "head") as tree:
        assert {path.name for path in tree.iterdir()} == {
            "pyproject.toml",
            "genbench_trial.py",
            ".gitignore",
            "new.txt",
        }
        assert (tree / "genbench_trial.py").read_text() == "changed = True\n"
    with checkout.checked_out(repository, "main", tmp_path / "base") as tree:
        assert "hookimpl" in (tree / "genbench_trial.py").read_text()
        assert not (tree / "new.txt").exists()
    assert not (tmp_path / "base").exists()


def test_a_revision_that_does_not_install_shows_the_end_of_pips_log(repository: Path, tmp_path: Path) -> None:
    path = repository / "pyproject.toml"
    path.write_text(path.read_text().replace('version = "1"', 'version = "not a version"'))
    with pytest.raises(InputError, match=r"base 0f does not install; the end of pip's log:\n  (.*\n)*.*version"):
        installation.install(checkout.distributions(repository), tmp_path / "target", "base 0f")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "nosuch"], "revision 'nosuch' does not exist here"),
        (["--base", "main", "--head", "v9"], "revision 'v9' does not exist here"),
        (["--base", "main", "--pairs", "7"], "--pairs must be at least 8, not 7"),
        (["--base", "main", "--threshold", "five"], "--threshold 'five' cannot be read"),
        (["--base", "main", "--seconds", "0"], "--seconds must be finite and above 0, not 0"),
        (["--base", "main", "--seconds", "inf"], "--seconds must be a finite number of seconds, not 'inf'"),
        (["--base", "main", "--shape", "28x"], "shape '28x' cannot be read"),
        ([], "name the revision to compare with"),
    ],
)
def test_bad_input(repository: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    from genbench.cli.regress import regress

    monkeypatch.chdir(repository)
    with pytest.raises(InputError) as caught:
        regress.main(arguments, standalone_mode=False)
    assert str(caught.value).startswith(message)


def test_an_unknown_model_and_one_of_one_side_only_are_refused(repository: Path, tmp_path: Path) -> None:
    pyproject = repository / "pyproject.toml"
    with checkout.checked_out(repository, "main", tmp_path / "base") as base:
        pyproject.write_text(PYPROJECT.replace("trial =", "renamed ="))
        for model, message in (("trial", "is not in head"), ("renamed", "is not in base"), ("nosuch", "unknown model")):
            with pytest.raises(InputError, match=message):
                gate._models(gate.Request(repository, "main", None, (model,)), [base, repository])
        with pytest.raises(InputError, match="no model in common"):
            gate._models(gate.Request(repository, "main", None), [base, repository])


def test_outside_a_repository_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from genbench.cli import main; main()", "regress", "--base", "main"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("genbench: ")
    assert answer.stderr.count("\n") == 1
    assert "is not in a git repository" in answer.stderr


def test_folders_that_the_root_excludes_are_left_out(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "plugins" / name
        folder.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PYPROJECT.replace("trial =", f"{name} ="))
    (tmp_path / "pyproject.toml").write_text('[tool.genbench]\nregress-exclude = ["plugins/two"]\n')
    assert checkout.models_of(tmp_path) == ["one"]


def test_a_tree_without_a_distribution_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no pyproject\.toml here"):
        checkout.distributions(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(InputError, match=r"pyproject\.toml: not valid TOML"):
        checkout.distributions(tmp_path)
