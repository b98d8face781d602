"""The site as built: clean, whole, its own, and refused when a block is not accounted for."""

import pickle
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from commands import docs as command
from common.debian_packages import GROUPS
from common.paths import CLONE
from documentation.blocks import RULES, read
from documentation.expected_output import FORMS
from documentation.page_files import pages_in
from docutils import nodes

Build = Callable[[Path, Path], CompletedProcess[str]]

TORTURE = """\
# Blocks everywhere

{.run}
```bash
cat <<'END'
~~~
END
```

1. One

   {.run #two}
   ````bash
   echo '```'
   ````

   - Deeper

     {.output}
     ~~~text
     ```
     ~~~

> {.skip reason="it is quoted"}
> ```python
> print()
> ```

::::{note}
:::{tip}
{.file path="a.yaml"}
```yaml
a: |
  b
```
:::
::::

````{tab-set}
```{tab-item} One
{.manifest}
~~~yaml
kind: Pod
~~~
```
````
"""


class References(HTMLParser):
    """Collects what a browser would load by itself for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "object", "embed", "source", "video", "audio"):
            self.found += [value for key in ("src", "data", "srcset") if (value := values.get(key))]
        if tag == "link" and not {"canonical", "next", "prev", "index", "search"} & set((values["rel"] or "").split()):
            self.found.append(values["href"] or "")


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 5
    loaded: set[str] = set()
    for page in pages:
        references = References()
        references.feed(page.read_text())
        loaded |= set(references.found)
    assert any("site.css" in reference for reference in loaded)
    assert not [reference for reference in loaded if re.match(r"(https?:)?//", reference)]


def test_styles_load_nothing_from_another_host(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", sheet.read_text()), sheet


def test_no_page_names_the_machine_it_was_built_on(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert str(CLONE) not in page.read_text(), page


def literal_blocks(doctree: Path) -> list[str]:
    document = pickle.loads(doctree.read_bytes())  # noqa: S301 - Sphinx wrote it just now
    return [node.astext() for node in document.findall(nodes.literal_block)]


def test_the_runner_reads_every_block_that_sphinx_shows(site: Path) -> None:
    folder = CLONE / "docs"
    counted = 0
    for path, page in pages_in(folder).items():
        shown = literal_blocks(site.parent / "doctrees" / path.relative_to(folder).with_suffix(".doctree"))
        assert [block.text for block in page.blocks] == shown, page.name
        counted += len(shown)
    assert counted > 10


def test_nested_blocks_are_checked(copy: Path, build: Build) -> None:
    (copy / "index.md").write_text(TORTURE + "\n```{toctree}\n:glob:\n:hidden:\n**\n```\n")
    page = read("docs/index.md", (copy / "index.md").read_bytes())
    assert not page.complaints
    done = build(copy, copy.parent / "html")
    assert done.returncode == 0, done.stderr
    shown = literal_blocks(copy.parent / "doctrees" / "index.doctree")
    assert [block.text for block in page.blocks] == shown
    assert len(shown) == 6


SPOILED = {
    "misspelt kind": ("\n{.runn}\n```bash\ntrue\n```\n", 3, "`runn` is no kind of block"),
    "no kind": ("\n```bash\ntrue\n```\n", 2, "This block has no kind"),
    "undeclared placeholder": ("\n{.run}\n```bash\necho YOUR_THING\n```\n", 4, "YOUR_THING is not declared"),
    "a form that is not read": ("\n```{code-block} bash\ntrue\n```\n", 2, "{code-block} is not known"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_block_that_is_not_accounted_for_ends_the_build(name: str, copy: Path, build: Build) -> None:
    added, line, sentence = SPOILED[name]
    page = copy / "explanation" / "architecture.md"
    before = page.read_text()
    page.write_text(before + added)
    done = build(copy, copy.parent / "html")
    assert done.returncode == 1
    place = f"docs/explanation/architecture.md:{before.count(chr(10)) + line}"
    assert any(place in told and sentence in told for told in done.stderr.splitlines()), done.stderr


def test_a_byte_that_is_not_utf8_ends_the_build_with_its_line(copy: Path, build: Build) -> None:
    page = copy / "explanation" / "architecture.md"
    before = page.read_bytes()
    page.write_bytes(before + b"na\xefve\n")
    done = build(copy, copy.parent / "html")
    assert done.returncode == 1
    line = before.count(b"\n") + 1
    assert f"docs/explanation/architecture.md:{line}: WARNING: The byte 0xef is not UTF-8" in done.stderr


def test_a_placeholder_that_readers_are_not_told_of_ends_the_build(copy: Path, build: Build) -> None:
    page = copy / "tutorials" / "your-first-image.md"
    page.write_text(page.read_text().replace("```{placeholders}\n```\n", ""))
    done = build(copy, copy.parent / "html")
    assert done.returncode == 1
    assert "Show them to readers with {placeholders}" in done.stderr


def test_a_placeholder_that_no_page_uses_ends_the_build(copy: Path, build: Build) -> None:
    with (copy / "placeholders.yaml").open("a") as file:
        file.write("YOUR_HAT:\n  meaning: a hat\n  example: bowler\n")
    done = build(copy, copy.parent / "html")
    assert done.returncode == 1
    assert "No page uses the placeholder YOUR_HAT" in done.stderr


def test_read_the_docs_builds_with_the_same_command_and_packages() -> None:
    settings = yaml.safe_load((CLONE / ".readthedocs.yaml").read_text())["build"]
    assert settings["apt_packages"] == sorted((*GROUPS["docs"], *GROUPS["python"]))
    (line,) = settings["jobs"]["build"]["html"]
    program, *words = shlex.split(line)
    assert (CLONE / program).samefile(CLONE / "scripts" / "docs")
    assert command.parser().parse_args(words).job == "build"


def test_the_page_on_writing_pages_names_every_kind_attribute_and_form() -> None:
    text = (CLONE / "docs" / "how-to" / "write-a-page.md").read_text()
    attributes = {key for rule in RULES.values() for key in rule.required | rule.optional}
    rows = [re.findall(r"`(.+?)`", line) for line in text.splitlines() if line.startswith("| `")]
    told = {row[0]: set(row[1:]) & attributes for row in rows}
    assert told == {str(kind): set(rule.required | rule.optional) for kind, rule in RULES.items()}
    assert all(f"`{form}`" in text for form in FORMS)
