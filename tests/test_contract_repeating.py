"""Kernels that repeat: what is set while a check runs on CUDA, and what torch's warnings say of an operation."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator

import pytest
import torch

from genbench.contract import CHECKS, state
from genbench.contract.repeating import repeatable, repeats_exactly
from genbench.machine.precision import float32_precision

CUDA, CPU, MPS = (torch.device(name) for name in ("cuda", "cpu", "mps"))
NO_KERNEL = (
    "index_add_cuda_ does not have a deterministic implementation, but you set "
    "'torch.use_deterministic_algorithms(True, warn_only=True)'."
)
ATTENTION = "Memory Efficient attention defaults to a non-deterministic algorithm. To explicitly enable determinism ..."
CUBLAS = "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS."


def set_now() -> tuple[bool, ...]:
    return (
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_warn_always_enabled(),
    )


@pytest.fixture(params=[(False, False, False), (True, True, True), (True, False, False)])
def settings(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a program may have set: deterministic algorithms, only with a warning, all warnings every time."""
    algorithms, warn_only, always = request.param
    torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
    torch.set_warn_always(always)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_warn_always(False)


def test_a_check_on_cuda_runs_with_kernels_that_repeat_and_leaves_settings_as_they_were(settings: None) -> None:
    before = set_now(), float32_precision()
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    during: list[object] = []

    def fails() -> None:
        with repeatable(CUDA):
            during.extend([*set_now(), float32_precision()["cudnn.conv"]])
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert during == [True, True, True, True, "ieee"]
    assert (set_now(), float32_precision()) == before


def test_nothing_is_set_on_other_devices() -> None:
    before = set_now()
    for device in (CPU, MPS):
        with repeatable(device):
            assert set_now() == before


@pytest.mark.parametrize("said", [NO_KERNEL, ATTENTION])
def test_results_are_exact_until_an_operation_has_no_such_kernel(said: str) -> None:
    assert (repeats_exactly(CPU), repeats_exactly(CUDA), repeats_exactly(MPS)) == (True, False, False)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("ignore")  # as a model may
        with repeatable(CUDA):
            warnings.warn(CUBLAS, UserWarning, stacklevel=1)
            assert repeats_exactly(CUDA)
            warnings.warn(said, UserWarning, stacklevel=1)
            assert not repeats_exactly(CUDA)
            assert repeats_exactly(CPU)
        assert not repeats_exactly(CUDA)  # outside of a check
    assert shown == []


def test_a_warning_of_another_thread_counts() -> None:
    """torch runs a backward pass that is written in Python on a thread of its own."""
    with repeatable(CUDA):
        thread = threading.Thread(target=warnings.warn, args=(NO_KERNEL, UserWarning))
        thread.start()
        thread.join()
        assert not repeats_exactly(CUDA)


def test_checks_that_look_at_settings_run_with_those_of_training() -> None:
    as_trained = {name for name, check in CHECKS.items() if check.as_trained}
    assert as_trained == {"loads", "waiting", "global_state", "network", "memory"}


def test_what_a_model_warns_about_is_still_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with repeatable(CUDA):
            warnings.warn("a warning of mine", UserWarning, stacklevel=1)
            warnings.warn(NO_KERNEL, UserWarning, stacklevel=1)
    assert [str(each.message) for each in shown] == ["a warning of mine"]


def test_without_exact_kernels_values_within_rounding_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    first = torch.tensor([1.0, float("nan")])
    assert state.equal(first, first.clone())
    assert not state.equal(first, first * (1 + 2e-7))
    monkeypatch.setattr(state, "repeats_exactly", lambda device: False)
    assert state.equal(first, first * (1 + 2e-7))
    assert state.equal(first, first + 0.005)
    assert not state.near(first, first + 0.005)
    assert not state.equal(first, first * 1.03)
    assert not state.equal(torch.tensor([1]), torch.tensor([2]))
