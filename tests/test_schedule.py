"""Where windows and evaluations of a budget end, in closed form."""

from __future__ import annotations

import itertools
import math

import pytest

from genbench.training.loop import Progress, Schedule


def ends_of(schedule: Schedule) -> list[int]:
    """Return the steps at which the windows of a budget in steps end."""
    progress, ends = Progress(), []
    while window := schedule.window(progress):
        progress.step += window
        ends.append(progress.step)
    return ends


@pytest.mark.parametrize("steps", [101, 250, 3017])
def test_a_hundred_windows_end_at_the_steps_nearest_to_their_shares(steps: int) -> None:
    ends = ends_of(Schedule(steps, None, 1))
    assert len(ends) == 100
    assert all(abs(end - steps * number / 100) <= 0.5 for number, end in enumerate(ends, 1))


@pytest.mark.parametrize(("steps", "evaluations"), [(10, 3), (11, 4), (1000, 7), (3, 3)])
def test_an_evaluation_is_at_the_first_step_that_completes_its_share(steps: int, evaluations: int) -> None:
    schedule = Schedule(steps, None, evaluations)
    due = [schedule.due(Progress(step=step)) for step in range(steps + 1)]
    assert due == [step * evaluations // steps for step in range(steps + 1)]
    first = {due.index(number) for number in range(1, evaluations + 1)}
    assert first <= set(ends_of(schedule))


def test_an_evaluation_is_due_at_its_second_whatever_the_rounding() -> None:
    assert 1.0 / 49.0 * 49 < 1
    assert Schedule(None, 49.0, 49).due(Progress(elapsed_s=1.0)) == 1


def timed(elapsed_s: float) -> Progress:
    """Progress at 5 steps a second, after a first window of one step."""
    taken = elapsed_s - 0.5
    return Progress(1 + round(5 * taken), elapsed_s, [], [(1, 0.5), (round(5 * taken), taken)])


@pytest.mark.parametrize(("elapsed_s", "steps"), [(10.5, 50), (500.5, 50), (989.5, 50), (998.1, 10), (999.95, 1)])
def test_a_window_is_a_hundredth_of_the_seconds_but_no_more_than_is_left(elapsed_s: float, steps: int) -> None:
    """What is left is rounded up to whole steps: 1.9 s at 5 steps a second are 9.5."""
    assert Schedule(None, 1000.0, 1).window(timed(elapsed_s)) == steps


@pytest.mark.parametrize("elapsed_s", [1000.0, 1000.5])
def test_no_window_follows_once_the_seconds_are_spent(elapsed_s: float) -> None:
    assert Schedule(None, 1000.0, 1).window(timed(elapsed_s)) == 0


def test_slow_steps_come_one_at_a_time() -> None:
    progress = Progress(3, 61.0, [], [(1, 1.0), (2, 60.0)])
    assert Schedule(None, 1000.0, 1).window(progress) == 1


def test_the_preparation_counts_against_the_seconds_and_not_against_the_rate() -> None:
    after = timed(10.5)
    after.elapsed_s, after.before_s = 110.5, 100.0
    assert Schedule(None, 1000.0, 1).window(after) == 50
    after.elapsed_s, after.before_s = 998.1, 987.6  # 1.9 s are left
    assert Schedule(None, 1000.0, 1).window(after) == 10


def test_the_first_window_is_left_out_of_the_rate_unless_it_is_the_only_one() -> None:
    assert Schedule(None, 1000.0, 1).window(Progress(4, 0.5, [], [(4, 0.5)])) == 80  # 8 steps a second
    assert Schedule(None, 1000.0, 1).window(Progress(5, 9.25, [], [(1, 9.0), (4, 0.25)])) == 160


def test_a_budget_in_seconds_ends_within_a_step() -> None:
    schedule, progress = Schedule(None, 77.705, 1), Progress()
    for number in itertools.count():
        if not (window := schedule.window(progress)):
            break
        seconds = 1.0 if number == 0 else window * 0.013
        progress.step += window
        progress.elapsed_s += seconds
        progress.windows.append((window, seconds))
    assert progress.step == 1 + math.ceil((77.705 - 1) / 0.013)
