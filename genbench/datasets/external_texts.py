"""Texts that another program made: a file of UTF-8, one a line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.text_file import read_lines, read_text
from genbench.datasets.texts import alphabet, encode
from genbench.kinds.text import Text

__all__ = ["SUFFIX", "ExternalTexts", "as_reference", "open_texts"]

SUFFIX = ".txt"


@dataclass(frozen=True)
class ExternalTexts:
    """Lines of a file.

    Args:
        path: as the user gave it.
        texts: the lines that are not empty.
        remarks: what the user should know of them.
    """

    path: Path
    texts: list[str]
    remarks: list[str] = field(default_factory=list)

    def split(self, kind: Text, length: int) -> tuple[Split, list[str]]:
        """Return the texts over an alphabet, and what the user should know of what was lost on the way.

        Args:
            kind: whose alphabet is that of what they are compared with.
            length: symbols that a text has at most.
        """
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
        InputError: one line that names the path: no such file, empty, binary, or the line that is no UTF-8.
    """
    lines, passed_over = read_lines(path, read_text(path))
    remarks = [f"{path}: {passed_over:,} empty lines were passed over"] if passed_over else []
    return ExternalTexts(path, list(lines), remarks)


def as_reference(texts: ExternalTexts, others: ExternalTexts) -> Dataset:
    """Return texts as a dataset to compare with: all of them its training split, none held out, no labels.

    The alphabet is that of both sides, and so is the length, so that nothing is lost; but the fingerprint is of the
    reference alone, since a recipe says what was compared with.

    Args:
        texts: what is compared with.
        others: what is compared.

    Raises:
        InputError: both hold more characters than can be told apart.
    """
    own, both = texts.texts, [*texts.texts, *others.texts]
    train, _ = texts.split(alphabet(both), max(map(len, both)))
    alone, _ = texts.split(alphabet(own), max(map(len, own)))
    none = replace(train, items=train.items[:0])
    mark = fingerprint(alone, replace(alone, items=alone.items[:0]))
    return Dataset("reference texts", train, none, None, "that of your files", mark)
