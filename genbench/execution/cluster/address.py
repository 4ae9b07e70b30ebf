"""The value of `--cluster`: the address of a scheduler, or its scheduler file."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from genbench.errors import InputError, quoted
from genbench.machine.regular_file import read_regular

__all__ = ["Address", "needs_extra"]

_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
MOST_CHARACTERS = 300  # the name of a host has 253 at most
_ENCRYPTED = ("tls", "wss")


@dataclass(frozen=True)
class Address:
    """Where a scheduler listens.

    Args:
        scheduler: such as `tcp://127.0.0.1:8786`.
        file: the scheduler file with this address, or None.
    """

    scheduler: str
    file: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `tcp://HOST:PORT`, `HOST:PORT` or the name of a scheduler file, which ends in `.json`.

        Raises:
            InputError: it is neither, or the file cannot be read.
        """
        if text.endswith(".json"):
            path = Path(os.path.expanduser(text))
            return cls(_checked(_in_file(path), text), path)
        return cls(_checked(text if "://" in text else f"tcp://{text}", text))

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is encrypted, and both sides show certificates."""
        return urlsplit(self.scheduler).scheme in _ENCRYPTED

    @property
    def warning(self) -> str | None:
        """A warning if other machines can reach the scheduler and the connection is unencrypted; None otherwise."""
        if self.is_encrypted or _is_loopback(urlsplit(self.scheduler).hostname or ""):
            return None
        return (
            f"{self.scheduler} is neither encrypted nor authenticated: whoever reaches it can run code as you; "
            "use tls:// (docs/cluster.md)"
        )


def _in_file(path: Path) -> str:
    try:
        address = json.loads(read_regular(path))["address"]
    except OSError as error:
        raise InputError(
            f"scheduler file {path} cannot be read: {error.strerror}; start the scheduler first"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not a scheduler file: it contains no address") from error
    return str(address)


def _checked(address: str, given: str) -> str:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port is not None
        # It is printed; and urlsplit passes over line breaks, which a connection does not.
        sound = sound and address.isprintable() and len(address) <= MOST_CHARACTERS
    except ValueError:
        sound = False
    if not sound:
        raise InputError(
            f"cluster {quoted(given)} is not an address; write tcp://HOST:PORT, tls://HOST:PORT or a scheduler file"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def needs_extra() -> InputError:
    """Return the error for an installation without the extra."""
    return InputError("--cluster needs the package distributed: pip install 'genbench[cluster]'")
