"""The contract: the behaviour that every plugin promises, as tests that its author can run.

An author's whole test file is

    from genbench.contract import contract_tests

    test_contract = contract_tests("my-model")

with `family="dataset"` for a dataset, and so on; `genbench plugin check my-model` runs the same tests and prints them
as a list.
"""

from __future__ import annotations

try:
    import pytest  # noqa: F401  # imported first, so that its absence is reported in one line
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("genbench.contract needs pytest: pip install pytest") from error

from genbench.contract.brought.contract import BroughtContract
from genbench.contract.session import Outcome, run_contract
from genbench.contract.suite import contract_tests
from genbench.contract.table import CHECKS
from genbench.contract.verification import SHAPES, Contract

__all__ = ["CHECKS", "BroughtContract", "Contract", "Outcome", "SHAPES", "contract_tests", "run_contract"]
