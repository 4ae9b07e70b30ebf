"""Runs the contract through pytest, quietly and isolated from the caller's settings, and returns the outcomes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import pytest

from genbench.contract.case import Case
from genbench.contract.check import Check
from genbench.contract.fault import Fault
from genbench.contract.suite import AnyContract, parameters
from genbench.errors import GenbenchError

__all__ = ["Outcome", "run_contract"]

Status = Literal["ok", "warning", "failed", "skipped"]
MODULE = Path(__file__).with_name("session_module.py")
# Use no files or settings of the caller's project, and print nothing.
ARGUMENTS = (
    *("-c", os.devnull, f"--rootdir={MODULE.parent}", "--noconftest", "--import-mode=importlib"),
    *("-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler", "-p", "no:logging"),
    *("-p", "no:unraisableexception", "-p", "no:threadexception"),  # each ends with a second of garbage collection
    *("-W", "default"),  # a warning that the caller turned into an error is not the plugin's fault
)
ENVIRONMENT = {"PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@dataclass(frozen=True)
class Outcome:
    """How one check ended on one case (None: it runs once), with the fault, reason or caution."""

    check: Check
    case: Case | None
    status: Status
    text: str = ""


def run_contract(contract: AnyContract, after_each: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Run the whole contract on a plugin; `after_each` receives each outcome as it arrives.

    Raises:
        InputError: the plugin, an option or the device does not exist.
        GenbenchError: pytest itself stopped.
    """
    contract.refuse_bad_input()
    listener = _Listener(contract, after_each)
    with mock.patch.dict(os.environ, ENVIRONMENT):
        code = pytest.main([*ARGUMENTS, str(MODULE)], plugins=[listener])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise GenbenchError(f"the contract suite stopped: pytest ended with {pytest.ExitCode(code).name}")
    return listener.outcomes


class _Listener:
    """A pytest plugin that provides the test's arguments and collects outcomes."""

    def __init__(self, contract: AnyContract, after_each: Callable[[Outcome], None] | None) -> None:
        self.contract = contract
        self.after_each = after_each
        self.outcomes: list[Outcome] = []

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        rows = [
            pytest.param(self.contract, *row.values, id=row.id)  # type: ignore[attr-defined]
            for row in parameters(self.contract)
        ]
        metafunc.parametrize(("contract", "check", "case"), rows)

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        if call.when != "call":
            return
        outcome = self._outcome(item, call)
        self.outcomes.append(outcome)
        if self.after_each is not None:
            self.after_each(outcome)

    def _outcome(self, item: Any, call: pytest.CallInfo[Any]) -> Outcome:
        check, case = item.callspec.params["check"], item.callspec.params["case"]
        result = self.contract.result(check, case)
        if call.excinfo is None:
            return Outcome(check, case, "warning", str(result)) if result else Outcome(check, case, "ok")
        if isinstance(result, Fault) or result is None:
            crash = f"the check itself crashed: {call.excinfo.exconly()} ({call.excinfo.traceback[-1]})"
            return Outcome(check, case, "failed", str(result) if result else crash)
        return Outcome(check, case, "skipped", str(result))
