"""The contract as a pytest function, for an author's own tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import pytest

from genbench.contract.case import Case
from genbench.contract.fault import Caution, Fault, Unmet
from genbench.contract.table import Check
from genbench.contract.verification import SHAPES, Contract

__all__ = ["ContractWarning", "contract_tests", "examine", "parameters"]


class ContractWarning(UserWarning):
    """What an author should know although the contract holds."""


def contract_tests(
    model: str, *, shapes: Sequence[tuple[int, ...]] = SHAPES, device: str = "cpu"
) -> Callable[..., None]:
    """Return a pytest function that puts a model under the whole contract, one test a check and case.

    Args:
        model: as for `genbench run -m`: a name, `distribution:name` or `./file.py`, with options as in `vae:beta=4`.
        shapes: (C, H, W) of images, (L,) of texts; each is checked with labels, the smallest of a kind without too.
        device: `cpu`, `cuda`, `mps` or `auto`. On the CPU, what must repeat is compared bit for bit.

    Example:
        >>> test_contract = contract_tests("vae")
        >>> test_contract.__name__
        'test_contract'
    """
    contract = Contract(model, shapes, device)

    @pytest.mark.parametrize(("check", "case"), parameters(contract))
    def test_contract(check: Check, case: Case | None) -> None:
        __tracebackhide__ = True
        examine(contract, check, case)

    return test_contract


def parameters(contract: Contract) -> list[object]:
    """Return every check and case with the id that pytest shows, such as `sample-1x8x8-labels`."""
    return [
        pytest.param(check, case, id=f"{check.name}-{case.id}" if case else check.name)
        for check, case in contract.items()
    ]


def examine(contract: Contract, check: Check, case: Case | None) -> None:
    """Fail or skip the running test as one check says, in its own words, without pytest's view of the code."""
    __tracebackhide__ = True
    try:
        contract.verify(check, case)
        return
    except Fault as fault:
        message = f"{contract.spec.label}{f', {case}' if case else ''}: {fault}"
    except Unmet as unmet:
        pytest.skip(str(unmet))
    except Caution as caution:
        warnings.warn(f"{contract.spec.label}, {check.name}: {caution}", ContractWarning, stacklevel=2)
        return
    # Outside the except clause: pytest would show the fault as its context.
    pytest.fail(message, pytrace=False)
