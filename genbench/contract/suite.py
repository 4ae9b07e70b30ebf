"""The contract as a pytest function, for an author's own tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import pytest

from genbench.config import ModelSpec, ObserverSpec
from genbench.contract.brought.contract import BroughtContract
from genbench.contract.case import Case
from genbench.contract.check import Check
from genbench.contract.fault import Caution, Fault, Unmet
from genbench.contract.verification import SHAPES, Contract

__all__ = ["AnyContract", "ContractWarning", "contract_tests", "examine", "parameters"]


class ContractWarning(UserWarning):
    """Something an author should know although the contract holds."""


class AnyContract(Protocol):
    """The contract of one plugin of any family."""

    @property
    def spec(self) -> ModelSpec | ObserverSpec:
        """The plugin as named by the user, with its options."""

    @property
    def checks(self) -> Mapping[str, Check]:
        """Every check by name, in listing order."""

    def items(self) -> Sequence[tuple[Check, Case | None]]:
        """Return every check with every case."""

    def refuse_bad_input(self) -> None:
        """Raise `InputError` if something is not found, which is not the plugin's fault."""

    def verify(self, check: Check, case: Case | None) -> None:
        """Run one check; raise `Fault` if it fails, `Unmet` if it does not apply, `Caution` if it gives a warning."""

    def result(self, check: Check, case: Case | None) -> Exception | None:
        """Return what `verify` raises, or None; the check runs only once."""


def contract_tests(
    model: str, *, shapes: Sequence[tuple[int, ...]] = SHAPES, device: str = "cpu", family: str = "model"
) -> Callable[..., None]:
    """Return a pytest function that runs the whole contract on a plugin, one test per check and case.

    Args:
        model: the plugin's name: for a model as in `genbench run -m`, `distribution:name` or `./file.py`, with options
            as in `vae:beta=4`; for any other plugin the name of its entry point, with options in the same way.
        shapes: (C, H, W) of images, (L,) of texts; each is checked with labels, the smallest of each kind also without.
        device: `cpu`, `cuda`, `mps` or `auto`; see `Contract`.
        family: what the plugin provides: `model`, `dataset`, `extractor`, `metric` or `observer`. Shapes and device
            apply only to models.

    Example:
        >>> test_contract = contract_tests("vae")
        >>> test_contract.__name__
        'test_contract'
    """
    contract: AnyContract = Contract(model, shapes, device) if family == "model" else BroughtContract(model, family)

    @pytest.mark.parametrize(("check", "case"), parameters(contract))
    def test_contract(check: Check, case: Case | None) -> None:
        __tracebackhide__ = True
        examine(contract, check, case)

    return test_contract


def parameters(contract: AnyContract) -> list[object]:
    """Return every check and case with the id that pytest shows, such as `sample-1x8x8-labels`."""
    return [
        pytest.param(check, case, id=f"{check.name}-{case.id}" if case else check.name)
        for check, case in contract.items()
    ]


def examine(contract: AnyContract, check: Check, case: Case | None) -> None:
    """Run one check, and fail or skip the running test with the check's own message instead of pytest's traceback."""
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
