"""The plugins other than models, as lists show them: read from metadata, without importing any."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from genbench.plugin.families import Family
from genbench.plugin.finding import Found, installed

__all__ = ["Offer", "offers"]


@dataclass(frozen=True)
class Offer:
    """One plugin in a list.

    Args:
        found: the plugin.
        fault: why it cannot be used as it is, on one line; empty if no fault is known.
    """

    found: Found
    fault: str

    @property
    def origin(self) -> str:
        """The distribution with its version, and the fault, if any."""
        text = f"{self.found.distribution} {self.found.version}"
        return f"{text}; {self.fault}" if self.fault else text


def offers(family: Family, own: Collection[str] = ()) -> Iterator[Offer]:
    """Yield every installed plugin of a family, by name.

    Args:
        family: of the plugins.
        own: names that genbench itself uses, which take precedence.
    """
    for found in installed(family=family).values():
        for each in found:
            yield Offer(each, _fault(each, found, own))


def _fault(found: Found, all_of_it: list[Found], own: Collection[str]) -> str:
    if found.root() is None:
        return f"its module {found.target!r} is missing; reinstall {found.distribution}"
    if found.name in own:
        return f"not used, because genbench has its own {found.name}"
    if len(all_of_it) > 1:
        others = " and ".join(each.distribution for each in all_of_it if each is not found)
        return f"also offered by {others}; choose one with --plugins-from"
    return ""
