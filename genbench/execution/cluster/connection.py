"""How the executor connects to a cluster: its scheduler, and whether its workers have genbench."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from distributed import Client, Security
from distributed.versions import VersionMismatchWarning

from genbench.errors import InputError, shortened
from genbench.execution.cluster.address import Address

__all__ = ["connect", "differences", "probe", "refuse"]

CONNECT_S = 6.0  # for a scheduler to answer; with what comes before and after, less than ten
MOST_LINES = 20  # of differences
# Evaluated on a worker before any genbench code is sent there.
PROBE = "(lambda find: bool(find('genbench') and find('genbench.execution') and find('genbench.execution.cluster')))"
PROBE += "(__import__('importlib.util').util.find_spec)"


class _Client(Client):
    """Is closed explicitly: one that failed halfway would wait for itself when it is discarded, and complain."""

    def __del__(self) -> None:
        pass


def connect(address: Address) -> Client:
    """Return a client of the scheduler.

    Raises:
        InputError: no scheduler answers, or Dask's configuration does not allow the address.
    """
    _check_security(address)
    where: dict[str, Any] = {"address": address.scheduler}
    if address.file is not None:
        where = {"scheduler_file": str(address.file)}
    try:
        with warnings.catch_warnings():
            # The versions that matter are checked later, with our own messages.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client: Client = _Client(  # type: ignore[no-untyped-call]  # Dask's own is not annotated
                **where, timeout=CONNECT_S, set_as_default=False, name="genbench"
            )
            return client
    except Exception as error:  # whatever comes of what another program answers there
        raise _unanswered(address, error) from error


def _unanswered(address: Address, error: Exception) -> InputError:
    why = shortened(str(error).strip().partition("\n")[0], 200)
    remedy = "check both sides' TLS certificates, or start one with: dask scheduler --protocol tls"
    if not address.is_encrypted:
        remedy = "start one with: dask scheduler"
    return InputError(f"no scheduler answers at {address.scheduler} ({why}); {remedy}")


def _check_security(address: Address) -> None:
    """Raise `InputError` if Dask's configuration rules the address out, where a client would fail and hang."""
    security = Security()
    try:
        context = security.get_connection_args("client")["ssl_context"]
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"the TLS files in Dask's configuration (distributed.comm.tls) cannot be used: {error}"
        ) from error
    if address.is_encrypted and context is None:
        raise InputError(
            f"{address.scheduler} needs TLS certificates, and Dask's configuration has none for a client: "
            "set distributed.comm.tls.ca-file, client.cert and client.key (docs/cluster.md)"
        )
    if not address.is_encrypted and security.require_encryption:
        raise InputError(
            f"{address.scheduler} is not encrypted, as Dask's configuration requires "
            "(distributed.comm.require-encryption); use tls://"
        )


def probe(client: Client) -> None:
    """Check, without relying on genbench there, that every worker has genbench.

    Raises:
        InputError: a worker does not have it.
    """
    found = client.run(eval, PROBE, on_error="return")
    refuse(
        [
            f"{address}: genbench with its cluster part is not installed there; install the version used here"
            for address, there in found.items()
            if there is not True
        ]
    )


def refuse(lines: Sequence[str]) -> None:
    """Raise `InputError` if there are any differences, with one line for each."""
    if lines:
        more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        raise InputError(
            "workers of the cluster are unsuitable:", *(f"\t{each}" for each in [*lines[:MOST_LINES], *more])
        )


def differences(first: Any, other: Any, name: str = "") -> str:
    """Return a description of the first difference between two answers of plain values."""
    if isinstance(first, dict) and isinstance(other, dict):
        for key in [*first, *(key for key in other if key not in first)]:
            if first.get(key) != other.get(key):
                return differences(first.get(key), other.get(key), f"{name} {key}".strip())
    return f"its {name} is {shortened(repr(other), 80)}, of others {shortened(repr(first), 80)}"
