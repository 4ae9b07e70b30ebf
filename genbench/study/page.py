"""A study's page: one HTML file that asks the questions, sends nothing, and does not reveal the items' sources."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

__all__ = ["data_text", "page", "study_hash"]


def data_text(data: Mapping[str, Any]) -> str:
    """Return the page's data as ASCII JSON that cannot close a script element; its bytes identify the study."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def study_hash(text: str) -> str:
    """Return the identity of a study; the page computes the same."""
    return hashlib.sha256(text.encode()).hexdigest()


def page(text: str) -> str:
    """Return the page of a study from its data.

    Its content security policy loads nothing from anywhere: items are inlined, and only the page's own script and style
    are allowed.
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
