"""First and last names, from the package `names`."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from genbench.datasets import texts
from genbench.datasets.dataset import Dataset
from genbench.datasets.source import Request
from genbench.seeding import derive

__all__ = ["load"]

# The lists (the classes) and their files in the package.
LISTS = {"first, female": "dist.female.first", "first, male": "dist.male.first", "last": "dist.all.last"}


def load(request: Request) -> Dataset:
    """Load the names of the 1990 census of the United States, in lower case except for the first letter.

    88,799 last names, 4,275 first names of women and 1,219 of men; labels are the lists. A tenth of all, or
    `held_out=N`, is held out, chosen by a hash. Some names are on two lists, so a held-out name may be trained on
    under another label. The frequencies in the files are not used.

    Reference: U.S. Census Bureau, Population Division, 1995, Frequently Occurring First Names and Surnames from the
    1990 Census.
    """
    texts.refuse_image_size(request)
    try:
        files = {Path(file).name: file.locate() for file in importlib.metadata.files("names") or ()}
    except importlib.metadata.PackageNotFoundError as error:
        raise request.fault("needs the package names: pip install genbench[text]") from error
    rows = []
    for label, file in enumerate(LISTS.values()):
        if file not in files:
            raise request.fault(f"the installed package names has no {file}; install names 0.3.0")
        lines = Path(str(files[file])).read_text(encoding="ascii").splitlines()
        rows += [(line.split()[0].capitalize(), label) for line in lines if line.strip()]
    rows.sort(key=lambda row: derive(0, "names", *row))
    count = request.held_out_of(len(rows))
    train, held_out = rows[count:], rows[:count]
    labels = [label for _, label in train], [label for _, label in held_out]
    return texts.dataset_of(request, [name for name, _ in train], [name for name, _ in held_out], labels, tuple(LISTS))
