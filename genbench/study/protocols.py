"""The table of protocols."""

from __future__ import annotations

from collections.abc import Mapping

from genbench.study.asking import Protocol
from genbench.study.choosing import PREFERENCE
from genbench.study.real_or_fake import REAL_OR_FAKE

__all__ = ["PROTOCOLS"]

PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (REAL_OR_FAKE, PREFERENCE)}
