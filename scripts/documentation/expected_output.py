"""Compare the output that a page shows with the actual one. They may differ only in the forms that the page names."""

import re
from itertools import pairwise
from typing import NamedTuple

ANY_LINES = "..."
"""A line of this alone stands for any number of lines, none as well."""

# The letters Kubernetes makes names from (k8s.io/apimachinery/pkg/util/rand): no vowels, no 0, 1, 3.
_NAME = "[bcdfghjklmnpqrstvwxz2456789]"


class Form(NamedTuple):
    """A text of this shape in the page stands for any text of this shape."""

    plural: str
    """What will differ in the readers' own output, in words."""
    pattern: str


FORMS = {
    # In this order: where two forms could begin at one place, the earlier one is taken.
    "digest": Form("digests", r"sha256:[0-9a-f]{12,64}"),
    "time": Form(
        "times",
        r"(?:[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
        r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)",
    ),
    "address": Form(
        "addresses",
        r"(?:(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"
        r"|(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}:?[0-9a-f]{0,4}(?![\w:]))",
    ),
    "suffix": Form("suffixes of pod names", rf"(?<=\w)-(?:{_NAME}{{6,10}}-)?{_NAME}{{5}}(?![\w-])"),
    "version": Form("versions", r"(?<![\w.])v?\d+\.\d+(?:\.\d+)?(?:[-+][0-9A-Za-z.+-]*[0-9A-Za-z])?(?![\w.]*\d)"),
    "commit": Form("commits", r"(?<![0-9A-Za-z])[0-9a-f]{7,40}(?![0-9A-Za-z])"),
    "built": Form("messages", r"(?:Image built|Found built image)"),
    "age": Form("ages", r"(?<![\w.-])(?:\d+(?:\.\d+)?(?:ms|[dhms]))+(?![\w])"),
}
"""The tolerant forms.

`age` durations as kubectl prints them, `address` of IPv4 or IPv6, `suffix` that Kubernetes gives to pods' names,
`version` numbers, `commit` hashes, `digest` of an image, `time` in ISO 8601 or as `date` prints it, `built` whether
BinderHub built an image or, where the page was followed before, found it.
"""


def mismatch(expected: str, actual: str, forms: list[str]) -> tuple[int, str] | None:
    """Where `actual` is not what `expected` says: a line of `expected` (from 0) and a sentence; None where it is.

    Blanks at the end of lines are not compared. With a tolerant form, runs of two and more blanks compare equal,
    since the columns of a table move with what is in them.
    """
    if "\x1b" in actual:
        return 0, "The output is coloured (it holds escape sequences). Turn colours off in the command."
    wanted = [line.rstrip() for line in expected.rstrip("\n").split("\n")]
    came = [line.rstrip() for line in actual.rstrip("\n").split("\n")]
    # Each stretch between two "any lines" is searched for behind the one before it; the first one must stand at the
    # start and the last one at the end.
    marks = [-1, *(i for i, line in enumerate(wanted) if line == ANY_LINES), len(wanted)]
    position = 0
    for before, after in pairwise(marks):
        stretch = [_pattern(line, forms) for line in wanted[before + 1 : after]]
        if before == -1:
            starts = [0]
        elif after == len(wanted):
            starts = [len(came) - len(stretch)] if stretch else [len(came)]
        else:
            starts = list(range(position, len(came) - len(stretch) + 1)) or [position]
        matched = [_agree(stretch, came, start) for start in starts if start >= position]
        if not any(count == len(stretch) for count in matched):
            line = before + 1 + max(matched, default=0)
            return line, f"The output is not what the page shows. It shows `{wanted[min(line, len(wanted) - 1)]}`."
        position = next(s for s in starts if s >= position and _agree(stretch, came, s) == len(stretch)) + len(stretch)
    if position < len(came):
        return len(wanted) - 1, f"The output goes on where the page's ends. It has `{came[position]}` more."
    return None


def _agree(stretch: list[re.Pattern[str]], came: list[str], start: int) -> int:
    """How many lines of `stretch` agree with the lines of `came` from `start`, until one does not."""
    for offset, pattern in enumerate(stretch):
        if start + offset >= len(came) or not pattern.fullmatch(came[start + offset]):
            return offset
    return len(stretch)


def _pattern(line: str, forms: list[str]) -> re.Pattern[str]:
    """A pattern for whole lines: `line` itself, tolerant where it shows one of `forms`."""
    if not forms:
        return re.compile(re.escape(line))
    any_form = "|".join(f"(?P<{name}>{form.pattern})" for name, form in FORMS.items() if name in forms)
    parts, position = [], 0
    for found in re.finditer(rf"{any_form}|(?P<blanks> {{2,}})", line):
        parts.append(re.escape(line[position : found.start()]))
        kind = found.lastgroup or ""
        parts.append(" {2,}" if kind == "blanks" else FORMS[kind].pattern)
        position = found.end()
    parts.append(re.escape(line[position:]))
    return re.compile("".join(parts))
