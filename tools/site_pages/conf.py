"""Sphinx's settings for the site; `tools/website.py` lays out the sources and calls it.

The address of the public repository, for the badges that open a notebook on Colab and Binder, is
asked for in one place, the environment variable GITHUB_REPOSITORY ("owner/name"): GitHub's
workflows have it. Without it the site has no badges.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.search import SearchLanguage, languages

sys.path.insert(0, str(Path(__file__).parents[1]))
from site_words import THEME

project = "Dynamic quantization of LSTMs"
author = "The authors of the recipe"
repository = os.environ.get("GITHUB_REPOSITORY", "")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
default_role = "code"  # docstrings write code in single backticks
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
maximum_signature_line_length = 88
pygments_style = "tango"

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}
html_theme_options: dict[str, Any] = {
    "navbar_persistent": ["search-button", "languages"],
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "article_header_end": ["open_in"],
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "footer_start": [],
    "footer_end": [],
}
if repository:
    html_theme_options["icon_links"] = [
        {"name": "GitHub", "url": f"https://github.com/{repository}", "icon": "fa-brands fa-github"}
    ]


class SearchKorean(SearchLanguage):
    """Words of Korean text with their beginnings, since particles are written without a space."""

    lang = "ko"
    language_name = "Korean"

    def split(self, text: str) -> list[str]:
        """The words of a text, and of each Korean one its beginnings from two letters on."""
        words = super().split(text)
        beginnings = [
            word[:end] for word in words if "가" <= word[0] <= "힣" for end in range(2, len(word))
        ]
        return words + beginnings


languages["ko"] = SearchKorean


def mathml(self: Any, node: Any, *, as_block: bool) -> None:
    """Write a formula as MathML, which browsers draw without a program that is fetched."""
    self.body.append(latex2mathml.tex2mathml(node.astext(), as_block=as_block))
    raise nodes.SkipNode


def as_written(_app: Any, _kind: str, _name: str, _value: Any, _how: Any, lines: list[str]) -> None:
    """Let |x| in a docstring be an amount, and a letter follow code in backticks."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`+[^`]*`+)", line)
        parts[::2] = [re.sub(r"^(?=\w)", r"\\ ", part.replace("|", r"\|")) for part in parts[::2]]
        lines[number] = "".join(parts).removeprefix(r"\ ")


def setup(app: Any) -> None:
    """Tell Sphinx about docstrings, formulas, and Korean words that the theme lacks."""
    app.connect("autodoc-process-docstring", as_written)
    words = Path(app.doctreedir, "words", "ko", "LC_MESSAGES")
    words.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(locale="ko")
    for english, korean in THEME.items():
        catalog.add(english, korean)
    with (words / "sphinx.mo").open("wb") as compiled:
        write_mo(compiled, catalog)
    app.add_message_catalog("sphinx", str(words.parents[1]))
    app.add_html_math_renderer(
        "mathml",
        (lambda self, node: mathml(self, node, as_block=False), None),
        (lambda self, node: mathml(self, node, as_block=True), None),
    )
