"""`Contract`: every check of one plugin on every case, each run once, so that one mistake fails one check."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import psutil
from torch import nn
from torch.nn.parameter import is_lazy

from genbench.config import ModelSpec
from genbench.contract.case import CLASSES, Case, Subject
from genbench.contract.check import Check
from genbench.contract.checks import module
from genbench.contract.fault import Caution, Fault, Refused, Unmet
from genbench.contract.repeating import repeatable
from genbench.contract.table import CHECKS
from genbench.errors import InputError, OptionError
from genbench.machine import environment
from genbench.plugin import finding, world
from genbench.plugin.leftovers import Others
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model

__all__ = ["SHAPES", "Contract"]

Result = Caution | Fault | Unmet | None

SHAPES: tuple[tuple[int, ...], ...] = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (12,), (24,), (2, 300))

_STATES = 9
"""Models with gradients and moments that the checks keep at the same time; of `gan` on clips of 2x4096, 8.3."""


class Contract:
    """The checks of one model.

    Args:
        model: a name, `distribution:name` or `./file.py`, with options as in `vae:beta=4`.
        shapes: (C, H, W) of images, (L,) of texts, (C, T) of clips; each is checked with labels, the smallest of each
            kind also without.
        device: `cpu`, `cuda`, `mps` or `auto`. Repeated results are compared bit for bit: on CUDA with
            deterministic kernels, and within rounding where an operation has none.
    """

    def __init__(self, model: str, shapes: Sequence[tuple[int, ...]] = SHAPES, device: str = "cpu") -> None:
        self.spec = ModelSpec.parse(model)
        self.checks = CHECKS
        self.device_name = device
        self.cases = tuple(_cases(shapes))
        self._plugin: Plugin | None = None
        self._others: Others | None = None
        self._subject: Subject | None = None
        self._refusals: dict[Case, Refused | None] = {}
        self._weights: dict[Case, int] = {}  # bytes
        self._results: dict[tuple[str, Case], Result] = {}

    def items(self) -> list[tuple[Check, Case | None]]:
        """Return every check with every case, case by case, so that only one case's models are in memory at a time."""
        once: list[tuple[Check, Case | None]] = [(check, None) for check in CHECKS.values() if check.once]
        return once + [(check, case) for case in self.cases for check in CHECKS.values() if not check.once]

    def refuse_bad_input(self) -> None:
        """Raise `InputError` for a model, option or device that does not exist, which is not the plugin's fault."""
        finding.find(self.spec)
        environment.choose_device(self.device_name)
        with contextlib.suppress(Fault):  # the checks report a plugin that does not load or build
            if self.spec.options:
                refusals = [self._refusal(case) for case in self.cases]
                for refusal in refusals:
                    if refusal is not None and None not in refusals and isinstance(refusal.__cause__, OptionError):
                        raise refusal.__cause__
            if environment.choose_device(self.device_name).type == "cpu":
                for case in self.cases:
                    if case.shape not in SHAPES:
                        self._refuse_too_large(case)

    def _refuse_too_large(self, case: Case) -> None:
        """Raise `InputError` if the checks would not fit into memory: the kernel would kill them without a message."""
        if self._refusal(case) is not None:
            return
        weights, most = self._weights.get(case, 0), psutil.virtual_memory().available
        need = _STATES * 4 * weights  # bytes of weights, gradients and the two moments of Adam
        if need > most:
            raise InputError(
                f"{self.spec.label} has {weights / 2**30:.1f} GiB of weights on {case.size}, so its checks need about "
                f"{need / 2**30:.0f} GiB of memory, and {most / 2**30:.0f} GiB are available; check a smaller shape, "
                "or choose options that give fewer weights"
            )

    def verify(self, check: Check, case: Case | None) -> None:
        """Run one check; raise `Fault` if it fails, `Unmet` if it does not apply, `Caution` if it gives a warning."""
        result = self.result(check, case)
        if result is not None:
            raise result.with_traceback(None)

    def result(self, check: Check, case: Case | None) -> Result:
        """Return the result of one check, which runs only once."""
        case = case or self._smallest(check)
        key = (check.name, case)
        if key not in self._results:
            self._results[key] = self._examine(check, case)
        return self._results[key]

    def subject(self, case: Case) -> Subject:
        """Return the plugin on one case, releasing the models of the previous case."""
        if self._subject is None or self._subject.case != case:
            plugin, device = self._load(), environment.choose_device(self.device_name)
            self._subject = Subject(plugin, self.spec.options, case, device, others=self._others)
        return self._subject

    def _load(self) -> Plugin:
        if self._plugin is None:
            try:
                found = finding.find(self.spec)
            except InputError as error:
                raise Fault(
                    "a model that can be found", str(error), "install its distribution, or name its file"
                ) from error
            self._others = Others.now()
            self._plugin = module.load(found)
        return self._plugin

    def _examine(self, check: Check, case: Case) -> Result:
        for name in check.needs:
            try:
                self.verify(CHECKS[name], None if CHECKS[name].once else case)
            except Fault:
                return Unmet(f"needs {name}, which failed")
            except Caution:
                continue
            except Unmet as unmet:
                # A missing hook does not block other checks; refused items or an earlier fault do.
                if isinstance(unmet, Refused) or str(unmet).startswith("needs "):
                    return unmet
        try:
            device = environment.choose_device(self.device_name)
            with world.kept(), contextlib.nullcontext() if check.as_trained else repeatable(device):
                check.function(self.subject(case))
        except Refused as refusal:
            return refusal if any(self._refusal(other) is None for other in self.cases) else _refused_all(refusal)
        except (Caution, Fault, Unmet) as outcome:
            return outcome
        return None

    def _refusal(self, case: Case) -> Refused | None:
        """Return the refusal of a case by `build_model`, or None if it accepts the case."""
        if case not in self._refusals:
            self._refusals[case] = None
            device = environment.choose_device(self.device_name)
            try:
                with world.kept():
                    model = Subject(self._load(), self.spec.options, case, device).build()
                if isinstance(model, Model) and isinstance(model.networks, nn.Module):  # a check reports anything else
                    weights = [weight for weight in model.networks.parameters() if not is_lazy(weight)]
                    self._weights[case] = sum(weight.numel() * weight.element_size() for weight in weights)
            except Refused as refusal:
                self._refusals[case] = refusal
        return self._refusals[case]

    def _smallest(self, check: Check) -> Case:
        """Return the smallest case; for a check that builds a model, the smallest that the model accepts."""
        if check.needs not in ((), ("loads",)):
            with contextlib.suppress(Fault):
                return next((case for case in self.cases if self._refusal(case) is None), self.cases[0])
        return self.cases[0]


def _cases(shapes: Sequence[tuple[int, ...]]) -> Iterator[Case]:
    """Yield the cases kind by kind, in the order in which the kinds are named, small ones first."""
    labelled = [Case.of(shape, CLASSES) for shape in sorted(dict.fromkeys(shapes), key=math.prod)]
    for kind in dict.fromkeys(Case.of(shape, None).kind for shape in shapes):
        own = [case for case in labelled if case.kind == kind]
        # Labels and the size of items are independent, so one shape without labels is enough.
        yield replace(own[0], classes=None)
        yield from own


def _refused_all(refusal: Refused) -> Fault:
    return Fault(
        "a model for at least one of the shapes",
        f"that {refusal}",
        "accept any shape, or name another with --shape",
    )
