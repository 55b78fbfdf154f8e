"""How the documentation is built: ``nox -s docs``.

The pages on the causes are kept beside the code, which shows them on the command line, too; they are copied in here at
each build, and the index that links to the originals is pointed at the copies.
"""

import re
from pathlib import Path
from typing import Any

from gradproof import __version__, _causes

project = "gradproof"
author = "the gradproof developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "gradproof"
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Inventories of other projects are fetched where there is a network, and never waited for where there is none.
intersphinx_mapping: dict[str, tuple[str, None]] = {}
nitpicky = False

_ORIGINALS = re.compile(r"\.\./src/gradproof/_causes/([\w-]+)\.md")


def _copy_causes(app: Any) -> None:
    """Writes the pages on the causes where Sphinx looks for pages."""
    folder = Path(app.srcdir) / "causes"
    folder.mkdir(exist_ok=True)
    for slug in _causes.slugs():
        path, text = folder / f"{slug}.md", "---\norphan: true\n---\n\n" + _causes.page(slug).text
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _point_at_copies(app: Any, document: str, source: list[str]) -> None:
    if document == "causes":
        source[0] = _ORIGINALS.sub(r"causes/\1.md", source[0])


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("builder-inited", _copy_causes)
    app.connect("source-read", _point_at_copies)
