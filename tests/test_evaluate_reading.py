"""How images from another program are found and read, whatever else is among them and whatever they claim to be."""

from __future__ import annotations

import os
import socket
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench import datasets
from genbench.datasets import arrays, decoding, mapping, npy_file, stream
from genbench.datasets.decoding import DROPPED, ON_WHITE
from genbench.datasets.external import External, open_images
from genbench.datasets.mapping import PixelStore
from genbench.errors import InputError
from genbench.features.resize import PROFILES
from genbench.machine.torchvision_import import declare_missing_operators


def save(folder: Path, count: int, side: int = 8, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}{suffix}")


def pixels_of(found: External, alpha: str = ON_WHITE) -> torch.Tensor:
    store = PixelStore((found.count, *found.shape), str(found.path))
    counts = list(found.read(store, alpha))
    assert counts == sorted(counts)
    return store.images[: store.count]


def fault(path: Path, **options: bool) -> str:
    with pytest.raises(InputError) as caught:
        pixels_of(open_images(path, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


# Folders


def test_both_readers_of_folders_find_the_same_and_say_what_they_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "images"
    save(root, 5)
    save(tmp_path / "elsewhere", 4)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "linked" / "back").symlink_to(root)
    save(root / ".ipynb_checkpoints", 3)
    save(root / "__MACOSX", 3)
    (root / ".hidden.png").write_bytes(b"no image")
    (root / "notes.txt").write_text("no image")
    found = open_images(root)
    assert found.count == 9
    said = (
        "passed over: 1 file of another kind, 1 hidden file, 2 hidden folders, 1 link to a folder that was read already"
    )
    assert found.remarks == [said]
    dataset = datasets.load(f"folder:{root}")
    assert dataset.remark == f"{root}: {said}"
    both = [sorted(image.tobytes() for image in images.numpy()) for images in (pixels_of(found), every(dataset))]
    assert both[0] == both[1]


def every(dataset: datasets.Dataset) -> torch.Tensor:
    return torch.cat([dataset.train.items, dataset.held_out.items])


def make_pipe(path: Path) -> None:
    """Make a pipe whose writer closes it after two seconds, so that a bug of ours fails the test and cannot hang it."""
    os.mkfifo(path)
    threading.Timer(2, os.close, [os.open(path, os.O_RDWR)]).start()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_pipe, "it is not a regular file"),
        (make_socket, "it is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
        (lambda path: path.symlink_to(path.name), "it is a symbolic link that leads back to itself"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nothing"),
    ],
    ids=["pipe", "socket", "device", "itself", "nothing"],
)
def test_what_is_no_file_is_named_by_both_readers_and_neither_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    save(tmp_path / "images", 4)
    path = Path("images/004.png")
    make(path)
    assert fault(Path("images")) == f"{path}: cannot be decoded: {reason}; remove it, or continue with --skip-corrupt"
    passed = open_images(Path("images"), skip_corrupt=True)
    assert (passed.count, passed.skipped) == (4, [f"{path}: {reason}"])
    with pytest.raises(InputError, match=reason):
        datasets.load("folder:images")


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe.npz")
    assert fault(tmp_path / "loop") == "it is a symbolic link that leads back to itself"
    assert fault(tmp_path / "pipe.npz").startswith("not a regular file")


# Arrays


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_may_come_first_or_last(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(0).integers(256, size=(5, channels, 6, 9), dtype=np.uint8)
    for order in ("C", "F"):
        np.save(tmp_path / "first.npy", np.asarray(images, order=order))
        np.save(tmp_path / "last.npy", np.asarray(images.transpose(0, 2, 3, 1), order=order))
        for name in ("first.npy", "last.npy"):
            assert torch.equal(pixels_of(open_images(tmp_path / name)), torch.from_numpy(images))


def test_an_npz_in_capitals_and_one_compressed_are_read(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(5, 6, 7, 3), dtype=np.uint8)
    for name, write, order in (("A.NPZ", np.savez, "C"), ("b.npz", np.savez_compressed, "C"), ("c.npz", np.savez, "F")):
        with (tmp_path / name).open("wb") as file:
            write(file, np.asarray(images, order=order))
        assert torch.equal(
            pixels_of(open_images(tmp_path / name)), torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        )


def test_an_array_is_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_CHUNK_BYTES", 2 * 6 * 7 * 3)
    images = np.random.default_rng(0).integers(256, size=(5, 6, 7, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images)
    found = open_images(tmp_path / "a.npz")
    assert [len(chunk) for chunk in arrays.open_array(tmp_path / "a.npz").chunks()] == [2, 2, 1]
    assert torch.equal(pixels_of(found), torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))


def claim(path: Path, shape: tuple[int, ...], size: int = 0) -> None:
    """Write the header of an array of `shape`, followed by `size` bytes that take no space on disk."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + size)


@pytest.mark.parametrize("size", [0, 31_000_000_000])
def test_an_array_that_claims_more_than_memory_is_refused_by_its_header(tmp_path: Path, size: int) -> None:
    claim(tmp_path / "a.npy", (10**12, 8, 8, 3) if not size else (size // 192, 8, 8, 3), size)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        claim(tmp_path / "header", (10**12, 8, 8, 3))
        archive.write(tmp_path / "header", "arr_0.npy")
    memory = npy_file.psutil.virtual_memory()._replace(total=16_000_000_000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(npy_file.psutil, "virtual_memory", lambda: memory)
        for name in ("a.npy", "a.npz"):
            assert "GB of pixels, more than this machine's memory of 16.0 GB" in fault(tmp_path / name)
    (tmp_path / "a.npy").unlink()  # it takes no space, but copying it would fill a disk


def test_an_array_that_is_not_as_long_as_it_claims(tmp_path: Path) -> None:
    claim(tmp_path / "a.npy", (10, 8, 8, 3), 1000)
    assert fault(tmp_path / "a.npy") == "damaged: its header claims 1,920 bytes of pixels, and it holds 1,000"


def with_header(path: Path, text: str) -> None:
    """Write an .npy with this header, alone and as the images of an .npz."""
    data = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text.encode()
    path.write_bytes(data)
    with zipfile.ZipFile(path.with_suffix(".npz"), "w") as archive:
        archive.writestr("images.npy", data)


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        (f"({10**400}, 32, 32, 3)", "...000000000000000000000000000000000000000, 32, 32, 3)"),
        (f"({2**62}, {2**62}, 1, 1)", f"({2**62}, {2**62}, 1, 1)"),
        (f"(0, {2**64}, 4, 3)", f"(0, {2**64}, 4, 3)"),
        ("(-2, -4, 4, 3)", "(-2, -4, 4, 3)"),
        (f"({'1,' * 3000})", "(1, 1, 1, 1, 1, 1, ...)"),
    ],
    ids=["400 digits", "product", "beside zero", "negative", "3000 dimensions"],
)
def test_a_shape_that_no_array_has_is_one_short_line(tmp_path: Path, shape: str, shown: str) -> None:
    with_header(tmp_path / "a.npy", f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}")
    for suffix in (".npy", ".npz"):
        said = fault(tmp_path / f"a{suffix}")
        assert said.startswith(f"damaged or no {suffix} file: its header claims the shape (")
        assert said.endswith(f"{shown}, which no array has")
        assert len(said) < 250
    with pytest.raises(InputError, match=r"which no array has$"):
        datasets.load(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    "header", ["(" * 9000, "-" * 9000, "'''", "  x\n y", "{'a': {[]}}", "9" * 6000, ""], ids=lambda text: text[:8]
)
def test_a_header_that_numpy_cannot_read_is_one_short_line(tmp_path: Path, header: str) -> None:
    with_header(tmp_path / "a.npy", header)
    for suffix in (".npy", ".npz"):
        said = fault(tmp_path / f"a{suffix}")
        assert said.startswith(f"damaged or no {suffix} file: ")
        assert len(said) < 300


def test_a_header_that_is_too_long_is_refused_without_numpys_advice_to_unpickle(tmp_path: Path) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}"
    with_header(tmp_path / "a.npy", header.ljust(20_000))
    for suffix in (".npy", ".npz"):
        assert fault(tmp_path / f"a{suffix}") == (
            f"damaged or no {suffix} file: its header claims 20,000 bytes, and that of an array has at most 10,000"
        )


@pytest.mark.parametrize("suffix", [".npz", ".zip"])
def test_an_archive_of_a_version_that_does_not_exist(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    np.savez(tmp_path / "a.npz", np.zeros((2, 4, 4, 1), np.uint8))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[data.find(b"PK\x01\x02") + 6] = 141
    path.write_bytes(data)
    assert fault(path) == f"damaged or no {suffix} file: zip file version 14.1"


def altered(path: Path, flags: int, method: int) -> None:
    """Write an .npz whose member claims to be encrypted, or compressed by a different method."""
    np.savez(path, np.zeros((2, 4, 4, 1), np.uint8))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark) + offset
        data[at : at + 4] = flags.to_bytes(2, "little") + method.to_bytes(2, "little")
    path.write_bytes(data)


def test_an_archive_that_is_encrypted_or_packed_in_an_unknown_way(tmp_path: Path) -> None:
    altered(tmp_path / "a.npz", 1, 0)
    assert fault(tmp_path / "a.npz") == "encrypted; unpack it first"
    altered(tmp_path / "a.npz", 0, 99)
    assert fault(tmp_path / "a.npz").startswith("compressed in a way that Python's zipfile does not know")


def test_a_reference_with_statistics_beside_its_images_says_which_are_used(tmp_path: Path) -> None:
    statistics = {"mu": np.zeros(4), "sigma": np.eye(4)}
    np.savez(tmp_path / "adm.npz", np.zeros((3, 4, 4, 3), np.uint8), **statistics)
    found = open_images(tmp_path / "adm.npz", reference=True)
    assert found.count == 3
    said = "its images (arr_0) are used, not its mu and sigma"
    assert found.remarks == [f"{said}: those are of all training images, so published distances to them differ"]
    assert open_images(tmp_path / "adm.npz").remarks == [said]  # nobody compares items with their own statistics
    np.savez(tmp_path / "only.npz", **statistics)
    assert fault(tmp_path / "only.npz").startswith("holds only mu and sigma, the statistics of another tool's features")


# Archives of images


def pack(path: Path, folder: Path, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*.*"), reverse=True):
            archive.write(file, file.relative_to(folder))


def test_a_zip_of_images_is_read_as_its_folder_is(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a", 5)
    save(tmp_path / "images" / "b", 4)
    expected = pixels_of(open_images(tmp_path / "images"))
    save(tmp_path / "images" / "__MACOSX", 1)
    (tmp_path / "images" / "notes.txt").write_text("")
    pack(tmp_path / "images.ZIP", tmp_path / "images")
    found = open_images(tmp_path / "images.ZIP")
    assert torch.equal(pixels_of(found), expected)
    assert found.remarks == ["passed over: 2 members of other kinds or hidden"]


def test_a_member_that_claims_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "LARGEST_MEMBER", 4000)
    save(tmp_path / "images", 3)
    (tmp_path / "images" / "bomb.png").write_bytes(bytes(100_000))
    pack(tmp_path / "a.zip", tmp_path / "images")
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(ValueError, match="it claims 100,000 bytes, and no image of more than 4,000 is unpacked"):
        decoding._content(decoding.Member(tmp_path / "a.zip", "bomb.png"))


def test_a_file_that_is_no_zip_and_a_zip_without_images(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no archive")
    assert fault(tmp_path / "a.zip") == "damaged or no .zip file: File is not a zip file"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("notes.txt", "")
    assert fault(tmp_path / "b.zip").startswith("no images in it")


@pytest.mark.filterwarnings("ignore:Duplicate name")  # of Python, when such an archive is written
def test_a_zip_that_holds_one_name_twice_is_refused(tmp_path: Path) -> None:
    """Only the last of them can be read by its name: its pixels would count twice."""
    save(tmp_path / "images", 3)
    pack(tmp_path / "a.zip", tmp_path / "images")
    assert open_images(tmp_path / "a.zip").count == 3
    name = next((tmp_path / "images").iterdir()).name
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.write(tmp_path / "images" / name, name)
    assert fault(tmp_path / "a.zip").startswith(f"holds several images named {name}; unpack it")


# Pixels


def transparent(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(256, size=(8, 8, 4), dtype=np.uint8)).save(path)


def test_under_a_profile_alpha_is_dropped_as_its_tool_drops_it(tmp_path: Path) -> None:
    transparent(tmp_path / "images" / "0.png")
    found = open_images(tmp_path / "images")
    mine = {alpha: pixels_of(found, alpha)[0] for alpha in (DROPPED, ON_WHITE)}
    assert found.transparent
    assert {profile.alpha for profile in PROFILES.values()} == {DROPPED}
    declare_missing_operators()  # both peers import torchvision
    theirs = pytest.importorskip("pytorch_fid.fid_score").ImagePathDataset([tmp_path / "images" / "0.png"])[0]
    assert torch.equal(mine[DROPPED], torch.from_numpy(np.array(theirs).transpose(2, 0, 1)))
    peer = pytest.importorskip("torch_fidelity.datasets").ImagesPathDataset([tmp_path / "images" / "0.png"])[0]
    assert torch.equal(mine[DROPPED], peer)
    layer = Image.open(tmp_path / "images" / "0.png")
    white = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    assert torch.equal(mine[ON_WHITE], torch.from_numpy(np.array(white).transpose(2, 0, 1)))


def test_an_image_without_alpha_is_the_same_either_way(tmp_path: Path) -> None:
    save(tmp_path / "images", 3)
    found = open_images(tmp_path / "images")
    assert torch.equal(pixels_of(found, DROPPED), pixels_of(found, ON_WHITE))
    assert not found.transparent


def with_alpha(mode: str, alpha: int) -> tuple[Image.Image, dict[str, int]]:
    """Return an image of 8 × 8 colours with this alpha in its first pixel, 255 elsewhere; and how it must be saved."""
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8))
    if mode == "P":  # the transparent colour is that of the first pixel, or one that no pixel has
        image = image.quantize(64)
        return image, {"transparency": image.getpixel((0, 0)) if alpha < 255 else 255}
    image = image.convert(mode)
    image.putalpha(Image.fromarray(np.full((8, 8), 255, np.uint8)))
    image.putpixel((0, 0), (*image.getpixel((0, 0))[:-1], alpha))
    return image, {}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("read_as", [ON_WHITE, DROPPED])
def test_an_alpha_that_is_opaque_everywhere_is_no_transparency(tmp_path: Path, mode: str, read_as: str) -> None:
    for name, alpha in (("opaque", 255), ("clear", 254)):
        folder = tmp_path / name
        folder.mkdir()
        image, options = with_alpha(mode, alpha)
        image.save(folder / "0.png", **options)
        found = open_images(folder)
        pixels = pixels_of(found, read_as)
        assert found.transparent == (name == "clear")
        if name == "opaque":
            plain = np.array(image.convert("L" if mode == "LA" else "RGB")).reshape(8, 8, -1)
            assert torch.equal(pixels[0], torch.from_numpy(plain.transpose(2, 0, 1)))


# The stream


def test_images_in_a_file_and_from_several_processes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "images", 30)
    (tmp_path / "images" / "007.png").write_bytes((tmp_path / "images" / "007.png").read_bytes()[:100])
    expected = pixels_of(open_images(tmp_path / "images", skip_corrupt=True))
    assert len(expected) == 29
    monkeypatch.setattr(stream, "_LARGEST_CHUNK", 4)
    monkeypatch.setattr(stream, "PROCESSES_FROM", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)  # one process starts sooner
    monkeypatch.setattr(mapping, "IN_MEMORY_BYTES", 0)
    found = open_images(tmp_path / "images", skip_corrupt=True)
    assert torch.equal(pixels_of(found), expected)
    assert len(found.skipped) == 1


def test_no_more_is_decoded_ahead_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded images that are not yet used stay in memory, so their number must not grow with the size of the set."""
    begun = []

    def decode(places, start, how):
        begun.append(start)
        return stream.Chunk(np.zeros((1, 1, 1, 1), np.uint8), (), 1)

    monkeypatch.setattr(stream, "_decode", decode)
    monkeypatch.setattr(stream, "_LARGEST_CHUNK", 1)
    chunks = stream.decoded([Path(str(index)) for index in range(1000)], stream.Decoding((1, 1, 1), False, ON_WHITE))
    next(chunks)
    assert len(begun) <= 2 * os.cpu_count() + 2
    chunks.close()
    assert len(begun) <= 2 * os.cpu_count() + 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the process's memory from /proc")
def test_pages_that_have_been_read_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "IN_MEMORY_BYTES", 0)
    store = PixelStore((32, 1, 1024, 1024), "test")
    for number in range(32):
        store.append(np.full((1, 1, 1024, 1024), number, np.uint8))

    def resident() -> int:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["RssFile"].split()[0]) // 1024

    before = resident()
    assert int(store.images.sum(dtype=torch.int64)) == sum(range(32)) << 20
    assert resident() > before + 24
    mapping.release(store.images[3:5])
    assert resident() < before + 8
    assert int(store.images[31, 0, 0, 0]) == 31  # the file still has it


def test_memory_that_is_no_file_is_never_given_back() -> None:
    images = torch.ones(4, 1, 64, 64, dtype=torch.uint8)
    mapping.release(images)
    assert int(images.sum()) == 4 * 64 * 64


def test_a_disk_without_room_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"samples: its .* GB of pixels do not fit into .*; make room there"):
        PixelStore((1 << 40, 3, 256, 256), "samples")
