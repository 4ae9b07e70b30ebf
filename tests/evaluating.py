"""What tests of `genbench evaluate` and its kin share: a command that succeeds, and one that is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genbench.cli.evaluate import evaluate
from genbench.errors import GenbenchError


def answer_of(command: Any, *arguments: object) -> Result:
    """What a command that succeeds prints, and what it says beside it."""
    answer = CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer


def refusal_of(command: Any, *arguments: object) -> str:
    """The one line that a command is refused with."""
    with pytest.raises(GenbenchError) as error:
        CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def run(*arguments: object) -> tuple[str, str]:
    """What `genbench evaluate` prints, and what it says beside it."""
    answer = answer_of(evaluate, *arguments)
    return answer.stdout, answer.stderr


def score(*arguments: object) -> dict[str, float]:
    """The numbers of `genbench evaluate`."""
    return {name: number["value"] for name, number in json.loads(run(*arguments, "--json")[0])["numbers"].items()}


def refused(*arguments: object) -> str:
    """The one line that `genbench evaluate` is refused with."""
    return refusal_of(evaluate, *arguments)
