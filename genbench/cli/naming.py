"""Names flags as the user typed them, where an error names the settings that they set."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator

from genbench.errors import InputError

__all__ = ["naming_flags"]


@contextlib.contextmanager
def naming_flags(given: Collection[str]) -> Iterator[None]:
    """Write `--image-size` for `image_size` in an error about the request.

    Args:
        given: the parameters that were given as flags; others are keys of a benchmark file, and keep their names.
    """
    try:
        yield
    except InputError as error:
        error.args = tuple(
            _NAME.sub(lambda found: _flag(found[0]) if found[0] in given else found[0], str(line))
            for line in error.args
        )
        raise


# A name with an underscore is no word of a sentence, unlike `compile`; names inside paths and options are left alone.
_NAME = re.compile(r"(?<!\S)[a-z]+(?:(?:_[a-z]+)+(?![^\s,;])|(?= (?:and \S+ )?cannot be combined))")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
