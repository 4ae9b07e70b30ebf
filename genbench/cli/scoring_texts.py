"""Opens two files of texts for `genbench evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.cli.sides import Opened, Request, Show, refuse_unused_root, tell
from genbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.features.extractor import Features

__all__ = ["open_texts_of"]


def open_texts_of(request: Request, show: Show) -> Opened:
    """Open both sides, and refuse options that would have no effect."""
    from genbench.cell import preflight
    from genbench.datasets.external_texts import as_reference, have_breaks, open_texts
    from genbench.features.extractor import extract
    from genbench.kinds.text import Text
    from genbench.machine import environment

    _refuse_unused(request)
    device = environment.share(request.settings.device)
    found = open_texts(request.items)
    remarks = []
    if request.reference is not None:
        given = open_texts(request.reference)
        data, limit = as_reference(given, found), len(given.texts)
        remarks += given.remarks
    else:
        data, limit = preflight.load_dataset(str(request.dataset), request.settings), None
        remarks += [] if data.remark is None else [data.remark]
    if not isinstance(data.kind, Text):
        raise InputError(f"{request.items} holds texts and {data.name} {data.kind.noun}; compare items of one kind")
    if have_breaks(data, data.kind):
        found = found.with_breaks()
    split, said = found.split(data.kind, data.shape[0])
    extractor = preflight.load_extractor(data, request.settings, device, lambda event: tell(show.step, event))

    def read() -> tuple[Tensor, Features]:
        return split.items, extract(extractor, split.items, progress=show.step("features"))

    return Opened(len(split), data, limit, extractor, dict, read, lambda: remarks + said)


def _refuse_unused(request: Request) -> None:
    """Refuse options that have no effect on texts."""
    settings = request.settings
    if request.skip_corrupt:
        raise InputError("--skip-corrupt has no effect on texts, which are read whole or refused; leave it out")
    if settings.image_size is not None:
        raise InputError(f"--image-size {settings.image_size} has no effect on texts; leave it out")
    refuse_unused_root(request)
