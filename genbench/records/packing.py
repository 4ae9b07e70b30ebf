"""Reads records into their compact form; what many records share is verified only once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from genbench.records.curve import layout_of
from genbench.records.fields import is_valid_apart
from genbench.records.files import foreign, record_of
from genbench.records.lean import Packed, packed_record
from genbench.records.schemas import SCHEMA, upgraded
from genbench.records.signed import signed

__all__ = ["PackedReader"]


class PackedReader:
    """Reads record after record, and refuses what `files.read_record` refuses, in the same words.

    A record goes the short way if its checksum matches, a record with the same template has gone the long way, and
    everything of its own is as genbench writes it. All others go the long way, which decides.
    """

    def __init__(self) -> None:
        self._valid: set[tuple[int, bytes]] = set()

    def __call__(self, path: Path, content: bytes) -> Packed:
        """Return the packed record in a file with this content.

        Raises:
            RecordError: as `files.read_record`.
        """
        return self._short(path, content) or packed_record(record_of(path, content).data)

    def _short(self, path: Path, content: bytes) -> Packed | None:
        try:
            data, fits = signed(content)
            schema = data["schema"]
            if not fits or schema not in range(1, SCHEMA + 1):
                return None
            record = upgraded(data)
            one = packed_record(record)
            template = schema, hashlib.blake2b(one.template, digest_size=16).digest()
            if template not in self._valid:
                record_of(path, content)
                self._valid.add(template)
            elif not one.layout or not is_valid_apart(record) or foreign(path, data):
                return None
            valid = layout_of(one.layout).is_valid(memoryview(one.curve).cast("d"))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            return None
        return one if valid else None
