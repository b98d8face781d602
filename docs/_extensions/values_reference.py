"""`{values}`: every value of the chart, from values.schema.yaml and values.yaml, each with an anchor of its own.

The anchor is the value's path, `values.html#dockerApi.image.tag`, and {value}`dockerApi.image.tag` links there.
"""

import json

import yaml
from chart_values.descriptions import MISSING, Value, of_chart
from common.paths import CHART
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

LONGEST_LINE = 70


class Values(SphinxDirective):
    """A section a value, those of a group within the group's."""

    def run(self) -> list[nodes.Node]:
        """The sections of the topmost values."""
        for name in ("values.schema.yaml", "values.yaml"):
            self.env.note_dependency(str(CHART / name))
        top: list[nodes.Node] = []
        open_ones: list[tuple[str, nodes.section]] = []
        for value in of_chart(CHART):
            while open_ones and not value.path.startswith((f"{open_ones[-1][0]}.", f"{open_ones[-1][0]}[].")):
                open_ones.pop()
            section = self._section(value)
            if open_ones:
                open_ones[-1][1].append(section)
            else:
                top.append(section)
            open_ones.append((value.path, section))
        return top

    def _section(self, value: Value) -> nodes.section:
        section = nodes.section(ids=[value.path], names=[value.path])
        section += nodes.title("", "", nodes.literal("", value.path))
        described = nodes.container()
        self.state.nested_parse(StringList([value.description], "values.schema.yaml"), 0, described)
        section += described.children
        if not value.group:
            section += _facts(value)
        self.env.domains.standard_domain.note_object("value", value.path, value.path, location=section)
        return section


def _facts(value: Value) -> list[nodes.Node]:
    """Type and default: this in the same line if it is short, else as the lines that values.yaml would have."""
    line = nodes.paragraph("", f"Type: {value.type}", classes=["value-facts"])
    if value.free:
        return [line]
    line += nodes.Text(" · Default: ")
    if value.default is MISSING or value.default is None:
        line += nodes.Text("not set")
        return [line]
    short = json.dumps(value.default, ensure_ascii=False)
    if len(short) <= LONGEST_LINE and "\\n" not in short:
        line += nodes.literal("", short)
        return [line]
    lines = yaml.dump(value.default, Dumper=_Readable, sort_keys=False, width=LONGEST_LINE, allow_unicode=True)
    shown = [nodes.line("", "", nodes.literal("", text)) if text else nodes.line() for text in lines.splitlines()]
    return [line, nodes.line_block("", *shown, classes=["value-default"])]


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks, as people write them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register."""
    app.add_crossref_type("value", "value")
    app.add_directive("values", Values)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
