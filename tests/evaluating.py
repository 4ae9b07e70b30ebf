"""Helpers for tests of `genbench evaluate` and similar commands: a command that succeeds, and one that is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genbench.cli.evaluate import evaluate
from genbench.errors import GenbenchError


def answer_of(command: Any, *arguments: object) -> Result:
    """Return the output and the notices of a command that succeeds."""
    answer = CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer


def refusal_of(command: Any, *arguments: object) -> str:
    """Return the one-line error of a command that is refused."""
    with pytest.raises(GenbenchError) as error:
        CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)
    assert "\n" not in str(error.value)
    return str(error.value)


def run(*arguments: object) -> tuple[str, str]:
    """Return the output and the notices of `genbench evaluate`."""
    answer = answer_of(evaluate, *arguments)
    return answer.stdout, answer.stderr


def score(*arguments: object) -> dict[str, float]:
    """Return the numbers of `genbench evaluate`."""
    return {name: number["value"] for name, number in json.loads(run(*arguments, "--json")[0])["numbers"].items()}


def refused(*arguments: object) -> str:
    """Return the one-line error of `genbench evaluate`."""
    return refusal_of(evaluate, *arguments)
