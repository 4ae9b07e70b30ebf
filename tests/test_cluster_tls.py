"""A cluster over TLS with a private certificate authority: Dask's configuration is all that it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

pytest.importorskip("distributed")
if shutil.which("openssl") is None:
    pytest.skip("openssl is not installed", allow_module_level=True)

import dask
from distributed import LocalCluster

from genbench.records.files import read_records

Command = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ["--budget", "2steps", "--seeds", "1", "--no-controls", "--metrics", "fd", "--samples", "60"]
QUICK += ["--evaluations", "1", "--out", "out"]
ELLIPTIC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the authority `ca`, `host` and `me` signed by it, and `forged` signed by the authority `other`."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl("req", "-x509", *ELLIPTIC, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    for name, by in (("host", "ca"), ("me", "ca"), ("forged", "other")):
        openssl("req", *ELLIPTIC, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial", "-out", f"{name}.pem"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed)
    return folder


def configured(folder: Path, ca: str = "ca", client: str | None = "me") -> Any:
    """Dask's configuration as set by the environment variables that docs/cluster.md names."""
    holders = {"SCHEDULER": "host", "WORKER": "host", "CLIENT": client}
    named = {"CA_FILE": folder / f"{ca}.pem"}
    for role, holder in holders.items():
        named |= {f"{role}__CERT": folder / f"{holder}.pem", f"{role}__KEY": folder / f"{holder}.key"} if holder else {}
    environment = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name, path in named.items()}
    if client is None:  # the cluster in this process has set the client's files; a user's process would not have them
        environment |= {f"DASK_DISTRIBUTED__COMM__TLS__CLIENT__{name}": "" for name in ("CERT", "KEY")}
    environment["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "true"
    with mock.patch.dict(os.environ, environment):
        return dask.config.set(dask.config.merge(dask.config.config, dask.config.collect_env()))


@pytest.fixture(scope="module")
def address(certificates: Path, warm_servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    where: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}
    where["local_directory"] = str(tmp_path_factory.mktemp("workers"))
    with configured(certificates), LocalCluster(processes=False, n_workers=1, protocol="tls://", **where) as cluster:
        yield cluster.scheduler_address


def test_a_benchmark_runs_over_tls(
    address: str, certificates: Path, command: Command, tiny: Path, tmp_path: Path
) -> None:
    assert address.startswith("tls://127.0.0.1:")
    with configured(certificates):
        ended = command("run", "-m", f"{tiny}:width=16", *QUICK, "--cluster", address, cwd=tmp_path)
    assert [record.finished for record in read_records(tmp_path / "out")] == [True]
    assert "neither encrypted nor authenticated" not in ended.stderr


@pytest.mark.parametrize(
    ("configuration", "scheme", "said"),
    [
        ({"ca": "other"}, "tls", "no scheduler answers at tls://{at} (TLS certificate does not match."),
        ({"client": "forged"}, "tls", "no scheduler answers at tls://{at} (in <TLS (closed)"),
        ({"client": None}, "tls", "tls://{at} needs TLS certificates, and Dask's configuration has none for a client"),
        ({"client": "nobody"}, "tls", "the TLS files in Dask's configuration (distributed.comm.tls) cannot be used"),
        ({}, "tcp", "tcp://{at} is not encrypted, as Dask's configuration requires"),
    ],
    ids=["wrong_authority", "forged_client", "no_client", "missing_file", "not_encrypted"],
)
def test_whoever_lacks_a_certificate_is_told_in_one_line(
    address: str,
    certificates: Path,
    command: Command,
    tiny: Path,
    tmp_path: Path,
    configuration: dict[str, Any],
    scheme: str,
    said: str,
) -> None:
    at = address.removeprefix("tls://")
    begin = time.monotonic()
    with configured(certificates, **configuration):
        asked = ["run", "-m", str(tiny), *QUICK, "--cluster", f"{scheme}://{at}"]
        (line,) = command(*asked, cwd=tmp_path, code=2).stderr.splitlines()
    assert line.startswith(f"genbench: {said.format(at=at)}")
    assert time.monotonic() - begin < 60
    assert not (tmp_path / "out").exists()
