"""Names, text files and downloaded running texts: what is read, what is cut, and every bad input."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from genbench.datasets import load, presence_of, running_texts, texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.downloading import Archive
from genbench.errors import InputError
from genbench.kinds.text import BYTES, MOST_SYMBOLS


def spoken(dataset: Dataset, split: str = "both") -> list[str]:
    parts: dict[str, Tensor] = {"train": dataset.train.items, "held_out": dataset.held_out.items}
    items = torch.cat(list(parts.values())) if split == "both" else parts[split]
    return dataset.kind.texts(items)  # type: ignore[attr-defined, no-any-return]


def fault(spec: str, **arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        load(spec, **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"dataset {spec!r}: ")
    assert "\n" not in message
    return message.removeprefix(f"dataset {spec!r}: ")


# Lines


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{'ab' * (number % 4)}c{number}\n" for number in range(40)))
    return path


def test_each_line_is_a_text_and_a_tenth_is_held_out(lines: Path) -> None:
    dataset = load(f"text:{lines}")
    assert (len(dataset.train), len(dataset.held_out)) == (36, 4)
    written = lines.read_text().splitlines()
    assert sorted(spoken(dataset)) == sorted(written)
    assert spoken(dataset, "train") == [line for line in written if line in spoken(dataset, "train")], (
        "not in file order"
    )
    assert dataset.data.symbols == ("", *"0123456789abc")
    assert dataset.shape == torch.Size((max(map(len, written)),))
    assert (dataset.remark, dataset.classes, dataset.train.items.dtype) == (None, None, torch.int16)


def test_the_number_held_out_can_be_set_and_a_smaller_one_holds_out_a_subset(lines: Path) -> None:
    held_out = [set(spoken(load(f"text:{lines},held_out={count}"), "held_out")) for count in (3, 9, 39)]
    assert list(map(len, held_out)) == [3, 9, 39]
    assert held_out[0] < held_out[1] < held_out[2]
    part = load(f"text:{lines},held_out=4,fraction=0.5")
    assert (len(part.train), len(part.held_out)) == (18, 4)
    assert set(spoken(part, "train")) < set(spoken(load(f"text:{lines}"), "train"))
    assert part.kind == load(f"text:{lines}").kind, "a part must have the alphabet of the whole"
    assert fault(f"text:{lines},held_out=40").startswith("held_out=40 leaves nothing to train on: it has 40 in all")


def test_what_is_cut_and_passed_over_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("abcd\n\nab\nabc\n\n\nabcde\n")
    dataset = load(f"text:{path},length=3")
    assert sorted(spoken(dataset)) == ["ab", "abc", "abc", "abc"]
    assert dataset.remark == f"{path}: 3 empty lines were passed over; 2 of 4 texts were cut to 3 symbols"
    assert load(f"text:{path},length=5").remark == f"{path}: 3 empty lines were passed over"


def test_without_a_length_a_text_has_at_most_256_symbols(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("a" * 300 + "\nab\nb\n")
    dataset = load(f"text:{path}")
    assert dataset.shape == torch.Size((256,))
    assert dataset.remark == "1 of 3 texts were cut to 256 symbols"
    longer = load(f"text:{path},length=400")
    assert longer.shape == torch.Size((400,))
    assert longer.remark is None
    assert "a" * 300 in spoken(longer)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"\xef\xbb\xbfone\ntwo\n", ["one", "two"]),
        (b"one\ntwo", ["one", "two"]),
        (b" one \n\ttwo\n", ["\ttwo", " one "]),
        ("eins\nz\u2028wei\u0085\n".encode(), ["eins", "z\u2028wei\u0085"]),
        (b"\r\none\r\n\r\ntwo\r\n", ["one", "two"]),
    ],
    ids=["crlf", "byte order mark", "no final newline", "blanks", "line separators", "empty crlf"],
)
def test_what_ends_a_line(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    assert sorted(spoken(load(f"text:{path}"))) == expected


def test_bytes_as_symbols(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("naïve\n日本\nabc\n", encoding="utf-8")
    dataset = load(f"text:{path},symbols=byte")
    assert dataset.data.symbols == BYTES
    assert (dataset.data.levels, dataset.shape) == (257, torch.Size((6,)))
    assert sorted(spoken(dataset)) == sorted(["naïve", "日本", "abc"])
    cut = load(f"text:{path},symbols=byte,length=4")
    assert cut.remark == "2 of 3 texts were cut to 4 symbols"
    assert "日\ufffd" in spoken(cut)


def test_equal_tokens_over_other_alphabets_are_other_data(tmp_path: Path) -> None:
    prints = []
    for letters in ("ab", "ac", "ab"):
        path = tmp_path / f"{len(prints)}.txt"
        path.write_text(f"{letters}\n{letters[::-1]}\n{letters}\n")
        prints.append(load(f"text:{path}"))
    assert torch.equal(prints[0].train.items, prints[1].train.items)
    assert prints[0].fingerprint != prints[1].fingerprint
    assert prints[0].fingerprint == prints[2].fingerprint


def test_what_is_outside_an_alphabet_is_left_out_and_counted() -> None:
    kind = texts.Text(("", "a", "b"))
    found = texts.encode(kind, ["axbya", "ab", "zzz"], 2)
    assert found.items.tolist() == [[1, 2], [1, 2], [0, 0]]
    assert (found.cut, found.unknown, found.unknown_texts, found.first_unknown) == (1, 5, 2, "x")


# Windows


def test_windows_follow_each_other_and_the_end_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    whole = "".join(chr(ord("a") + (7 * place) % 26) for place in range(103))
    path.write_text(whole)
    dataset = load(f"text:{path},window=5,held_out=3")
    held_out, train = spoken(dataset, "held_out"), spoken(dataset, "train")
    assert "".join(held_out) == whole[-15:]
    assert "".join(train) == whole[:85]
    assert (len(train), len(held_out), dataset.shape) == (17, 3, torch.Size((5,)))
    assert dataset.remark == "3 symbols do not fill a window of 5 and were left out"
    assert len(load(f"text:{path},window=5").held_out) == 2
    assert load(f"text:{path},window=1,held_out=1").remark is None


def test_windows_hold_line_ends_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("é\nab\n\ncd".encode())
    assert "".join(spoken(load(f"text:{path},window=2"))) == "é\nab\n\ncd"
    by_bytes = load(f"text:{path},window=3,symbols=byte")
    assert by_bytes.data.levels == 257
    assert torch.cat([by_bytes.train.items, by_bytes.held_out.items]).flatten().tolist() == [
        byte + 1 for byte in path.read_bytes()
    ]


def test_one_long_line_can_be_read_as_windows(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("abcdefgh")
    assert sorted(spoken(load(f"text:{path},window=4"))) == ["abcd", "efgh"]


# Bad input


@pytest.mark.parametrize(
    ("content", "option", "message"),
    [
        (b"", "", "{path}: empty"),
        (b"\n\n \n", "", "{path}: holds nothing but white space"),
        (b"\xef\xbb\xbf\n\n", "", "{path}: all of its lines are empty"),
        (b"one line\n", "", "{path}: has one line, and one text to train on and one to hold out are needed; "),
        (b"a\nb\0c\nd", "", "{path}: binary, with a zero byte in line 2"),
        (b"a\nb\ncaf\xe9\n", "", "{path}: line 3 is not UTF-8 (byte 0xe9); convert it, for example with iconv"),
        (b"a\nb\n", ",length=0", "length must be at least 1, not 0"),
        (b"a\nb\n", ",length=-4", "length must be at least 1, not -4"),
        (b"a\nb\n", ",length=two", "length must be a whole number, not 'two'"),
        (b"a\nb\n", ",symbols=chars", "symbols must be char or byte, not 'chars'; did you mean char?"),
        (b"a\nb\n", ",window=0", "window must be at least 1, not 0"),
        (b"a\nb\n", ",window=3", "the text has 4 symbols, and two windows of 3 are needed"),
        (b"a\nb\n", ",window=1,length=1", "a window is as long as window= says; leave length= out"),
        (b"a\nb\n", ",window=2,window=2", "option window is given twice"),
        (b"a\nb\n", ",windwo=2", "no option is called 'windwo'; did you mean window?"),
    ],
)
def test_a_file_or_an_option_that_makes_no_sense(tmp_path: Path, content: bytes, option: str, message: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    assert fault(f"text:{path}{option}").startswith(message.format(path=path))


def test_texts_that_do_not_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.txt").write_bytes(b"a\nb\n")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10**9))
    message = fault(f"text:{tmp_path}/x.txt,length=2147483647")
    assert re.match(r"its texts need [\d.]+ GB of memory, and 1\.0 GB are free; ", message)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert fault(f"text:{tmp_path}/none.txt") == f"{tmp_path}/none.txt: no such file"
    os.mkfifo(tmp_path / "pipe")
    assert fault(f"text:{tmp_path}/pipe") == f"{tmp_path}/pipe: not a regular file; give a text file"
    assert "Not a directory" in fault(f"text:{tmp_path}/pipe/x.txt")
    with pytest.raises(InputError, match=r"text needs its argument; write text:PATH$"):
        load("text")


def test_an_image_size_is_refused(lines: Path) -> None:
    assert fault(f"text:{lines}", image_size=8) == "--image-size 8 has no effect on texts; leave it out"


def test_more_characters_than_tokens_can_tell_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    characters = [chr(0x10000 + number) for number in range(MOST_SYMBOLS)]
    path.write_text("".join(characters[: MOST_SYMBOLS - 1]) + f"\n{characters[0]}\n", encoding="utf-8")
    dataset = load(f"text:{path},length={MOST_SYMBOLS}")
    assert int(dataset.train.items.max()) == int(max(split.items.max() for split in (dataset.train, dataset.held_out)))
    assert characters[MOST_SYMBOLS - 2] in "".join(spoken(dataset))
    path.write_text("".join(characters) + "\na\n", encoding="utf-8")
    assert fault(f"text:{path}") == (
        "holds 32,769 different characters, and at most 32,767 are supported; read it with symbols=byte"
    )
    assert load(f"text:{path},symbols=byte").data.levels == 257


def test_a_file_of_texts_that_is_named_alone_is_recognised(lines: Path) -> None:
    with pytest.raises(InputError, match=f"for a file of texts write text:{lines}$"):
        load(str(lines))


# Names


class Files:
    """Stands in for the package `names`, with its lists in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, package: str) -> list[importlib.metadata.PackagePath]:
        assert package == "names"
        found = []
        for path in sorted(self.folder.iterdir()):
            each = importlib.metadata.PackagePath(f"names/{path.name}")
            each.dist = type("Dist", (), {"locate_file": staticmethod(lambda name: self.folder / Path(name).name)})()
            found.append(each)
        return found


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "names"
    folder.mkdir()
    for file, count in (("dist.female.first", 40), ("dist.male.first", 20), ("dist.all.last", 140)):
        rows = [f"{file[5]}n{'abcdefghij'[n // 10 % 10]}{'klmnopqrst'[n % 10]}".upper() for n in range(count)]
        rows = [f"{'x' * (n >= 100)}{row}".upper() for n, row in enumerate(rows)]
        (folder / file).write_text("".join(f"{row:14} 0.001 90.1 {n}\n" for n, row in enumerate(rows)))
    with (folder / "dist.male.first").open("a") as males:
        males.write("FNAK 0.1 90 1\n")  # is on two lists
    monkeypatch.setattr(importlib.metadata, "files", Files(folder))
    return folder


def test_names_are_labelled_by_their_list_and_held_out_by_a_hash(lists: Path) -> None:
    dataset = load("names")
    assert (len(dataset.train), len(dataset.held_out)) == (181, 20)
    assert dataset.class_names == ("first, female", "first, male", "last")
    labels = torch.cat([dataset.train.labels, dataset.held_out.labels])  # type: ignore[list-item]
    assert labels.bincount().tolist() == [40, 21, 140]
    rows = list(zip(spoken(dataset), labels.tolist(), strict=True))
    assert len(set(rows)) == len(rows), "a row must be in one split, once"
    assert ("Fnak", 0) in rows
    assert ("Fnak", 1) in rows
    assert all(name == name.capitalize() for name, _ in rows)
    assert dataset.fingerprint == load("names").fingerprint
    other = load("names:held_out=7,length=3,fraction=0.5")
    assert (len(other.held_out), other.shape) == (7, torch.Size((3,)))
    assert other.remark == "201 of 201 texts were cut to 3 symbols"
    assert 97 <= len(other.train) <= 99


def test_names_without_the_package_say_what_to_install(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lists / "dist.all.last").unlink()
    assert fault("names") == "the installed package names has no dist.all.last; install names 0.3.0"

    def missing(package: str) -> None:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert fault("names") == "needs the package names: pip install genbench[text]"


def test_the_names_of_the_package_itself() -> None:
    try:
        importlib.metadata.distribution("names")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package names")
    dataset = load("names")
    assert (len(dataset.train), len(dataset.held_out)) == (84_864, 9_429)
    rows = list(zip(spoken(dataset, "held_out"), dataset.held_out.labels.tolist(), strict=True))  # type: ignore[union-attr]
    assert ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == dataset.data.symbols
    assert len(set(rows)) == len(rows)


# Running texts


SHAKESPEARE = "".join(f"line {number}, of the play\n" for number in range(40)).encode()
TEXT8 = " anarchism originated as a term of abuse" * 20


def zipped(text: str, *more: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("text8", *more):
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Small versions of both texts, on a local server; the list holds the requested paths."""
    asked: list[str] = []
    files = {"tiny-shakespeare": SHAKESPEARE, "text8": zipped(TEXT8)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = files[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(running_texts, "WINDOW", 16)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        for name, row in running_texts._ROWS.items():
            total = len(SHAKESPEARE) if name == "tiny-shakespeare" else len(TEXT8)
            digest = hashlib.sha256(files[name]).hexdigest()
            archive = Archive(row.archive.path, (f"http://127.0.0.1:{http.server_port}/{name}",), digest)
            small = replace(row, archive=archive, train=total - 200, held_out=total - 150)
            monkeypatch.setitem(running_texts._ROWS, name, small)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield asked
        http.shutdown()
        thread.join()


RUNNING = [("tiny-shakespeare", SHAKESPEARE.decode()), ("text8", TEXT8)]


@pytest.mark.parametrize(("name", "whole"), RUNNING)
def test_a_running_text_is_fetched_once_and_cut_into_windows(
    server: list[str], tmp_path: Path, name: str, whole: str
) -> None:
    told: list[tuple[int, int]] = []
    dataset = load(name, data_root=tmp_path, progress=lambda *so_far: told.append(so_far))
    train, held_out = whole[:-200], whole[-150:]
    assert "".join(spoken(dataset, "train")) == train[: len(train) // 16 * 16]
    assert "".join(spoken(dataset, "held_out")) == held_out[:144]
    assert dataset.shape == torch.Size((16,))
    assert told[-1][0] == told[-1][1] > 0
    assert presence_of(name, tmp_path).available
    longer = load(f"{name}:length=50,held_out=2,fraction=0.5", data_root=tmp_path, download=False)
    assert (len(longer.train), len(longer.held_out)) == (round(len(train) // 50 / 2), 2)
    assert load(f"{name}:symbols=byte", data_root=tmp_path).data.levels == 257
    assert server == [f"/{name}"]


@pytest.mark.parametrize(("name", "whole"), RUNNING)
def test_a_running_text_that_is_damaged_is_fetched_again_or_named(
    server: list[str], tmp_path: Path, name: str, whole: str
) -> None:
    archive = running_texts._ROWS[name].archive
    path = tmp_path / archive.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    message = fault(name, data_root=tmp_path, download=False)
    digest = hashlib.sha256(b"damaged").hexdigest()
    assert f"({path}: corrupt, its SHA-256 is {digest} and not {archive.checksum}; downloading is switched off)" in (
        message
    )
    assert server == []
    assert len(load(name, data_root=tmp_path).train) > 10
    assert hashlib.sha256(path.read_bytes()).hexdigest() == archive.checksum


def test_a_running_text_that_cannot_be_fetched(
    server: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = fault("text8", data_root=tmp_path, download=False)
    path = tmp_path / "text8/text8.zip"
    assert message == (
        f"{path} is missing or incomplete, and could not be fetched (downloading is switched off); put text8.zip in "
        f"{path.parent}, or name the folder that holds text8/ with --data-root or $GENBENCH_DATA"
    )
    assert not path.parent.exists()
    row = running_texts._ROWS["text8"]
    wrong = replace(row, archive=replace(row.archive, checksum="0" * 64))
    monkeypatch.setitem(running_texts._ROWS, "text8", wrong)
    assert f"corrupt, its SHA-256 is {row.archive.checksum} and not {'0' * 64}" in fault("text8", data_root=tmp_path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("length=0", "length must be at least 1, not 0"),
        ("symbols=word", "symbols must be char or byte, not 'word'"),
        ("window=8", "no option is called 'window'"),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_fetched(
    server: list[str], tmp_path: Path, option: str, message: str
) -> None:
    assert fault(f"text8:{option}", data_root=tmp_path).startswith(message)
    assert server == []


def test_a_window_that_is_longer_than_the_text(server: list[str], tmp_path: Path) -> None:
    assert fault("text8:length=151", data_root=tmp_path) == (
        "the text that is held out has 150 symbols, fewer than a window of 151"
    )


def test_a_zip_of_more_than_one_file(server: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped(TEXT8, "other")
    row = running_texts._ROWS["text8"]
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(running_texts._ROWS, "text8", replace(row, archive=replace(row.archive, checksum=digest)))
    (tmp_path / "text8").mkdir()
    (tmp_path / "text8/text8.zip").write_bytes(content)
    assert fault("text8", data_root=tmp_path).startswith(f"{tmp_path}/text8/text8.zip: cannot be unpacked: ")


def test_a_file_that_claims_more_than_memory_is_refused_by_its_first_bytes_or_by_its_size(tmp_path: Path) -> None:
    for start, message in (
        (b"", "binary, with a zero byte in line 1"),
        (b"text\n" * 2**18, "of memory, and .* are free"),
    ):
        path = tmp_path / "a.txt"
        with path.open("wb") as file:
            file.write(start)
            file.truncate(2**42)  # sparse: it takes no room, and reading it would take all memory
        with pytest.raises(InputError, match=message):
            load(f"text:{path}")
