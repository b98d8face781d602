"""`{diagram}`: a Graphviz drawing in the page itself, in the page's colours, with words for those who do not see it."""

import re
import subprocess
from html import escape
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

# The font that `dot` measures with; the page's own are narrower, so that every text fits its box.
DEFAULTS = (
    "-Gbgcolor=transparent",
    "-Gfontname=DejaVu Sans",
    "-Nfontname=DejaVu Sans",
    "-Efontname=DejaVu Sans",
    "-Gfontsize=11",
    "-Nfontsize=11",
    "-Efontsize=10",
    "-Nshape=box",
    "-Nstyle=rounded",
)


class Diagram(SphinxDirective):
    """The body is a graph in the language of `dot`; `:alt:` says in words what the drawing shows."""

    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """The drawing as SVG in the page; other formats get the words."""
        alt = " ".join(self.options.get("alt", "").split())
        if not alt:
            raise self.error("A diagram needs `:alt:` with what it shows in words.")
        drawn = subprocess.run(
            ["dot", "-Tsvg", *DEFAULTS], input="\n".join(self.content), capture_output=True, text=True, check=False
        )
        if drawn.returncode or drawn.stderr:
            raise self.error(f"dot does not draw this: {drawn.stderr.strip()}")
        svg = drawn.stdout[drawn.stdout.index("<svg") :]
        width = re.search(r'<svg width="(\d+)pt"', svg)
        svg = re.sub(r'<svg width="\d+pt" height="\d+pt"', f'<svg role="img" aria-label="{escape(alt)}"', svg, count=1)
        svg = re.sub(r"<title>.*?</title>|<!--.*?-->", "", svg, flags=re.DOTALL)  # tool tips of names nobody chose
        # `dot` numbers its elements in every drawing from 1, and a page may have two.
        svg = re.sub(r' id="[^"]*"', "", svg)
        style = f"max-width: {int(width.group(1)) * 1.1:.0f}pt" if width else ""
        html = f'<div class="diagram" tabindex="0" role="group" aria-label="Diagram">{svg}</div>'
        html = html.replace('role="img"', f'role="img" style="{style}"', 1)
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register."""
    app.add_directive("diagram", Diagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
