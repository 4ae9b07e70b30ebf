"""Identifies a plugin's code: all files that it comes from, and the versions of the libraries that it wraps.

The files are found by reading, never by importing: `reading` extracts imports and named files from source code,
`installed` recognises versioned distributions, `coverage` follows references from file to file, and `files` hashes the
result. `witness` checks, in the process that runs the model, whether anything else was read.
"""

from __future__ import annotations

from genbench.plugin.source_hash.coverage import coverage
from genbench.plugin.source_hash.files import Coverage, Source
from genbench.plugin.source_hash.installed import canonical, wrapped_versions

__all__ = ["Coverage", "Source", "canonical", "coverage", "wrapped_versions"]
