"""What identifies a plugin's code: every file that it comes from, and the versions of the libraries that it wraps.

The files are found by reading, never by importing: `reading` takes imports and named files from a source, `installed`
says what is a versioned distribution, `coverage` follows from file to file, `files` hashes what it found. `witness`
looks, in the process that runs the model, whether anything else was read.
"""

from __future__ import annotations

from genbench.plugin.source_hash.coverage import coverage
from genbench.plugin.source_hash.files import Coverage, Source
from genbench.plugin.source_hash.installed import canonical, wrapped_versions

__all__ = ["Coverage", "Source", "canonical", "coverage", "wrapped_versions"]
