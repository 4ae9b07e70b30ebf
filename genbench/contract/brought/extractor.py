"""The contract for extractors: the same features for an item every time, from weights with an identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genbench import seeding
from genbench.contract.brought.suite import LOADS, Suite, Trial, stir
from genbench.contract.case import CLASSES, Case
from genbench.contract.check import Check
from genbench.contract.fault import Fault, Unmet, calling
from genbench.contract.items import check_floats
from genbench.errors import Unsuitable
from genbench.features.brought import same_features, weights_sha256
from genbench.kinds import kind_named
from genbench.kinds.kind import Kind
from genbench.plugin import options, world
from genbench.plugin.families import EXTRACTOR
from genbench.plugin.loading import Plugin

__all__ = ["SUITE"]

HOOK = EXTRACTOR.hook
FORWARD = "the network"
SHAPES = ((1, 8, 8), (3, 32, 32), (12,), (2, 300))  # small items of each kind, images grey and in colour
COUNT = 5  # items per batch
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Built:
    """The network for items of one shape, and some such items.

    Args:
        case: the kind and shape of the items.
        kind: of the items.
        network: as the hook returned it, in evaluation mode.
        items: (5, ...) random, in stored form.
    """

    case: Case
    kind: Kind
    network: nn.Module
    items: Tensor


class ExtractorTrial(Trial):
    """An extractor under test; its networks for small items of each kind are built once.

    Its only option is `weights=FILE`, which corresponds to `--weights`.
    """

    def __init__(self, plugin: Plugin, given: Mapping[str, Any]) -> None:
        super().__init__(plugin, given)
        self._built: list[Built] = []
        self._refusals: list[str] = []

    @property
    def networks(self) -> list[Built]:
        """The networks for the items that it accepts; raise `Fault` if it accepts none."""
        if not self._built and not self._refusals:
            self._built = [found for shape in SHAPES if (found := self._try(Case.of(shape, CLASSES))) is not None]
        if not self._built:
            raise Fault(
                "a network for items of at least one kind", f"only refusals: {self._refusals[0]}", "accept small items"
            )
        return self._built

    def _try(self, case: Case) -> Built | None:
        kind, shape = kind_named(case.kind), torch.Size(case.shape)
        try:
            network = self.build(case)
        except Unsuitable as reason:
            self._refusals.append(f"{case.size} {kind.noun}: {options.reason_of(reason)}")
            return None
        return Built(case, kind, network, kind.random(COUNT, shape, seeding.generator(0, "contract", "items")))

    def build(self, case: Case) -> nn.Module:
        """Build a network after seeding torch's global generator, in the same way as when features are extracted."""
        strange = sorted(self.given.keys() - {"weights"})
        if strange:
            raise Fault("no options but weights=FILE", f"{strange[0]}=", "leave it out")
        seeding.seed_global(0, "extractor")
        data = kind_named(case.kind).data(case.shape, 100, case.classes)
        weights = Path(str(self.given["weights"])) if "weights" in self.given else None
        refusal = None
        with calling(HOOK, self.home):
            try:
                network = getattr(self.plugin.hook, HOOK)(data=data, weights=weights, device=CPU)
            except Unsuitable as reason:
                refusal = reason
        if refusal is not None:
            raise refusal
        if not isinstance(network, nn.Module):
            raise Fault(f"{HOOK} to return a torch.nn.Module", type(network).__name__, "return the network itself")
        return network.requires_grad_(False).eval()

    def run(self, built: Built, items: Tensor, network: nn.Module | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the features of stored items, and the logits if there are any; raise `Fault` if they are invalid."""
        with calling(f"{FORWARD} on {built.case.size} {built.kind.noun}", self.home), torch.inference_mode():
            returned = (network or built.network)(built.kind.deliver(items))
        pair = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        features = _wide(check_floats(FORWARD, pair[0], (len(items), "D"), CPU).float(), "D")
        if pair[1] is None:
            return features, None
        return features, _wide(check_floats(FORWARD, pair[1], (len(items), "K"), CPU).float(), "K")


def _wide(found: Tensor, width: str) -> Tensor:
    if not found.shape[1]:
        raise Fault(
            f"{FORWARD} to return ({len(found)}, {width})", str(tuple(found.shape)), "return at least one column"
        )
    return found


def builds(trial: ExtractorTrial) -> None:
    """`build_extractor` returns a network for small items, and raises `Unsuitable` for unsupported items."""
    assert trial.networks


def gives_features(trial: ExtractorTrial) -> None:
    """The network returns finite floats (B, D), optionally with logits (B, K), of constant width."""
    for built in trial.networks:
        widths = {count: _widths(trial.run(built, built.items[:count])) for count in (COUNT, 2, 1)}
        if len(set(widths.values())) > 1:
            raise Fault(
                f"the same widths for every batch of {built.case.size} {built.kind.noun}",
                ", ".join(f"{found} of {count} items" for count, found in widths.items()),
                "do not let any size depend on the batch size",
            )


def _widths(returned: tuple[Tensor, Tensor | None]) -> str:
    features, logits = returned
    return f"{features.shape[1]} features" + ("" if logits is None else f" and {logits.shape[1]} logits")


def stays_finite(trial: ExtractorTrial) -> None:
    """Features of constant items, as a collapsed model draws them, are finite."""
    for built in trial.networks:
        for value in (int(built.items.min()), int(built.items.max())):
            trial.run(built, torch.full_like(built.items, value))


def repeats(trial: ExtractorTrial) -> None:
    """The same batch gives the same features, bit for bit, even from a newly built network."""
    for built in trial.networks:
        features, again = (trial.run(built, built.items)[0] for _ in range(2))
        if not torch.equal(features, again):
            raise Fault(
                "the same features twice",
                "different features the second time",
                "draw no random numbers and keep no state in forward",
            )
        stir()
        anew = trial.run(built, built.items, trial.build(built.case))[0]
        if not torch.equal(features, anew):
            raise Fault(
                "the same features from a newly built network",
                "others",
                "draw initial weights from torch's global generator, which is seeded, or from one that you seed",
            )


def ignores_the_batch(trial: ExtractorTrial) -> None:
    """An item's features do not depend on the rest of its batch."""
    for built in trial.networks:
        features = trial.run(built, built.items)[0]
        alone = torch.cat([trial.run(built, item[None])[0] for item in built.items])
        turned = trial.run(built, built.items.flip(0))[0].flip(0)
        for what, other in (("alone", alone), ("in another order", turned)):
            if not same_features(features, other):
                raise Fault(
                    "features that do not depend on the batch",
                    f"others of {built.case.size} {built.kind.noun} {what}",
                    "normalise by constants or over the item itself, never over the batch",
                )


def has_identity(trial: ExtractorTrial) -> None:
    """The weights have a reproducible identity, which a forward pass does not change."""
    for built in trial.networks:
        for owner, name in _hidden(built.network):
            raise Fault(
                "weights that are parameters or buffers",
                f"{type(owner).__name__}.{name} that is neither",
                "use nn.Parameter, register_buffer or nn.ModuleList: other tensors are not part of the identity",
            )
        network = trial.build(built.case)
        known = weights_sha256(network)
        stir()
        if weights_sha256(trial.build(built.case)) != known:
            raise Fault("the same weights each time", "different ones in a new network", "seed their generator")
        trial.run(built, built.items, network)
        if weights_sha256(network) != known:
            raise Fault(
                "weights that stay the same",
                "different ones after a forward pass",
                "change no parameter or buffer in forward",
            )


def _hidden(network: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield tensors and modules that torch does not register: those in plain attributes, or in lists of them."""
    seen = {id(each) for each in (*network.parameters(), *network.buffers(), *network.modules())}
    for module in network.modules():
        for name, value in vars(module).items():
            held = list(value.values()) if isinstance(value, dict) else value
            each_of_it = held if isinstance(held, list | tuple) else [held]
            if any(isinstance(each, Tensor | nn.Module) and id(each) not in seen for each in each_of_it):
                yield module, name


def follows_weights(trial: ExtractorTrial) -> None:
    """Different weights have a different identity and give different features."""
    for built in trial.networks:
        network = trial.build(built.case)
        floats = [weight for weight in network.parameters() if weight.is_floating_point() and weight.numel()]
        if not floats:
            raise Unmet("it has no parameters: its identity is its code's")
        before = trial.run(built, built.items, network)[0]
        known = weights_sha256(network)
        with torch.no_grad():
            for weight in floats:
                weight.mul_(1.5).add_(0.01)
        with torch.inference_mode():
            after = network(built.kind.deliver(built.items))
        after = after[0] if isinstance(after, tuple) else after
        if weights_sha256(network) == known or torch.equal(before, after.float()):
            raise Fault(
                "different features from different weights",
                "the same features",
                "compute them with the module's own parameters, not with a copy",
            )


def leaves_state_alone(trial: ExtractorTrial) -> None:
    """Building and running leave global state unchanged, and running also leaves random generators unchanged."""
    for built in trial.networks:
        with world.noting() as building, world.importing():  # initial weights may be drawn from global generators
            trial.build(built.case)
        with world.noting() as running:
            trial.run(built, built.items)
        changed = [*building, *running]
        if changed:
            raise Fault(
                "unchanged global state",
                f"that it changed {'; '.join(changed)}",
                "draw no random numbers in forward, and restore what you set",
            )


_GIVES = ("loads", "builds", "features")
SUITE = Suite(
    EXTRACTOR,
    (
        *LOADS,
        Check("builds", builds, needs=("loads",), once=True),
        Check("features", gives_features, needs=("loads", "builds"), once=True),
        Check("finite", stays_finite, needs=_GIVES, once=True),
        Check("repeats", repeats, needs=_GIVES, once=True),
        Check("batch", ignores_the_batch, needs=(*_GIVES, "repeats"), once=True),
        Check("weights", has_identity, needs=(*_GIVES, "repeats"), once=True),
        Check("follows_weights", follows_weights, needs=(*_GIVES, "repeats", "weights"), once=True),
        Check("global_state", leaves_state_alone, needs=(*_GIVES, "repeats"), once=True),
    ),
    ExtractorTrial,
)
