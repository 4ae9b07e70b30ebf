"""Texts produced by another program: a UTF-8 file with one text per line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.lines import read_lines, read_text
from genbench.datasets.room import shortage
from genbench.datasets.texts import alphabet, encode
from genbench.errors import InputError
from genbench.kinds.listing import restored
from genbench.kinds.text import Text

__all__ = ["SUFFIX", "ExternalTexts", "as_reference", "have_breaks", "open_texts"]

SUFFIX = ".txt"
_SYMBOL_BYTES = 200  # of memory for each place of a text, measured: 1.2 GB for 1,000 texts of 5,000 symbols


@dataclass(frozen=True)
class ExternalTexts:
    """The lines of a file.

    Args:
        path: as given by the user.
        texts: the non-empty lines.
        remarks: notes for the user.
    """

    path: Path
    texts: list[str]
    remarks: list[str] = field(default_factory=list)

    def with_breaks(self) -> ExternalTexts:
        r"""Return the texts with their line breaks, which a line can hold only as `\n`, as genbench's listings do."""
        found = [restored(text) for text in self.texts]
        said = (
            r"line breaks were read from \n, backslashes from \\, and other control characters likewise"
            if found != self.texts
            else r"no text has a line break, and the data's have; write each as \n, and a backslash as \\"
        )
        return replace(self, texts=found, remarks=[*self.remarks, f"{self.path}: {said}"])

    def split(self, kind: Text, length: int) -> tuple[Split, list[str]]:
        """Return the texts encoded in an alphabet, and notes for the user on anything lost.

        Args:
            kind: with the alphabet of the reference.
            length: the maximum number of symbols in a text.

        Raises:
            InputError: they do not fit into memory.
        """
        if (fault := shortage(_SYMBOL_BYTES * len(self.texts) * length)) is not None:
            raise InputError(
                f"{self.path}: its {len(self.texts):,} texts, as long as the longest of {length:,}, {fault}"
            )
        encoded = encode(kind, self.texts, length)
        said = list(self.remarks)
        if encoded.unknown:
            said.append(
                f"{self.path}: {encoded.unknown:,} symbols in {encoded.unknown_texts:,} of {len(self.texts):,} texts, "
                f"such as {encoded.first_unknown!r}, are not in the alphabet of what they are compared with, and were "
                "left out"
            )
        if encoded.cut:
            said.append(f"{self.path}: {encoded.cut:,} of {len(self.texts):,} texts were cut to {length} symbols")
        return Split(encoded.items, None, kind), said


def open_texts(path: Path) -> ExternalTexts:
    """Read the lines of a file.

    Raises:
        InputError: one line that names the path: no such file, empty, binary, or a line that is not valid UTF-8.
    """
    lines, passed_over = read_lines(path, read_text(path))
    remarks = [f"{path}: {passed_over:,} empty lines were passed over"] if passed_over else []
    return ExternalTexts(path, list(lines), remarks)


def have_breaks(data: Dataset, kind: Text) -> bool:
    """Return whether texts of a dataset have line breaks, as the windows of a running text do."""
    (token,) = kind.tokens("\n")
    return token > 0 and bool((data.train.items == token).any())


def as_reference(texts: ExternalTexts, others: ExternalTexts) -> Dataset:
    """Return texts as a reference dataset: all of them in the training split, none held out, no labels.

    Alphabet and length cover both sides, so nothing is lost; the fingerprint covers only the reference, because a
    recipe names the reference.

    Args:
        texts: the reference.
        others: the texts to be compared with it.

    Raises:
        InputError: together they contain more characters than tokens can represent, or do not fit into memory.
    """
    own, both = texts.texts, [*texts.texts, *others.texts]
    try:
        kind = alphabet(both)
    except InputError as error:
        raise InputError(
            f"{texts.path} with {others.path} {error}; compare by bytes: -d text:{texts.path},symbols=byte"
        ) from error
    train, _ = texts.split(kind, max(map(len, both)))
    alone, _ = texts.split(alphabet(own), max(map(len, own)))
    none = replace(train, items=train.items[:0])
    mark = fingerprint(alone, replace(alone, items=alone.items[:0]))
    return Dataset("reference texts", train, none, None, "that of your files", mark)
