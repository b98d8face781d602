"""Blocks that run, as readers see them; and a warning, which ends the build, for a block not accounted for."""

from pathlib import Path

from documentation import placeholders
from documentation.blocks import Block, Kind, Page, tolerant_forms
from documentation.expected_output import FORMS
from documentation.page_files import complaints, pages_in
from documentation.placeholders import Placeholder
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)


class Placeholders(SphinxDirective):
    """`{placeholders}`: the words on this page that a reader replaces."""

    def run(self) -> list[nodes.Node]:
        """A list with an item for each placeholder, in the order of use."""
        known, _ = placeholders.declared(Path(self.env.srcdir))
        used = _used(_page(self.env.app, self.env.docname))
        entries = [known[name] for name in used if name in known]
        if not entries:
            raise self.error("This page uses no placeholder. Remove {placeholders}.")
        return [nodes.bullet_list("", *map(_item, entries), classes=["placeholders"])]


def read_pages(app: Sphinx) -> None:
    """Read all pages with the runner's own reader, and warn of everything that is wrong in them."""
    folder = Path(app.srcdir)
    app.page_blocks = pages_in(folder)  # type: ignore[attr-defined]
    for complaint in complaints(folder, app.page_blocks):  # type: ignore[attr-defined]
        logger.warning("%s", complaint.what, location=f"{complaint.page}:{complaint.line}", type="pages")


def decorate(app: Sphinx, doctree: nodes.document) -> None:
    """Say beside each block what is done with it, where its looks do not say so; warn if a block was missed."""
    docname = app.env.docname
    page = _page(app, docname)
    found = list(doctree.findall(nodes.literal_block))
    if page.complaints:
        return
    if [node.astext() for node in found] != [block.text for block in page.blocks]:
        logger.warning("Sphinx shows other blocks than the runner reads.", location=docname, type="pages")
        return
    if _used(page) and not any("placeholders" in node["classes"] for node in doctree.findall(nodes.bullet_list)):
        what = "This page uses placeholders. Show them to readers with {placeholders} before the first one."
        logger.warning(what, location=docname, type="pages")
    for node, block in zip(found, page.blocks, strict=True):
        before, after = _notes(block)
        position = node.parent.index(node)
        if after:
            node.parent.insert(position + 1, _note(after))
        if before:
            node.parent.insert(position, _note(before))


def _page(app: Sphinx, docname: str) -> Page:
    pages: dict[Path, Page] = app.page_blocks  # type: ignore[attr-defined]
    return pages[Path(app.env.doc2path(docname)).resolve()]


def _used(page: Page) -> list[str]:
    return list(dict.fromkeys(name for block in page.blocks for name in placeholders.used(block)))


def _notes(block: Block) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Words before and after the block."""
    match block.kind:
        case Kind.FILE | Kind.VALUES | Kind.MANIFEST if "path" in block.options:
            return [nodes.Text("Save as "), _literal(block.options["path"]), nodes.Text(":")], []
        case Kind.BACKGROUND:
            until = _literal(block.options["until"])
            return [], [nodes.Text("It runs in the background. Continue when you see "), until, nodes.Text(".")]
        case Kind.OUTPUT if tolerant_forms(block):
            words = [FORMS[form].plural for form in tolerant_forms(block)]
            listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
            return [nodes.Text("Output:")], [nodes.Text(f"{listed[0].upper()}{listed[1:]} will differ.")]
        case Kind.OUTPUT:
            return [nodes.Text("Output:")], []
        case Kind.SKIP:
            return [], [nodes.strong("", "Not run: "), nodes.Text(block.options["reason"])]
    return [], []


def _literal(text: str) -> nodes.literal:
    return nodes.literal("", text)


def _note(children: list[nodes.Node]) -> nodes.paragraph:
    return nodes.paragraph("", "", *children, classes=["block-note"])


def _item(entry: Placeholder) -> nodes.list_item:
    words = [nodes.Text("Replace "), _literal(entry.name), nodes.Text(f" with {entry.meaning}, for example ")]
    return nodes.list_item("", nodes.paragraph("", "", *words, _literal(entry.example), nodes.Text(".")))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register."""
    app.add_directive("placeholders", Placeholders)
    app.connect("builder-inited", read_pages)
    app.connect("doctree-read", decorate)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
