"""`{measured}`: the tables of docs/performance.json, and what they were measured on."""

from pathlib import Path

from benchmarking import result
from benchmarking.result import Result
from benchmarking.tables import Line, Table, tables, verdict
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

FILE = "performance.json"
WORDS = {"kubernetes": "Kubernetes", "helm": "Helm", "chart": "chart", "binderhub": "BinderHub"}


class Measured(SphinxDirective):
    """A line on the run, and a section a table; what misses its bound is marked."""

    def run(self) -> list[nodes.Node]:
        """The nodes. The page is made anew when the file has changed."""
        file = Path(self.env.srcdir) / FILE
        self.env.note_dependency(str(file))
        if not file.exists():
            return [nodes.paragraph("", "No run is recorded yet.")]
        found = result.load(file)
        shown: list[nodes.Node] = [nodes.paragraph("", _on(found))]
        for table in tables(found):
            section = nodes.section(ids=[nodes.make_id(table.title)])
            section += [nodes.title("", table.title), _table(table)]
            self.state.document.note_implicit_target(section, section)
            shown.append(section)
        return shown


def _on(found: Result) -> str:
    versions = [f"{word} {found.versions[key]}" for key, word in WORDS.items() if key in found.versions]
    where = f"On {found.date}, {found.where}, on {found.machine}: {', '.join(versions)}, commit {found.commit[:7]}."
    return f"{where} {found.pairs} turns of each row. {verdict(tables(found))}"


def _table(table: Table) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=3 if not n else 2) for n in range(len(table.heads))))
    group["cols"] = len(table.heads)
    group += nodes.thead("", _row(Line(table.heads, held=True)))
    group += nodes.tbody("", *map(_row, table.lines))
    return nodes.table("", group)


def _row(line: Line) -> nodes.row:
    cells = [nodes.Text(cell) if line.held else nodes.strong("", cell) for cell in line.cells]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register."""
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
