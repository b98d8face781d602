"""The kinds of blocks, their attributes, and a page read into blocks and complaints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from documentation.error import Complaint
from documentation.expected_output import FORMS
from documentation.frontmatter import Settings, read_settings
from documentation.markdown import Fence, FrontMatter, Oddity, parse

DEFAULT_TIMEOUT_SECONDS = 60.0


class Kind(StrEnum):
    """What is done with a block; the word is the class on the attribute line above it."""

    RUN = "run"
    BACKGROUND = "background"
    OUTPUT = "output"
    FILE = "file"
    VALUES = "values"
    MANIFEST = "manifest"
    SKIP = "skip"


@dataclass(frozen=True)
class Rule:
    """The languages and attributes that a kind admits; no languages means any."""

    languages: frozenset[str]
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


SHELL, YAML, TEXT = frozenset({"bash"}), frozenset({"yaml"}), frozenset({"text", "json", "yaml"})
RULES: dict[Kind, Rule] = {
    Kind.RUN: Rule(SHELL, optional=frozenset({"timeout"})),
    Kind.BACKGROUND: Rule(SHELL, required=frozenset({"until"}), optional=frozenset({"timeout"})),
    Kind.OUTPUT: Rule(TEXT, optional=frozenset({"like"})),
    Kind.FILE: Rule(frozenset(), required=frozenset({"path"})),
    Kind.VALUES: Rule(YAML, optional=frozenset({"path"})),
    Kind.MANIFEST: Rule(YAML, optional=frozenset({"path"})),
    Kind.SKIP: Rule(frozenset(), required=frozenset({"reason"})),
}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page; its line is that of the fence, from 1."""

    page: str
    """The page's name, as a person would open it."""
    kind: Kind
    language: str
    text: str
    line: int
    name: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def timeout(self) -> float:
        """Seconds the block may take."""
        return float(self.options.get("timeout", DEFAULT_TIMEOUT_SECONDS))


@dataclass(frozen=True)
class Step:
    """A block that something is done with, and the output it must print, if the page shows it."""

    block: Block
    output: Block | None = None

    @property
    def title(self) -> str:
        """The block's name, or the beginning of its first line."""
        return self.block.name or self.block.text.strip().splitlines()[0][:60]


@dataclass(frozen=True)
class Page:
    """A page as read: its name (as a person would open it), settings, blocks, and what is wrong with it."""

    name: str
    settings: Settings
    blocks: tuple[Block, ...]
    complaints: tuple[Complaint, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The blocks in order, each expected output joined to the command it belongs to."""
        steps: list[Step] = []
        for block in self.blocks:
            if block.kind is Kind.OUTPUT:
                steps[-1] = Step(steps[-1].block, block)
            else:
                steps.append(Step(block))
        return tuple(steps)

    @property
    def has_commands(self) -> bool:
        """Whether there is anything on the page that a run could prove."""
        return any(block.kind not in (Kind.SKIP, Kind.OUTPUT) for block in self.blocks)


def read(name: str, content: bytes) -> Page:
    """The page `name` with this content; whatever is wrong is among its complaints, never an exception."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"The byte 0x{content[error.start]:02x} is not UTF-8. Save the page as UTF-8."
        return Page(name, Settings(), (), (Complaint(name, line, what),))
    settings = Settings()
    blocks: list[Block] = []
    complaints: list[Complaint] = []
    for found in parse(text):
        match found:
            case FrontMatter():
                settings, wrong = read_settings(name, found.text)
                complaints += wrong
            case Oddity():
                complaints.append(Complaint(name, found.line, found.what))
            case Fence():
                block, wrong = _block(name, found, blocks)
                complaints += wrong
                blocks += [block] if block else []
    return Page(name, settings, tuple(blocks), tuple(sorted(complaints)))


def _block(page: str, fence: Fence, before: list[Block]) -> tuple[Block | None, list[Complaint]]:
    def complain(what: str) -> list[Complaint]:
        return [Complaint(page, fence.line, what)]

    kinds = ", ".join(Kind)
    words = fence.attributes.get("class", "").split()
    if not words:
        return None, complain(f"This block has no kind. Write {{.kind}} on the line above it, with one of: {kinds}.")
    if len(words) > 1 or words[0] not in list(Kind):
        return None, complain(f"`{' '.join(words)}` is no kind of block. Write one of: {kinds}.")
    kind = Kind(words[0])
    rule = RULES[kind]
    options = {key: value for key, value in fence.attributes.items() if key not in ("class", "id")}
    wrong: list[Complaint] = []
    for key in options.keys() - rule.required - rule.optional:
        admitted = ", ".join(sorted(rule.required | rule.optional)) or "none"
        wrong += complain(f"`{key}` is no attribute of a {kind} block. It takes: {admitted}.")
    for key in rule.required - options.keys():
        wrong += complain(f'A {kind} block needs the attribute `{key}`. Add {key}="…" to the line above it.')
    if rule.languages and fence.language not in rule.languages:
        wrong += complain(
            f"A {kind} block is written in {' or '.join(sorted(rule.languages))}, "
            f"not in `{fence.language or 'no language'}`. Change the word after the backticks, or the kind."
        )
    name = fence.attributes.get("id")
    wrong += [Complaint(page, fence.line, what) for what in _more(kind, options, name, fence.text, before)]
    return (None, wrong) if wrong else (Block(page, kind, fence.language, fence.text, fence.line, name, options), [])


def _more(kind: Kind, options: dict[str, str], name: str | None, text: str, before: list[Block]) -> list[str]:
    """Rules for a block beyond the names of its attributes."""
    wrong = []
    if name and (same := [block for block in before if block.name == name]):
        wrong.append(f"Two blocks are named `{name}`; the other is on line {same[0].line}. Rename one of them.")
    if not text.strip():
        wrong.append("This block is empty. Fill it or remove it.")
    if "\0" in text:
        wrong.append("This block holds a NUL byte. Remove it.")
    if kind is Kind.OUTPUT and (not before or before[-1].kind is not Kind.RUN):
        wrong.append("This output follows no command. Put it right after the block that prints it.")
    if kind is Kind.BACKGROUND and not text.rstrip().endswith("&"):
        wrong.append("A background block must give the prompt back. End its last line with `&`.")
    timeout = options.get("timeout", "1")
    if not timeout.isdigit() or int(timeout) == 0:
        wrong.append(f"`timeout={timeout}` is no number of seconds. Write a whole number above 0.")
    if unknown := set(_forms(options)) - FORMS.keys():
        wrong.append(f"`like={', '.join(sorted(unknown))}` is no tolerant form. Write some of: {', '.join(FORMS)}.")
    path = options.get("path", "x")
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        wrong.append(f"`path={path}` leaves the page's own folder. Write a path inside it.")
    return wrong


def _forms(options: Mapping[str, str]) -> list[str]:
    return options.get("like", "").replace(",", " ").split()


def tolerant_forms(output: Block) -> list[str]:
    """The names of the forms that an output block may differ in."""
    return _forms(output.options)
