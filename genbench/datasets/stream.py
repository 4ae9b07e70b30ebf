"""Decodes image files chunk by chunk, in order and ahead of use; for many images, in several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genbench.datasets.decoding import Place, fault_of, fit_square, read_pixels

__all__ = ["Chunk", "Decoding", "decoded"]

PROCESSES_FROM = 4096  # images: threads decode fewer than this before processes would have started
_CHUNK_BYTES = 8 << 20
_LARGEST_CHUNK = 64  # images


@dataclass(frozen=True)
class Decoding:
    """How each image is decoded.

    Args:
        shape: (C, H, W) with C of 1 or 3; the shape that each image must have in the end.
        resize: whether it is resized and cropped to H × W, which are then equal.
        alpha: `ON_WHITE` or `DROPPED`.
    """

    shape: tuple[int, int, int]
    resize: bool
    alpha: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive images.

    Args:
        pixels: (n, C, H, W) uint8 of the images that could be decoded.
        faults: the index of each other image, and the reason.
        count: the total of both.
        transparent: whether any of those that could be decoded is transparent.
    """

    pixels: npt.NDArray[np.uint8]
    faults: tuple[tuple[int, str], ...]
    count: int
    transparent: bool = False


def decoded(places: Sequence[Place], how: Decoding) -> Iterator[Chunk]:
    """Decode images in order, a few chunks ahead, so that memory does not grow with the number of images."""
    size = max(1, min(_LARGEST_CHUNK, _CHUNK_BYTES // int(np.prod(how.shape))))
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Chunk]] = deque()
    with _pool(len(places), min(16, workers)) as pool:
        try:
            for start in range(0, len(places), size):
                waiting.append(pool.submit(_decode, places[start : start + size], start, how))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # the reader has stopped
                future.cancel()


def _pool(count: int, workers: int) -> Executor:
    """Return a thread pool for few images, or for many a process pool, which avoids contention for the GIL."""
    if count < PROCESSES_FROM:
        return ThreadPoolExecutor(workers)
    # Spawned, as a fork of a process with threads may inherit their locks; they import no torch.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave interrupts to the parent, and exit when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _decode(places: Sequence[Place], start: int, how: Decoding) -> Chunk:
    side = how.shape[1]
    pixels = np.empty((len(places), *how.shape), np.uint8)
    faults: list[tuple[int, str]] = []
    transparent = False
    for index, place in enumerate(places, start):
        try:
            image, see_through = read_pixels(
                place, how.shape[0] == 1, lambda image: fit_square(image, side) if how.resize else image, how.alpha
            )
            if image.shape != how.shape:  # it has changed since its header was read
                raise ValueError(f"it is {image.shape[2]}x{image.shape[1]} and not as its header says")
            pixels[index - start - len(faults)] = image
            transparent |= see_through
        except Exception as error:  # PIL passes on whatever each format's reader raises
            faults.append((index, fault_of(error)))
    return Chunk(pixels[: len(places) - len(faults)], tuple(faults), len(places), transparent)
