"""What `session` hands to pytest: the one test, whose arguments the session's own pytest plugin gives."""

from __future__ import annotations

from genbench.contract.case import Case
from genbench.contract.suite import examine
from genbench.contract.table import Check
from genbench.contract.verification import Contract


def test_contract(contract: Contract, check: Check, case: Case | None) -> None:
    examine(contract, check, case)
