"""Running texts that are downloaded once: tiny-shakespeare and text8, read as windows."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from genbench.datasets import texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.downloading import Archive, DownloadError, fetch
from genbench.datasets.lines import read_text
from genbench.datasets.locking import locked
from genbench.datasets.options import whole_number
from genbench.datasets.source import Request
from genbench.errors import InputError

__all__ = ["load"]

WINDOW = 64  # symbols of a window unless `length=` says otherwise


@dataclass(frozen=True)
class _Row:
    """One text.

    Args:
        archive: its file, or the .zip that contains it.
        train: the number of training characters, by the established convention.
        held_out: where the held-out characters begin; they extend to the end.
    """

    archive: Archive
    train: int
    held_out: int


_ROWS = {
    # The first nine tenths are trained on in A. Karpathy's char-rnn and nanoGPT.
    "tiny-shakespeare": _Row(
        Archive(
            "tiny-shakespeare/input.txt",
            ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
        train=1_003_854,
        held_out=1_003_854,
    ),
    # 90, 5 and 5 million characters are the split of T. Mikolov et al., 2012, Subword Language Modeling with Neural
    # Networks; the last 5 million are the test set of all published figures.
    "text8": _Row(
        Archive(
            "text8/text8.zip",
            ("https://mattmahoney.net/dc/text8.zip", "http://mattmahoney.net/dc/text8.zip"),
            "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
        ),
        train=90_000_000,
        held_out=95_000_000,
    ),
}


def load(request: Request) -> Dataset:
    """Load a running text as windows of `length=` symbols, by default 64; the end of the text is held out.

    References: A. Karpathy, 2015, The Unreasonable Effectiveness of Recurrent Neural Networks; M. Mahoney, 2006, About
    the Test Data, https://mattmahoney.net/dc/textdata.html.
    """
    texts.refuse_image_size(request)
    row = _ROWS[request.source.name]
    texts.options_of(request)  # refused before anything is downloaded
    window = whole_number(request, "length", request.options.get("length", str(WINDOW)), 1)
    path = _obtained(request, row.archive)
    try:
        whole = read_text(path) if path.suffix == ".txt" else _unpacked(path)
    except InputError as error:
        raise request.fault(str(error)) from error
    kind = texts.alphabet_of(request, (whole,))
    train, held_out = (texts.tokens_of(request, kind, part) for part in (whole[: row.train], whole[row.held_out :]))
    return texts.windows_of(request, kind, train, held_out, window)


def _obtained(request: Request, archive: Archive) -> Path:
    path = request.data_root / archive.path
    try:
        with locked(request.data_root / request.source.name, private=False):
            fetch(archive, request.data_root, download=request.download, progress=request.progress)
    except DownloadError as error:
        raise request.fault(
            f"{path} is missing or incomplete, and could not be fetched ({error}); put {path.name} in {path.parent}, "
            f"or name the folder that holds {path.parent.name}/ with --data-root or $GENBENCH_DATA"
        ) from error
    return path


def _unpacked(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            return archive.read(name).decode("ascii")
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be unpacked: {error}; if it is damaged, delete it and run again") from error
