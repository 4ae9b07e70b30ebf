"""The site: the repository's own Markdown files, and the API reference that Sphinx reads from the docstrings.

The source folder is the repository, so a link that works in the repository works on the site too: `make site`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

import genbench  # noqa: E402  (it is found by the line above)

project = "genbench"
author = "the genbench authors"
release = version = genbench.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "repository"]
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/**.md", "plugins/*/README.md"),
    # Only the reports that the gallery shows: others in that folder are somebody's own.
    *re.findall(r"\]\(\.\./(reports/[^)#]+\.md)", (ROOT / "docs" / "gallery.md").read_text()),
]
# What is not even looked through: environments, caches, and what a build or a benchmark leaves.
exclude_patterns = [".*", "**/.*", "build", "dist", "mutants", "genbench", "tests", "reports/*/records"]
root_doc = "docs/index"

# The sidebar. A page that matches nothing here is added to the end of the guides.
navigation = {
    "Start": ["README", "docs/coming-from"],
    "Tutorials": [
        "docs/tutorials/first-benchmark",
        "docs/write-a-plugin",
        "docs/tutorials/class-conditional-plugin",
        "docs/tutorials/gate-your-ci",
        "docs/tutorials/score-a-folder",
        "docs/tutorials/study-with-people",
        "docs/tutorials/*",
    ],
    "Guides": [
        "docs/datasets",
        "docs/running",
        "docs/environment",
        "docs/cluster",
        "docs/aggregate",
        "docs/ci",
        "docs/regression",
        "docs/studies",
    ],
    "Extend": ["docs/write-a*", "docs/observers", "plugins/*/README"],
    "Gallery": ["docs/gallery", "reports/digits/report", "reports/names/report", "reports/*"],
    "Reference": ["docs/api", "docs/metrics", "docs/performance"],
    "Project": ["CHANGELOG", "CONTRIBUTING", "docs/testing", "docs/decisions", "docs/deprecations", "SECURITY"],
}
navigation_rest = "Guides"
navigation_titles = {"README": "Overview", "CHANGELOG": "Changelog"}

myst_heading_anchors = 4
# Pages repeat the smaller headings of a report or skip a level, both of which read well.
suppress_warnings = ["myst.header", "toc.empty_glob"]

# Docstrings are written in Markdown's way: `name` is a name, and a link where there is one.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "genbench"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_permalinks_icon = "#"
pygments_style = "friendly"
pygments_dark_style = "native"
