"""The datasets that torchvision reads, and CelebA: downloads from a local server, reading, and every fault."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.datasets import SOURCES, load, presence_of
from genbench.errors import InputError
from genbench.machine.torchvision_import import import_torchvision

TRAIN, HELD_OUT = 12, 5


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "data"


@dataclass
class Server:
    """Serves `files` on 127.0.0.1; `asked` lists the requested paths."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut_short: bool = False


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            served.asked.append(name)
            if name not in served.files:
                self.send_error(404)
                return
            body = served.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if served.cut_short else body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Server(f"http://127.0.0.1:{http.server_port}/")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@pytest.fixture
def closed_url() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/"


# Small files in the formats of the real ones


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(256, size=(count, *shape), dtype=np.uint8)


def labels(count: int, classes: int = 10) -> np.ndarray:
    return (np.arange(count) % classes).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


Patch = Callable[[object, str, object], None]


def publish_mnist(kind: type, url: str, patch: Patch) -> dict[str, bytes]:
    files = {
        f"{split}-{what}.gz": gzip.compress(idx(data))
        for split, count in (("train", TRAIN), ("t10k", HELD_OUT))
        for what, data in (("images-idx3-ubyte", pixels(count, 28, 28)), ("labels-idx1-ubyte", labels(count)))
    }
    patch(kind, "mirrors", [url])
    patch(kind, "resources", [(name, md5(data)) for name, data in files.items()])
    return files


def publish_emnist(kind: type, url: str, patch: Patch) -> dict[str, bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for split, count in (("train", TRAIN), ("test", HELD_OUT)):
            for what, data in (("images-idx3-ubyte", pixels(count, 28, 28)), ("labels-idx1-ubyte", labels(count, 47))):
                archive.writestr(f"gzip/emnist-balanced-{split}-{what}.gz", gzip.compress(idx(data)))
    patch(kind, "url", f"{url}gzip.zip")
    patch(kind, "md5", md5(buffer.getvalue()))
    return {"gzip.zip": buffer.getvalue()}


def publish_cifar(kind: type, url: str, patch: Patch) -> dict[str, bytes]:
    label_key = "labels" if kind.meta["key"] == "label_names" else "fine_labels"
    files, sums = {}, {}
    for names, total in ((kind.train_list, TRAIN), (kind.test_list, HELD_OUT)):
        images, known = pixels(total, 3, 32, 32).reshape(total, -1), labels(total).tolist()
        bounds = np.linspace(0, total, len(names) + 1).astype(int)
        for (name, _), start, stop in zip(names, bounds, bounds[1:], strict=False):
            files[name] = pickle.dumps({"data": images[start:stop], label_key: known[start:stop]})
            sums[name] = md5(files[name])
    files[kind.meta["filename"]] = pickle.dumps({kind.meta["key"]: [f"thing {label}" for label in range(10)]})
    patch(kind, "train_list", [[name, sums[name]] for name, _ in kind.train_list])
    patch(kind, "test_list", [[name, sums[name]] for name, _ in kind.test_list])
    patch(kind, "meta", kind.meta | {"md5": md5(files[kind.meta["filename"]])})
    archive = tar({f"{kind.base_folder}/{name}": data for name, data in files.items()})
    patch(kind, "url", f"{url}{kind.filename}")
    patch(kind, "tgz_md5", md5(archive))
    return {kind.filename: archive}


def publish_svhn(kind: type, url: str, patch: Patch) -> dict[str, bytes]:
    from scipy.io import savemat

    files, splits = {}, {}
    for split, count in (("train", TRAIN), ("test", HELD_OUT)):
        buffer = io.BytesIO()
        marks = np.where(labels(count) == 0, 10, labels(count))  # SVHN's files store the digit 0 as 10
        savemat(buffer, {"X": pixels(count, 3, 32, 32).transpose(2, 3, 1, 0), "y": marks[:, None]})
        name = f"{split}_32x32.mat"
        files[name] = buffer.getvalue()
        splits[split] = [f"{url}{name}", name, md5(files[name])]
    patch(kind, "split_list", splits)
    return files


def publish_stl10(kind: type, url: str, patch: Patch) -> dict[str, bytes]:
    files = {"unlabeled_X.bin": b"", "class_names.txt": "\n".join(f"thing {label}" for label in range(10)).encode()}
    for split, count in (("train", TRAIN), ("test", HELD_OUT)):
        files[f"{split}_X.bin"] = pixels(count, 3, 96, 96).swapaxes(2, 3).tobytes()
        files[f"{split}_y.bin"] = (labels(count) + 1).tobytes()
    patch(kind, "train_list", [[name, md5(files[name])] for name, _ in kind.train_list])
    patch(kind, "test_list", [[name, md5(files[name])] for name, _ in kind.test_list])
    archive = tar({f"{kind.base_folder}/{name}": data for name, data in files.items()})
    patch(kind, "url", f"{url}{kind.filename}")
    patch(kind, "tgz_md5", md5(archive))
    return {kind.filename: archive}


SETS = {
    "mnist": ("MNIST", publish_mnist, (1, 28, 28)),
    "fashion-mnist": ("FashionMNIST", publish_mnist, (1, 28, 28)),
    "kmnist": ("KMNIST", publish_mnist, (1, 28, 28)),
    "emnist": ("EMNIST", publish_emnist, (1, 28, 28)),
    "cifar10": ("CIFAR10", publish_cifar, (3, 32, 32)),
    "cifar100": ("CIFAR100", publish_cifar, (3, 32, 32)),
    "svhn": ("SVHN", publish_svhn, (3, 32, 32)),
    "stl10": ("STL10", publish_stl10, (3, 96, 96)),
}


@pytest.fixture
def publish(server, monkeypatch):
    """Make a dataset's small files, point torchvision's addresses at `url`, and serve the files."""

    def do(name: str, url: str | None = None) -> None:
        class_name, make, _ = SETS[name]
        kind = getattr(import_torchvision().datasets, class_name)
        server.files |= make(kind, url or server.url, monkeypatch.setattr)

    return do


def fault(name: str, root: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        load(name, data_root=root, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"dataset {name!r}: ")
    return message.removeprefix(f"dataset {name!r}: ")


# Downloading and reading


@pytest.mark.parametrize("name", SETS)
def test_a_dataset_is_downloaded_unpacked_and_read(name, publish, server, root, cache, capfd, monkeypatch):
    publish(name)
    seen: list[tuple[int, int]] = []
    dataset = load(name, data_root=root, progress=lambda done, total: seen.append((done, total)))
    shape = SETS[name][2]
    assert dataset.shape == torch.Size(shape)
    for split, count in ((dataset.train, TRAIN), (dataset.held_out, HELD_OUT)):
        expected = torch.from_numpy(pixels(count, *shape))
        # EMNIST's files store images transposed; they are turned upright.
        assert torch.equal(split.items, expected.mT if name == "emnist" else expected)
        assert split.items.is_contiguous()
        assert split.labels.tolist() == labels(count, 47 if name == "emnist" else 10).tolist()
    assert dataset.classes == {"emnist": 47}.get(name, 10)
    assert max(done for done, _ in seen) == max(map(len, server.files.values()))
    assert capfd.readouterr() == ("", "")

    # Now it is on disk: the network is not used again, and while it is cached, neither is torchvision.
    assert presence_of(name, root).available
    server.files.clear()
    server.asked.clear()
    assert load(name, data_root=root, download=False).fingerprint == dataset.fingerprint
    monkeypatch.setenv("GENBENCH_CACHE", str(cache / "fresh"))
    assert load(name, data_root=root).fingerprint == dataset.fingerprint
    assert server.asked == []


def test_archives_that_were_put_in_place_by_hand_need_no_network(publish, server, root, closed_url):
    publish("cifar10", closed_url)
    root.mkdir()
    (root / "cifar-10-python.tar.gz").write_bytes(server.files["cifar-10-python.tar.gz"])
    assert len(load("cifar10", data_root=root, download=False).train) == TRAIN


def test_data_that_is_there_is_only_read(publish, root, monkeypatch, tmp_path):
    publish("cifar100")
    load("cifar100", data_root=root)
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "another"))
    load("cifar100", data_root=root, image_size=16)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


def test_data_in_another_size_are_not_taken_from_the_cache_of_the_first(publish, root):
    publish("cifar100")
    for size in (16, None, 8, 16):
        assert load("cifar100", data_root=root, image_size=size).shape == torch.Size([3, size or 32, size or 32])


def test_data_in_two_folders_are_cached_side_by_side(publish, root, tmp_path, monkeypatch):
    publish("mnist")
    roots = (root, tmp_path / "other")
    for each in roots:
        load("mnist", data_root=each)
    monkeypatch.setattr("genbench.datasets.torchvision_sets._plan", lambda *_: pytest.fail("decoded twice"))
    assert load("mnist", data_root=roots[0]).fingerprint == load("mnist", data_root=roots[1]).fingerprint


def test_the_data_root_may_come_from_the_environment(publish, root, monkeypatch):
    publish("mnist")
    monkeypatch.setenv("GENBENCH_DATA", str(root))
    load("mnist")
    assert (root / "MNIST/raw/train-images-idx3-ubyte").is_file()


def test_changed_files_are_read_again(publish, root):
    publish("mnist")
    first = load("mnist", data_root=root)
    file = root / "MNIST/raw/t10k-labels-idx1-ubyte"
    file.write_bytes(idx(labels(HELD_OUT)[::-1].copy()))
    assert fault("mnist", root) == f"{file} is corrupt: it is not what {file}.gz holds; delete it and run again"
    file.with_name(f"{file.name}.gz").unlink()  # whoever changes a file on purpose also removes its archive
    second = load("mnist", data_root=root)
    assert second.fingerprint != first.fingerprint
    assert second.held_out.labels.tolist() == labels(HELD_OUT)[::-1].tolist()


def test_the_second_mirror_is_tried(publish, server, root, closed_url, monkeypatch):
    publish("mnist")
    monkeypatch.setattr(import_torchvision().datasets.MNIST, "mirrors", [closed_url, server.url])
    assert len(load("mnist", data_root=root).train) == TRAIN


# Faults


def test_no_network_says_what_is_missing_and_how_to_get_it(publish, root, closed_url):
    publish("mnist", closed_url)
    message = fault("mnist", root)
    assert message.startswith(f"{root}/MNIST/raw/train-images-idx3-ubyte is missing and could not be fetched (")
    assert f"({closed_url}train-images-idx3-ubyte.gz: [Errno " in message
    assert "Connection refused); put" in message
    assert message.endswith(
        "; put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        f"t10k-labels-idx1-ubyte.gz in {root}/MNIST/raw, "
        "or name the folder that holds the data with --data-root or $GENBENCH_DATA"
    )


@pytest.mark.parametrize("name", [*SETS, "celeba"])
def test_without_downloading_the_missing_file_is_named(name, root):
    message = fault(name, root, download=False)
    assert message.startswith(f"{root / SOURCES[name].files[0]} is missing and could not be fetched (downloading is")
    assert "--data-root or $GENBENCH_DATA" in message


def test_a_file_that_the_server_lacks(publish, server, root):
    publish("svhn")
    del server.files["test_32x32.mat"]
    message = fault("svhn", root)
    assert message.startswith(f"{root}/test_32x32.mat is missing and")
    assert f"({server.url}test_32x32.mat: HTTP Error 404: Not Found)" in message


def test_a_download_with_the_wrong_md5_is_not_kept(publish, server, root):
    publish("mnist")
    good = server.files["t10k-images-idx3-ubyte.gz"]
    bad = server.files["t10k-images-idx3-ubyte.gz"] = gzip.compress(b"something else")
    message = fault("mnist", root)
    assert f"{server.url}t10k-images-idx3-ubyte.gz: corrupt, its MD5 is {md5(bad)} and not {md5(good)}" in message
    assert not (root / "MNIST/raw/t10k-images-idx3-ubyte.gz").exists()
    assert not list(root.rglob(".partial-*"))
    server.files["t10k-images-idx3-ubyte.gz"] = good
    server.asked.clear()
    assert len(load("mnist", data_root=root).held_out) == HELD_OUT
    assert "train-images-idx3-ubyte.gz" not in server.asked  # files that had already arrived were kept


def test_a_download_that_is_cut_short_is_not_kept(publish, server, root):
    publish("cifar10")
    server.cut_short = True
    total = len(server.files["cifar-10-python.tar.gz"])
    assert f"cifar-10-python.tar.gz: the connection closed after {total // 2} of {total} bytes" in fault(
        "cifar10", root
    )
    assert not list(root.glob("*.tar.gz"))


@pytest.mark.parametrize("download", [False, True])
def test_a_corrupt_archive_on_the_disk_is_named(publish, server, root, closed_url, download):
    publish("cifar10", closed_url)
    archive = root / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(server.files[archive.name][:-10])
    good, bad = md5(server.files[archive.name]), md5(archive.read_bytes())
    assert f"({archive}: corrupt, its MD5 is {bad} and not {good}; " in fault("cifar10", root, download=download)


def test_a_corrupt_archive_is_fetched_again_where_there_is_a_network(publish, root):
    publish("cifar10")
    root.mkdir()
    (root / "cifar-10-python.tar.gz").write_bytes(b"rubbish")
    assert len(load("cifar10", data_root=root).train) == TRAIN


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar100", "cifar-100-python/meta"),
        ("svhn", "train_32x32.mat"),
        ("stl10", "stl10_binary/test_X.bin"),
    ],
)
def test_a_corrupt_file_with_a_known_md5_is_named(name, file, publish, root):
    publish(name)
    load(name, data_root=root)
    path = root / file
    good = md5(path.read_bytes())
    path.write_bytes(path.read_bytes() + b"!")
    expected = f"{path} is corrupt: its MD5 is {md5(path.read_bytes())} and not {good}; delete it and run again"
    assert fault(name, root) == expected


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: data[:2], lambda data: b"\x1f\x8b" + data])
def test_a_corrupt_idx_file_is_named(damage, publish, root):
    publish("mnist")
    load("mnist", data_root=root)
    path = root / "MNIST/raw/t10k-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    assert fault("mnist", root) == f"{path} is corrupt: it is not as long as its header says; delete it and run again"


def test_labels_that_do_not_match_the_images(publish, root):
    publish("mnist")
    load("mnist", data_root=root)
    (root / "MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(idx(labels(HELD_OUT + 1)))
    assert fault("mnist", root).startswith(f"its files in {root} hold more labels than images, or fewer")


def test_a_data_root_that_cannot_be_written(publish, tmp_path):
    publish("mnist")
    (tmp_path / "file").touch()
    assert "Not a directory" in fault("mnist", tmp_path / "file" / "data")


# CelebA


def make_celeba(root: Path, train: int = 6, held_out: int = 3) -> list[int]:
    """Write faces that are one grey in the central 140 × 140 and white at the margin; return the greys in order."""
    (root / "celeba/img_align_celeba").mkdir(parents=True)
    rows, greys = [], {}
    for number in range(train + held_out + 2):
        pixels = np.full((218, 178, 3), 255, np.uint8)
        greys[number] = 10 * number
        pixels[31:187, 11:167] = greys[number]  # wider than the crop by a whole JPEG block
        Image.fromarray(pixels).save(root / f"celeba/img_align_celeba/{number:06}.jpg", quality=95)
        split = 0 if number < train else 1 if number < train + 2 else 2
        rows.append(f"{number:06}.jpg {split}")
    (root / "celeba/list_eval_partition.txt").write_text("\n".join(rows) + "\n")
    return [greys[number] for number in range(train + held_out + 2) if not train <= number < train + 2]


def test_celeba_is_cropped_resized_and_split(root):
    greys = make_celeba(root)
    dataset = load("celeba", data_root=root)
    assert dataset.shape == torch.Size([3, 64, 64])
    assert (len(dataset.train), len(dataset.held_out), dataset.classes) == (6, 3, None)
    images = torch.cat([dataset.train.items, dataset.held_out.items])
    assert images.amax((1, 2, 3)).tolist() == pytest.approx(greys, abs=2)
    assert images.amin((1, 2, 3)).tolist() == pytest.approx(greys, abs=2)
    assert load("celeba", data_root=root, image_size=32).shape == torch.Size([3, 32, 32])


def test_celeba_is_decoded_once_without_torchvision(root, monkeypatch):
    make_celeba(root)
    first = load("celeba", data_root=root)
    monkeypatch.setattr("genbench.datasets.celeba.read_pixels", lambda *_: pytest.fail("decoded twice"))
    assert load("celeba", data_root=root).fingerprint == first.fingerprint


def test_celeba_in_two_folders_is_cached_side_by_side(root, tmp_path, monkeypatch):
    roots = {root: 6, tmp_path / "other": 5}
    for each, count in roots.items():
        make_celeba(each, train=count)
        load("celeba", data_root=each)
    monkeypatch.setattr("genbench.datasets.celeba.read_pixels", lambda *_: pytest.fail("decoded twice"))
    assert [len(load("celeba", data_root=each).train) for each in roots] == [6, 5]


def test_celeba_is_unpacked_from_its_zip(root):
    make_celeba(root)
    expected = load("celeba", data_root=root).fingerprint
    folder = root / "celeba/img_align_celeba"
    with zipfile.ZipFile(root / "celeba/img_align_celeba.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    folder.rmdir()
    assert load("celeba", data_root=root, download=False).fingerprint == expected
    assert not (root / "celeba/.unpacking").exists()


def test_a_damaged_zip_of_celeba(root):
    (root / "celeba").mkdir(parents=True)
    (root / "celeba/list_eval_partition.txt").write_text("000000.jpg 0\n")
    (root / "celeba/img_align_celeba.zip").write_bytes(b"no zip")
    message = fault("celeba", root)
    assert message.startswith(f"cannot unpack {root}/celeba/img_align_celeba.zip: File is not a zip file; ")


def test_a_failed_download_of_celeba(root, monkeypatch, capfd):
    class CelebA:
        def __init__(self, root: Path, download: bool) -> None:
            print("a progress bar")
            raise RuntimeError("too many users\nhave viewed this file")

    monkeypatch.setattr(import_torchvision().datasets, "CelebA", CelebA)
    assert fault("celeba", root) == (
        f"{root}/celeba/list_eval_partition.txt is missing and could not be fetched (too many users have viewed "
        f"this file); put img_align_celeba.zip and list_eval_partition.txt in {root}/celeba, "
        "or name the folder that holds celeba/ with --data-root or $GENBENCH_DATA"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_face_that_cannot_be_read_is_named(root, damage):
    make_celeba(root)
    path = root / "celeba/img_align_celeba/000003.jpg"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:700])
    assert fault("celeba", root).startswith(f"cannot read {path}: ")


def test_a_file_that_is_not_a_list_of_splits(root):
    make_celeba(root)
    (root / "celeba/list_eval_partition.txt").write_text("<html>quota</html>\n")
    assert "list_eval_partition.txt is not the official list of files and splits; fetch it again" in fault(
        "celeba", root
    )


def test_celeba_is_not_enlarged(root):
    expected = "its faces are 140x140 pixels; give an --image-size of at most 140, not 256"
    assert fault("celeba", root, image_size=256) == expected


# Importing torchvision


@pytest.mark.parametrize("declared", [False, True], ids=["as installed", "operators already declared"])
def test_torchvision_is_importable_and_its_operators_are_declared_once(declared):
    if declared and torch.version.cuda:
        pytest.skip("a torchvision of the same build as a CUDA torch declares them itself")
    program = (
        "import torch\n"
        f"if {declared}:\n"
        "    library = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "    for name in ('nms', 'qnms'):\n"
        "        library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from genbench.machine import torchvision_import\n"
        "torchvision = torchvision_import.import_torchvision()\n"
        "assert torchvision_import.import_torchvision() is torchvision\n"
        "assert torch.ops.torchvision.nms and torch.ops.torchvision.qnms and torchvision.datasets.MNIST\n"
        f"assert not ({declared} and torchvision_import._libraries)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
