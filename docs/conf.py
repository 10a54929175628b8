"""Configuration of the site: `python -m sphinx -W --keep-going docs build/site` (also in `nox -s lint`).

The pages are plain Markdown, and GitHub shows them as they are. What only the site has is made when it is built: a page
for each command from its own help page, the reference from docstrings, and copies of the pages outside `docs/` that are
linked.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from site_pages import command_pages, contents, outside_pages, reference_pages  # noqa: E402

project = "Head-to-Head"
author = "The authors of Head-to-Head"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
exclude_patterns = ["site_pages"]
#: Options begin with two hyphens, which must stay two.
smartquotes = False
html_theme = "furo"
html_title = project
html_show_copyright = False

#: Links name headings as GitHub does.
myst_heading_anchors = 4
myst_enable_extensions = ["strikethrough"]

nitpicky = True
#: Types of other packages: their references are not part of this site; a type variable has no page either.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!(?:backends|bench)\.[a-z_.]+).*"),
    (r"py:class", r"backends\.task_entries\.Entry"),
    (r"py:obj", r"backends\.task\.Value"),
]
#: One backquote is code in docstrings.
default_role = "code"
autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "member-order": "bysource",
    "exclude-members": "model_config",
}
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
#: The tables of a run are a page that begins with a smaller heading.
suppress_warnings = ["myst.header"]


def write_pages(app: Sphinx) -> None:
    """Write the pages that only the site has. A page that has not changed keeps its date, and is not read again."""
    pages = command_pages.make_pages() | reference_pages.make_pages() | outside_pages.make_pages(DOCS)
    for folder in (command_pages.FOLDER, reference_pages.FOLDER, outside_pages.FOLDER):
        for path in (DOCS / folder).rglob("*.md"):
            if path.relative_to(DOCS).as_posix() not in pages:
                path.unlink()
    for name, text in pages.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def complete_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Add to a page what GitHub would not show: where it stands in the contents, and where outside pages are here."""
    page = f"{name}.md"
    source[0] = outside_pages.turn_links(source[0], page) + contents.make_contents(source[0], page)


def copy_first_page(app: Sphinx, error: Exception | None) -> None:
    """Give the first page the name that a web server looks for."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Connect the steps of the build."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", complete_page)
    app.connect("build-finished", copy_first_page)
