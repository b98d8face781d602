"""What the record says of a page: a badge below its title, and a page with every block of every run."""

from pathlib import Path

from documentation import record, status
from documentation.blocks import Kind, Page
from documentation.outcome import Outcome
from documentation.page_files import pages_in
from documentation.record import Record, State
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

VERIFICATION = "reference/verification"
SENTENCES = {
    State.VERIFIED: "Every command below was run as printed.",
    State.CHANGED: "The page or the chart is newer than the last run.",
    State.FAILED: "In the last run, a block did not do what the page says.",
    State.NEVER: "There is no recorded run of this page.",
}


class Verification(SphinxDirective):
    """`{verification}`: the counts, a table of pages, and below it a section a page with all its blocks."""

    def run(self) -> list[nodes.Node]:
        """Counts, table, sections."""
        folder = Path(self.env.srcdir)
        records, states = record.load(folder), status.states(folder)
        pages = {str(path.relative_to(folder.resolve())): page for path, page in pages_in(folder).items()}
        total = status.counts([block for page in pages.values() for block in page.blocks])
        counted = [f"{total[sort]} {sort}" for sort in dict.fromkeys(status.COUNTED.values())]
        shown: list[nodes.Node] = [
            nodes.paragraph("", f"Of {total.total()} blocks on these pages: {', '.join(counted)}, 0 unaccounted for."),
            _table(
                ("Page", "State", "Date", "With", "Where", "Seconds"),
                (3, 2, 2, 4, 3, 1),
                [_summary(name, pages[name], state, records.get(name)) for name, state in states.items()],
            ),
        ]
        for name in states:
            section = nodes.section(ids=[f"blocks-of-{nodes.make_id(name)}"])
            section += nodes.title("", f"Blocks of {name.removesuffix('.md')}")
            section += _blocks(pages[name], records.get(name))
            self.state.document.note_implicit_target(section, section)
            shown.append(section)
        return shown


def add_badge(app: Sphinx, doctree: nodes.document) -> None:
    """Put the badge below the title of a page that has commands."""
    docname = app.env.docname
    folder = Path(app.srcdir)
    state = status.states(folder).get(f"{docname}.md")
    title = next(iter(doctree.findall(nodes.title)), None)
    if state is None or title is None:
        return
    known = record.load(folder).get(f"{docname}.md")
    badge = nodes.paragraph("", "", classes=["badge-line", f"badge-{state.name.lower()}"])
    badge += [nodes.strong("", f"{state.capitalize()}."), nodes.Text(f" {SENTENCES[state]}")]
    if known:
        badge += nodes.Text(" " + " · ".join([known.date, *_versions(known), known.where]))
    badge += [nodes.Text(" "), _link(VERIFICATION, "What was run")]
    title.parent.insert(title.parent.index(title) + 1, badge)


def _versions(known: Record) -> list[str]:
    words = {"kubernetes": "Kubernetes", "helm": "Helm", "chart": "chart", "engine": "engine", "binderhub": "BinderHub"}
    return [f"{word} {known.versions[key]}" for key, word in words.items() if key in known.versions]


def _summary(name: str, page: Page, state: State, known: Record | None) -> list[nodes.Node]:
    link = _link(name.removesuffix(".md"), name.removesuffix(".md"))
    if known is None:
        return [link, nodes.Text(state), *(nodes.Text("") for _ in range(4))]
    return [
        link,
        nodes.Text(state),
        nodes.Text(known.date),
        nodes.Text(", ".join([*_versions(known), f"commit {known.commit[:7]}"])),
        nodes.Text(known.where),
        nodes.Text(f"{known.seconds:.0f} of {page.settings.budget:.0f}"),
    ]


def _blocks(page: Page, known: Record | None) -> nodes.table:
    """Every block of the recorded run; of the page as it is now, where none is recorded."""
    reasons = {block.line: block.options["reason"] for block in page.blocks if block.kind is Kind.SKIP}
    outcomes = (
        known.blocks
        if known
        else [Outcome(step.block.line, step.block.kind, step.title, "not yet run", 0.0) for step in page.steps]
    )
    rows: list[list[nodes.Node]] = []
    for outcome in outcomes:
        said = outcome.outcome
        if outcome.kind == Kind.SKIP and outcome.line in reasons:
            said = f"skipped: {reasons[outcome.line]}"
        seconds = f"{outcome.seconds:.1f}" if outcome.outcome in ("passed", "failed") else ""
        cells = [nodes.Text(str(outcome.line)), nodes.Text(outcome.kind), nodes.literal("", outcome.name)]
        rows.append([*cells, nodes.Text(said), nodes.Text(seconds)])
    return _table(("Line", "Kind", "Block", "Outcome", "Seconds"), (1, 2, 6, 4, 1), rows)


def _link(docname: str, words: str) -> nodes.Node:
    reference = addnodes.pending_xref(
        "", nodes.inline("", words), refdomain="std", reftype="doc", reftarget=f"/{docname}", refexplicit=True
    )
    reference["refwarn"] = True
    return reference


def _table(heads: tuple[str, ...], widths: tuple[int, ...], rows: list[list[nodes.Node]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in widths), cols=len(widths))
    group += nodes.thead("", _row([nodes.Text(head) for head in heads]))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group)


def _row(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register."""
    app.add_directive("verification", Verification)
    app.connect("doctree-read", add_badge)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
