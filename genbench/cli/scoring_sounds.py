"""Opens two sets of clips for `genbench evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.cli.sides import Opened, Request, Show, refuse_unused_root, tell
from genbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.features.extractor import Features

__all__ = ["open_sounds_of"]


def open_sounds_of(request: Request, show: Show) -> Opened:
    """Open both sides, convert the items to the form of the reference, and refuse options that have no effect."""
    from genbench.cell import preflight
    from genbench.datasets.external_sounds import as_reference, open_sounds
    from genbench.datasets.sounds import Form
    from genbench.features.extractor import extract
    from genbench.kinds.audio import Audio
    from genbench.machine import environment

    _refuse_unused(request)
    device = environment.share(request.settings.device)
    found = open_sounds(request.items)
    if request.reference is not None:
        data, remarks = as_reference(open_sounds(request.reference))
        limit = len(data.train)
    else:
        data, limit = preflight.load_dataset(str(request.dataset), request.settings), None
        remarks = [] if data.remark is None else [data.remark]
    kind = data.kind
    if not isinstance(kind, Audio):
        raise InputError(f"{request.items} holds clips and {data.name} {kind.noun}; compare items of one kind")
    extractor = preflight.load_extractor(data, request.settings, device, lambda event: tell(show.step, event))
    said = list[str]()

    def read() -> tuple[Tensor, Features]:
        split, told = found.split(Form(kind.sample_rate, *data.shape), show.step("reading"))
        said.extend(told)
        return split.items, extract(extractor, split.items, progress=show.step("features"))

    return Opened(len(found.files), data, limit, extractor, dict, read, lambda: remarks + said)


def _refuse_unused(request: Request) -> None:
    if request.settings.image_size is not None:
        raise InputError("--image-size has no effect on clips; leave it out")
    if request.skip_corrupt:
        raise InputError("--skip-corrupt has no effect on clips; leave it out")
    refuse_unused_root(request)
