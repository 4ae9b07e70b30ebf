"""Weights on disk: identity, faults, download, and what may be called official. The architecture here is tiny."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genbench.errors import InputError
from genbench.features import inception_file, inception_weights
from genbench.features.inception_weights import InceptionWeights, find_weights
from genbench.features.weight_file import check_shapes, content_sha256, read_tensors

SHAPES: dict[str, tuple[int, ...]] = {"conv.weight": (2, 3, 1, 1), "fc.bias": (4,)}


def weights(seed: int = 0) -> dict[str, Tensor]:
    randomness = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=randomness) for name, shape in SHAPES.items()}


@pytest.fixture(autouse=True)
def published(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny published file in place of Inception's, and a URL that leads nowhere."""
    path = tmp_path_factory.mktemp("published") / "w.pth"
    torch.save(weights(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    file = dataclasses.replace(inception_file.PUBLISHED, sha256=sha256)
    monkeypatch.setattr(inception_file, "PUBLISHED", file)
    monkeypatch.setattr(inception_weights, "parameter_shapes", lambda: SHAPES)
    monkeypatch.setenv("GENBENCH_INCEPTION_URL", "http://127.0.0.1:9/w.pth")  # nothing listens there
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return path


@dataclasses.dataclass
class Server:
    body: bytes = b""
    claimed: int | None = None  # the length that it announces, if not the true one
    status: int = 200
    requests: int = 0


@pytest.fixture
def server(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(published.read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            self.send_response(state.status)
            self.send_header("Content-Length", str(state.claimed or len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *arguments: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("GENBENCH_INCEPTION_URL", f"http://127.0.0.1:{running.server_port}/w.pth")
    yield state
    running.shutdown()
    running.server_close()
    thread.join()


def find(cache: Path, given: Path | None = None, download: bool = True) -> InceptionWeights:
    return find_weights(given, cache, download=download, progress=None)


def files(cache: Path) -> set[str]:
    return {path.name for path in (cache / "weights").iterdir()} if (cache / "weights").exists() else set()


def fault(cache: Path, given: Path | None = None, download: bool = True) -> str:
    with pytest.raises(InputError) as caught:
        find(cache, given, download)
    assert "\n" not in str(caught.value)
    return str(caught.value)


KEPT = "inception-2015-12-05.safetensors"
PUBLISHED_NAME = "weights-inception-2015-12-05-6726825d.pth"


def test_the_real_file_is_the_one_that_the_peers_fetch() -> None:
    assert inception_file.PUBLISHED.url.endswith(f"/v0.2.0/{PUBLISHED_NAME}")
    peer = find_spec("torch_fidelity")
    if peer is None or peer.origin is None:
        pytest.skip("torch-fidelity is not installed")
    source = (Path(peer.origin).parent / "feature_extractor_inceptionv3.py").read_text()
    assert inception_file.PUBLISHED.url in source


def test_identity_is_of_the_content_not_the_container(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "a.pth")
    save_file(weights(), tmp_path / "b.safetensors", metadata={"note": "other"})
    counted = weights() | {"bn.num_batches_tracked": torch.tensor(7)}
    torch.save(dict(reversed(counted.items())), tmp_path / "c.pth")
    identities = {content_sha256(read_tensors(path, "w")) for path in sorted(tmp_path.iterdir())}
    assert identities == {content_sha256(weights())}


@pytest.mark.parametrize(
    "changed",
    [
        weights(1),
        weights() | {"fc.bias": weights()["fc.bias"].reshape(2, 2)},
        {"conv.weights" if name == "conv.weight" else name: value for name, value in weights().items()},
    ],
    ids=["values", "shape", "name"],
)
def test_identity_changes_with_the_content(changed: dict[str, Tensor]) -> None:
    assert content_sha256(changed) != content_sha256(weights())


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the file has run code')",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pth", None, "inception weights: no file "),
        ("a.pth", b"these are no weights", "is not a PyTorch checkpoint of plain tensors or is damaged"),
        ("a.pth", pickle.dumps(_Code()), "is not a PyTorch checkpoint of plain tensors or is damaged"),
        ("a.pth", b"", "is not a PyTorch checkpoint of plain tensors or is damaged"),
        ("a.safetensors", b"\x10\0\0\0\0\0\0\0{}", "is not a safetensors file or is damaged"),
        (
            "a.pth",
            {"state_dict": weights(), "epoch": 3},
            "does not map names to tensors; save only `network.state_dict()`",
        ),
        ("a.pth", [torch.zeros(1)], "does not map names to tensors"),
        ("a.pth", {"fc.bias": torch.zeros(4)}, "weights of another architecture: missing conv.weight"),
        ("a.pth", weights() | {"aux.bias": torch.zeros(1)}, "another architecture: unexpected aux.bias"),
        ("a.pth", weights() | {"fc.bias": torch.zeros(9)}, "architecture: fc.bias is (9,), expected (4,)"),
    ],
)
def test_a_file_that_will_not_do_is_one_line(name: str, content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    line = fault(tmp_path, given=path)
    assert message in line
    assert str(path) in line


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.symlink_to(path.name)
    assert f"no file {path}" in fault(tmp_path, given=path)


def test_a_long_list_of_differences_is_cut_short() -> None:
    with pytest.raises(InputError, match=r"missing w0, w1, w2 and 5 more$"):
        check_shapes({}, {f"w{index}": (1,) for index in range(8)}, "weights")


def test_other_weights_of_this_architecture_are_taken_but_not_official(tmp_path: Path) -> None:
    torch.save(weights(1), tmp_path / "mine.pth")
    found = find(tmp_path, given=tmp_path / "mine.pth")
    assert not found.official
    assert found.sha256 == content_sha256(weights(1))


def test_the_published_file_is_official_wherever_it_lies(published: Path, tmp_path: Path) -> None:
    assert find(tmp_path, given=published).official


def test_fetched_once_and_kept_as_safetensors(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    found = find_weights(None, tmp_path, download=True, progress=lambda *args: seen.append(args))
    assert found.official
    assert found.sha256 == content_sha256(weights())
    assert seen[-1] == ("downloading inception weights", len(server.body), len(server.body))
    assert files(tmp_path) == {KEPT}
    again = find(tmp_path, download=False)
    assert (again.official, again.sha256, server.requests) == (True, found.sha256, 1)
    assert find(tmp_path, given=tmp_path / "weights" / KEPT).official


def test_several_that_fetch_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    found: list[InceptionWeights] = []
    threads = [threading.Thread(target=lambda: found.append(find(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert server.requests == 1


def test_a_fetched_file_with_the_wrong_hash_is_deleted(server: Server, tmp_path: Path) -> None:
    expected, server.body = inception_file.PUBLISHED.sha256, b"something else"
    line = fault(tmp_path)
    assert f"has SHA-256 {hashlib.sha256(server.body).hexdigest()}, expected {expected}" in line
    assert files(tmp_path) == set()


def test_a_connection_that_breaks_off_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.claimed = len(server.body) + 1000
    assert f"the connection closed after {len(server.body):,} of {server.claimed:,} bytes" in fault(tmp_path)
    assert files(tmp_path) == set()


def test_a_server_that_has_no_such_file(server: Server, tmp_path: Path) -> None:
    server.status = 404
    assert "HTTP Error 404" in fault(tmp_path)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("download", [True, False])
def test_without_a_network_the_line_says_where_the_file_goes(download: bool, tmp_path: Path) -> None:
    line = fault(tmp_path, download=download)
    assert ("cannot download http://127.0.0.1:9/w.pth" in line) == download
    assert f"put it at {tmp_path / 'weights' / PUBLISHED_NAME}, or pass its path with --weights" in line
    assert inception_file.PUBLISHED.url in line


def test_a_file_put_there_by_hand_is_used_and_kept(published: Path, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    placed = tmp_path / "weights" / PUBLISHED_NAME
    placed.write_bytes(published.read_bytes())
    assert find(tmp_path, download=False).official
    assert files(tmp_path) == {KEPT, PUBLISHED_NAME}


def test_a_wrong_file_put_there_by_hand_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    placed = tmp_path / "weights" / PUBLISHED_NAME
    placed.write_bytes(b"another file")
    assert f"{placed} (delete it, or put the right one there) has SHA-256" in fault(tmp_path)
    assert placed.read_bytes() == b"another file"


@pytest.mark.parametrize("damage", ["content", "metadata", "cut"])
def test_a_damaged_copy_in_the_cache_is_fetched_again(damage: str, server: Server, tmp_path: Path) -> None:
    find(tmp_path)
    kept = tmp_path / "weights" / KEPT
    content = bytearray(kept.read_bytes())
    if damage == "content":
        content[-3] ^= 1
    elif damage == "metadata":
        content = content.replace(inception_file.PUBLISHED.sha256.encode(), b"0" * 64)
    kept.write_bytes(content[:50] if damage == "cut" else content)
    assert find(tmp_path).sha256 == content_sha256(weights())
    assert server.requests == 2


def test_metadata_of_a_file_from_elsewhere_makes_nothing_official(server: Server, tmp_path: Path) -> None:
    find(tmp_path)
    forged = tmp_path / "forged.safetensors"
    forged.write_bytes((tmp_path / "weights" / KEPT).read_bytes())  # claims to be the published file
    assert not find(tmp_path, given=forged).official


def test_a_cache_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "cannot download" in fault(tmp_path / "file")
    assert server.requests == 0
