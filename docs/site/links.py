"""Find links that lead nowhere: in Markdown files, and in the site that was built from them.

`python docs/site/links.py build/site` checks the site. The exit code is 1 if a link is broken, or if a page would load
anything from the network. Addresses elsewhere are not visited.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CODE = re.compile(r"^(`{3,}).*?^\1[ \t]*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^(`{3,}).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(.+?)[ #]*$", re.MULTILINE)
TARGET = re.compile(r"\]\(<?([^()\s>]+(?:\([^()\s]*\)[^()\s>]*)?)>?\)")
HTML_ANCHOR = re.compile(r'<a id="([^"]+)"')
LOADED = {"link": "href"} | dict.fromkeys(("script", "img", "iframe", "audio", "video", "source"), "src")
CSS_LOADED = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)")


@dataclass
class Page(HTMLParser):
    """The links, the anchors and the loaded files of one HTML page."""

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to, names and loads."""
        given = {name: value for name, value in attributes if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif LOADED.get(tag) in given and given.get("rel") not in ("canonical", "next", "prev", "index", "search"):
            self.loaded.append(given[LOADED[tag]])


def faults_of_markdown(pages: Iterable[Path], root: Path) -> Iterator[str]:
    """Give a line for each relative link in these Markdown files whose file or heading does not exist."""
    for page in pages:
        for target in TARGET.findall(CODE.sub("", page.read_text())):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            found = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if found.is_dir() and (found / "README.md").is_file():
                found = found / "README.md"
            if not found.exists():
                yield f"{page.relative_to(root)}: {target}: no such file"
            elif parts.fragment and found.suffix == ".md" and unquote(parts.fragment) not in anchors(found.read_text()):
                yield f"{page.relative_to(root)}: {target}: no such heading"


def anchors(text: str) -> set[str]:
    """Return the anchors of a Markdown page: of its headings, as GitHub makes them, and those written as `<a id>`."""
    prose = FENCED.sub("", text)
    seen: Counter[str] = Counter()
    made = set(HTML_ANCHOR.findall(prose))
    for heading in HEADING.findall(prose):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return made


def faults_of_site(folder: Path) -> Iterator[str]:
    """Give a line for each link within the site that leads nowhere, and for each file that is loaded from elsewhere."""
    pages = {path.resolve(): _read(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for address in page.loaded:
            if urlsplit(address).netloc:
                yield f"{name}: loads {address} from the network"
        for target in [*page.links, *page.loaded]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not found.exists():
                yield f"{name}: {target}: no such file"
            elif parts.fragment and found in pages and unquote(parts.fragment) not in pages[found].anchors:
                yield f"{name}: {target}: no such anchor"
    for path in sorted(folder.rglob("*.css")):
        for address in CSS_LOADED.findall(path.read_text()):
            yield f"{path.relative_to(folder)}: loads {''.join(address)} from the network"


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


if __name__ == "__main__":
    found = list(faults_of_site(Path(sys.argv[1])))
    print("\n".join(found) or f"every link in {sys.argv[1]} leads somewhere")
    sys.exit(bool(found))
