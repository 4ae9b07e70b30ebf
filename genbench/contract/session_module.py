"""The module that `session` passes to pytest: a single test, whose arguments the session's pytest plugin provides."""

from __future__ import annotations

from genbench.contract.case import Case
from genbench.contract.check import Check
from genbench.contract.suite import AnyContract, examine


def test_contract(contract: AnyContract, check: Check, case: Case | None) -> None:
    examine(contract, check, case)
