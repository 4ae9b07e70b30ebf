"""A study's page: one HTML file that asks its questions, sends nothing, and says nothing of whose items they are."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

__all__ = ["data_text", "page", "study_hash"]


def data_text(data: Mapping[str, Any]) -> str:
    """Return what the page holds as JSON that is ASCII and ends no script element: its bytes identify the study."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def study_hash(text: str) -> str:
    """Return the identity of a study, as the page computes it too."""
    return hashlib.sha256(text.encode()).hexdigest()


def page(text: str) -> str:
    """Return the page of a study from its data.

    Its content security policy lets nothing in from anywhere: items are inlined, and of scripts and styles only those
    that it was made with run.
    """
    script, style = _asset("study.js"), _asset("study.css")
    policy = (
        "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src '{_source(script)}'; style-src '{_source(style)}'"
    )
    return _asset("study.html").format(policy=policy, style=style, data=text, script=script)


def _asset(name: str) -> str:
    return resources.files("genbench.study").joinpath("assets", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
