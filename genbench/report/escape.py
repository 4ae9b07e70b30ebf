"""Escapes text supplied by plugins for Markdown and HTML: it is shown as written, never as markup, link or path.

For a terminal or a CSV file, `genbench.plugin.visible` is enough.
"""

from __future__ import annotations

import html as html_module
import re

from genbench.plugin.visible import visible

__all__ = ["code", "fence", "html", "link_target", "one_line", "text"]

# Backslashes where GitHub and CommonMark agree on them, entities where they do not: a backslash before a pipe in a
# table, a dollar in GitHub's mathematics, the colon, "www." and "@" in its bare links.
_MARKUP = re.compile(r"[\\`*_\[\]~#<>&|$@]|://|www\.", re.IGNORECASE)
_BACKSLASHED = frozenset("*_[]~#")
_SAFE_IN_CODE = re.compile(r"[^`|\\]+")


def one_line(value: object) -> str:
    """Return `value` as one line of printable text, with each run of whitespace as one space.

    >>> one_line("two\\nlines")
    'two lines'
    """
    return visible(" ".join(str(value).split()))


def text(value: object) -> str:
    r"""Return `value` for use in a line of Markdown or a table cell, free of markup, HTML, mathematics and links.

    >>> text("<b>*x*</b> | y")
    '&#60;b&#62;\\*x\\*&#60;/b&#62; &#124; y'
    """

    def replaced(found: re.Match[str]) -> str:
        if found[0] in _BACKSLASHED:
            return f"\\{found[0]}"
        return "".join(character if character.isalpha() else f"&#{ord(character)};" for character in found[0])

    return _MARKUP.sub(replaced, one_line(value))


def code(value: object) -> str:
    """Return `value` in monospace, for names; for use in a line of Markdown or a table cell.

    >>> code("vae:beta=4")
    '`vae:beta=4`'
    >>> code("a|b")
    '<code>a&#124;b</code>'
    """
    shown = one_line(value)
    if _SAFE_IN_CODE.fullmatch(shown):
        return f"`{shown}`"
    return f"<code>{text(shown)}</code>"


def html(value: object) -> str:
    """Return `value` for use as HTML text or as an attribute value in double quotes."""
    return html_module.escape(one_line(value))


def fence(value: object, language: str = "") -> str:
    """Return `value` as a fenced block that its content cannot close: for tracebacks, logs and JSON."""
    content = visible(str(value).replace("\r\n", "\n"), keep="\n\t").rstrip("\n")
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{content}\n{ticks}"


def link_target(path: str) -> str:
    """Return a relative path as the target of a Markdown link.

    >>> link_target("samples/a b(1).png")
    'samples/a%20b%281%29.png'
    """
    # Not urllib.parse.quote: it leaves "~", and a colon in the first part would still read as a scheme.
    return "".join(
        character
        if re.fullmatch(r"[A-Za-z0-9/._-]", character)
        else "".join(f"%{byte:02X}" for byte in character.encode())
        for character in path
    )
