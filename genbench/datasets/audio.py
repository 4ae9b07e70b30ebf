"""Any directory of audio files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from genbench.datasets import sounds
from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import fault_of
from genbench.datasets.held_out import compared, own_path
from genbench.datasets.listing import Listing, Wanted, listed
from genbench.datasets.mapping import release
from genbench.datasets.options import positive, whole_number
from genbench.datasets.sound_file import SUFFIXES, Sound, is_sound_name
from genbench.datasets.sounds import Form
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.errors import InputError
from genbench.kinds.audio import Audio

__all__ = ["Options", "load", "load_files", "options_of"]

_WANTED = Wanted(is_sound_name, "sounds", ", ".join(SUFFIXES))
_RELEASED_AFTER = 256  # clips: their pages are released once written


def load(request: Request) -> Dataset:
    """Load a directory of audio files: WAV, FLAC and OGG, in any sample format, with one or two channels.

    `rate=N` resamples files with a different rate; `channels=1` takes the mean of two channels. `seconds=S` takes the
    beginning of each file and pads shorter ones with silence; `window=S` takes all whole windows of each file in
    sequence, reading one at a time. Without these options all files must have the same form. Split and classes work as
    for `folder`; for a single file read with `window=`, the end is held out. `held_out=PATH` holds out all of another
    folder, whose files must have the same form. The `remark` of the dataset lists what was changed.

    Raises:
        InputError: one line: no such folder, no audio files, an unreadable file, or files that differ.
    """
    if request.image_size is not None:
        raise request.fault(f"--image-size {request.image_size} has no effect on clips; leave it out")
    listing, passed = listed(request, _WANTED, one_may_do="window" in request.options)
    return load_files(request, listing, passed)


@dataclass(frozen=True)
class Options:
    """What is asked of all clips; None where nothing is.

    Args:
        seconds: the length of a clip or of a window.
        rate: in Hz.
        channels: 1 or 2.
    """

    seconds: float | None
    rate: int | None
    channels: int | None


def options_of(request: Request) -> Options:
    """Parse `seconds=`, `window=`, `rate=` and `channels=`.

    Raises:
        InputError: a value is invalid, or both lengths are given.
    """
    options = request.options
    if "seconds" in options and "window" in options:
        raise request.fault("seconds= takes the beginning of each file, window= all windows; give one of them")
    name = "window" if "window" in options else "seconds"
    seconds = positive(request, name, options[name]) if name in options else None
    rate = whole_number(request, "rate", options["rate"], 1) if "rate" in options else None
    channels = whole_number(request, "channels", options["channels"], 1) if "channels" in options else None
    if channels is not None and channels > sounds.MOST_CHANNELS:
        raise request.fault(f"channels must be 1 or 2, not {channels}")
    if rate is not None:
        try:
            sounds.check_rate(rate)
        except InputError as error:
            raise request.fault(str(error)) from error
    return Options(seconds, rate, channels)


def load_files(request: Request, listing: Listing, told: Sequence[str] = ()) -> Dataset:
    """Load the files of a listing according to the request's options.

    Args:
        request: the user's request.
        listing: of the files; if there is only one, its end is held out.
        told: remarks for the user, in addition to what is changed.
    """
    root = listing.root
    try:
        stamps = file_stamps(root, listing.names)
        found = sounds.headers(root, listing.names)
    except OSError as error:
        raise request.fault(f"cannot read {error.filename}: {fault_of(error)}") from error
    except InputError as error:
        raise request.fault(str(error)) from error
    if request.own_held_out is not None:
        _require_one_form(request, found[: listing.train_count], found[listing.train_count :])
    form = _form(request, found)
    counts = np.array(sounds.clip_counts(found, form))
    train_count = int(counts[: listing.train_count].sum())
    if len(listing.names) == 1:
        if counts[0] < 2:
            raise request.fault(f"{root} holds {counts[0]} windows; one to train on and one to hold out are needed")
        train_count -= request.held_out_of(train_count)
    if not 0 < train_count < counts.sum():
        raise request.fault(f"windows of {form.seconds:g} s are longer than all files of a split; ask for shorter ones")
    key = f"{root.resolve()} {form} {request.part.held_out if not listing.split_by_folders else None}"
    if (own := own_path(request)) is not None:
        key += f" {own.resolve()}"
    kind = Audio(form.rate)

    def plan() -> Plan:
        labels = listing.labels
        return Plan(
            shape=(int(counts.sum()), form.channels, form.length),
            train_count=train_count,
            labels=None if labels is None else np.repeat(labels, counts),
            class_names=listing.class_names,
            fill=lambda target: _filled(request, found, form, target),
        )

    dataset = keep(request, key, stamps, lambda: compared(request, plan(), kind), kind)
    said = [*told, *sounds.remarks(found, form), *([dataset.remark] if dataset.remark else [])]
    return replace(dataset, remark=f"{root}: {'; '.join(said)}" if said else None)


def _require_one_form(request: Request, train: Sequence[Sound], held_out: Sequence[Sound]) -> None:
    """Refuse two folders that differ in form: the held-out files would change the training items."""
    one, other = _form(request, train), _form(request, held_out)
    if one != other:
        raise request.fault(
            f"{request.argument} holds {_described(one)}, and {request.own_held_out} {_described(other)}; with rate=, "
            "channels= and seconds= convert both to one form"
        )


def _described(form: Form) -> str:
    return f"clips of {form.seconds:.4g} s at {form.rate} Hz, {form.channels} channel{'s' * (form.channels > 1)}"


def _form(request: Request, found: Sequence[Sound]) -> Form:
    wanted = options_of(request)
    try:
        return sounds.common_form(
            found, wanted.seconds, wanted.rate, wanted.channels, windowed="window" in request.options
        )
    except InputError as error:
        raise request.fault(str(error)) from error


def _filled(request: Request, found: Sequence[Sound], form: Form, target: sounds.Clips) -> str | None:
    written = torch.from_numpy(target)

    def after(done: int) -> None:
        if done % _RELEASED_AFTER == 0:
            release(written)
        if request.progress is not None:
            request.progress(done, len(target))

    try:
        return sounds.fill(found, form, target, after)
    except InputError as error:
        raise request.fault(str(error)) from error
