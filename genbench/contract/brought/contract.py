"""`BroughtContract`: runs every check of a family other than models on one plugin."""

from __future__ import annotations

from genbench.contract.brought.suite import Trial
from genbench.contract.brought.table import SUITES
from genbench.contract.check import Check
from genbench.contract.checks import module
from genbench.contract.fault import Caution, Fault, Unmet
from genbench.errors import InputError, nearest
from genbench.plugin import finding, world
from genbench.plugin.finding import Found

__all__ = ["BroughtContract"]

Result = Caution | Fault | Unmet | None


class BroughtContract:
    """The checks of one plugin.

    Args:
        name: of its entry point, or `./file.py`, with options as in `spectra:size=16`.
        family: what it provides: a key of `SUITES`.
    """

    def __init__(self, name: str, family: str) -> None:
        if family not in SUITES:
            raise InputError(f"family {family!r} has no contract{nearest(family, SUITES)}")
        self.suite = SUITES[family]
        self.spec = self.suite.parse(name)
        self.checks = {check.name: check for check in self.suite.checks}
        self._trial: Trial | None = None
        self._results: dict[str, Result] = {}

    def items(self) -> list[tuple[Check, None]]:
        """Return every check; each runs once."""
        return [(check, None) for check in self.suite.checks]

    def refuse_bad_input(self) -> None:
        """Raise `InputError` if the plugin is not found, which is not the plugin's fault."""
        self._found()

    def verify(self, check: Check, case: object = None) -> None:
        """Run one check; raise `Fault` if it fails, `Unmet` if it does not apply, `Caution` if it gives a warning."""
        result = self.result(check, case)
        if result is not None:
            raise result.with_traceback(None)

    def result(self, check: Check, case: object = None) -> Result:
        """Return the result of one check, which runs only once."""
        if check.name not in self._results:
            self._results[check.name] = self._examine(check)
        return self._results[check.name]

    def _found(self) -> Found:
        if self.spec.is_file:
            return finding.find_file(self.spec.name, self.suite.family)
        return finding.find_brought(self.suite.family, self.spec.name)

    def _examine(self, check: Check) -> Result:
        for name in check.needs:
            result = self.result(self.checks[name])
            if isinstance(result, Fault):
                return Unmet(f"needs {name}, which failed")
            if isinstance(result, Unmet) and str(result).startswith("needs "):
                return result
        try:
            with world.kept():
                check.function(self._subject())
        except (Caution, Fault, Unmet) as outcome:
            return outcome
        return None

    def _subject(self) -> Trial:
        if self._trial is None:
            try:
                found = self._found()
            except InputError as error:
                raise Fault(
                    f"a {self.suite.family.name} that can be found", str(error), "install its distribution"
                ) from error
            self._trial = self.suite.trial(module.load(found), self.spec.options)
        return self._trial
