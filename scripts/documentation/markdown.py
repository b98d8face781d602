"""The fenced blocks of a Markdown page, found by the very parser that renders the site."""

from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

EXTENSIONS = ("attrs_block", "attrs_inline", "colon_fence", "deflist")
"""MyST's syntax extensions; docs/conf.py takes them from here, so that both parsers are the same."""

# Directives whose body is Markdown, so that blocks may stand in them, and those whose body holds no block for readers
# to copy. A directive that is in neither list is refused: a block in it could be missed.
CONTAINERS = {
    *("admonition", "attention", "caution", "danger", "dropdown", "error", "grid", "grid-item", "grid-item-card"),
    *("hint", "important", "note", "seealso", "tab-item", "tab-set", "tip", "warning"),
}
LEAVES = {
    *("diagram", "figure", "image", "index", "list-table", "measured"),
    *("placeholders", "toctree", "values", "verification"),
}


@dataclass(frozen=True)
class Fence:
    """An ordinary fenced block: its language, its text with the last newline, its attributes, its line (from 1)."""

    language: str
    text: str
    attributes: dict[str, str]
    line: int


@dataclass(frozen=True)
class Oddity:
    """A form in which a block could hide, or that was surely not meant: its line (from 1) and a sentence."""

    line: int
    what: str


@dataclass(frozen=True)
class FrontMatter:
    """The YAML between the `---` lines at the top of a page, unread; its first line is line 2."""

    text: str


def parse(text: str) -> Iterator[Fence | Oddity | FrontMatter]:
    """Everything in `text` that matters to the runner, in reading order."""
    parser = create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), RendererHTML)
    yield from _walk(parser, text, first_line=1)


def _walk(parser: MarkdownIt, text: str, first_line: int) -> Iterator[Fence | Oddity | FrontMatter]:
    lines = text.splitlines()
    for token in parser.parse(text, {}):
        line = first_line + (token.map[0] if token.map else 0)
        if token.type in ("fence", "colon_fence"):
            yield from _fence(parser, token, lines, line)
        elif token.type == "front_matter":
            yield FrontMatter(token.content)
        elif token.type == "code_block":
            yield Oddity(line, "An indented block has no kind. Write it as a fenced block.")
        elif token.type == "html_block":
            yield Oddity(line, "Raw HTML could hold a block. Write Markdown instead.")
        elif token.type == "inline" and token.content.startswith(("{.", "{#")):
            yield Oddity(
                line, 'This attribute line cannot be read. Write it as {.kind key="value"}, with double quotes.'
            )
        elif token.nesting == 1 and token.attrs.get("class"):
            yield Oddity(line, "This attribute line stands above no block. Move it to the line above the fence.")


def _fence(parser: MarkdownIt, token: Token, lines: list[str], line: int) -> Iterator[Fence | Oddity | FrontMatter]:
    assert token.map  # noqa: S101 - markdown-it gives every fence its lines
    if token.map[1] - token.map[0] < 2 or not _closes(lines[token.map[1] - 1], token.markup):
        yield Oddity(line, f"This fence is never closed. Add a line with {token.markup} at its end.")
        return
    info = token.info.strip()
    name = info.split(maxsplit=1)[0] if info else ""
    if not name.startswith("{"):
        if token.type == "colon_fence":
            yield Oddity(line, "A fence of colons holds no block. Write it with backticks.")
        else:
            attributes = {key: str(value) for key, value in token.attrs.items()}
            yield Fence(name, token.content, attributes, line)
        return
    directive = name.strip("{}")
    if directive in CONTAINERS:
        for found in _walk(parser, token.content, first_line=line + 1):
            # What looks like front matter in a directive is its options.
            if not isinstance(found, FrontMatter):
                yield found
    elif directive not in LEAVES:
        yield Oddity(
            line,
            f"The directive {{{directive}}} is not known to the runner, so a block in it could be missed. "
            "Write an ordinary fenced block, or add the directive to scripts/documentation/markdown.py.",
        )


def _closes(line: str, markup: str) -> bool:
    """Whether `line` ends a fence that began with `markup`, in a list or a quote as well."""
    last = line.lstrip(" >").rstrip()
    return len(last) >= len(markup) and not last.strip(markup[0])
