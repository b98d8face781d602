"""What is no page: each mistake is told with its line, and nothing is guessed."""

from textwrap import dedent

import pytest
from documentation.blocks import Kind, read


def complaints(text: str) -> list[str]:
    return [str(complaint) for complaint in read("book/page.md", dedent(text).lstrip("\n").encode()).complaints]


BAD = {
    "no kind": (
        """
        ```bash
        true
        ```
        """,
        (1, "no kind"),
    ),
    "misspelt kind": (
        """
        {.runn}
        ```bash
        true
        ```
        """,
        (2, "`runn` is no kind"),
    ),
    "two kinds": (
        """
        {.run .file}
        ```bash
        true
        ```
        """,
        (2, "`run file` is no kind"),
    ),
    "misspelt attribute": (
        """
        {.run timout=5}
        ```bash
        true
        ```
        """,
        (2, "`timout` is no attribute of a run block. It takes: timeout."),
    ),
    "attribute of another kind": (
        """
        {.run until=ready}
        ```bash
        true
        ```
        """,
        (2, "`until` is no attribute of a run block"),
    ),
    "missing attribute": (
        """
        {.skip}
        ```bash
        true
        ```
        """,
        (2, "needs the attribute `reason`"),
    ),
    "unreadable attribute line": (
        """
        {.file path=a/b}
        ```text
        x
        ```
        """,
        (1, "cannot be read"),
    ),
    "attribute line above a paragraph": (
        """
        {.run}
        Some words.
        """,
        (2, "stands above no block"),
    ),
    "wrong language": (
        """
        {.run}
        ```python
        print()
        ```
        """,
        (2, "is written in bash, not in `python`"),
    ),
    "fence never closed": (
        """
        {.run}
        ```bash
        true
        """,
        (2, "never closed"),
    ),
    "fence closed by fewer backticks": (
        """
        {.run}
        ````bash
        true
        ```
        """,
        (2, "never closed"),
    ),
    "fence in a directive never closed": (
        """
        :::{note}
        {.run}
        ```bash
        true
        :::
        """,
        (3, "never closed"),
    ),
    "two blocks with one name": (
        """
        {.run #install}
        ```bash
        true
        ```

        {.run #install}
        ```bash
        true
        ```
        """,
        (7, "Two blocks are named `install`; the other is on line 2"),
    ),
    "output without a command": (
        """
        {.output}
        ```text
        hello
        ```
        """,
        (2, "follows no command"),
    ),
    "unknown tolerant form": (
        """
        {.run}
        ```bash
        true
        ```
        {.output like="age colour"}
        ```text
        x
        ```
        """,
        (6, "`like=colour` is no tolerant form"),
    ),
    "background that keeps the prompt": (
        """
        {.background until=x}
        ```bash
        sleep 5
        ```
        """,
        (2, "End its last line with `&`"),
    ),
    "time-out that is no number": (
        """
        {.run timeout=soon}
        ```bash
        true
        ```
        """,
        (2, "`timeout=soon` is no number"),
    ),
    "file outside of the page's folder": (
        """
        {.file path="../x"}
        ```text
        x
        ```
        """,
        (2, "leaves the page's own folder"),
    ),
    "empty block": (
        """
        {.run}
        ```bash

        ```
        """,
        (2, "is empty"),
    ),
    "indented block": (
        """
        Words.

            true
        """,
        (3, "indented block has no kind"),
    ),
    "code-block directive": (
        """
        ```{code-block} bash
        true
        ```
        """,
        (1, "{code-block} is not known"),
    ),
    "colon fence": (
        """
        :::bash
        true
        :::
        """,
        (1, "fence of colons"),
    ),
    "raw HTML": (
        """
        <pre>
        true
        </pre>
        """,
        (1, "Raw HTML"),
    ),
    "misspelt front matter": (
        """
        ---
        run:
          budgt: 5
        ---
        """,
        (3, "`budgt` under `run` is unknown"),
    ),
    "misspelt top of front matter": (
        """
        ---
        orphan: true
        runs: {}
        ---
        """,
        (3, "`runs` in the front matter is unknown"),
    ),
    "front matter that is not YAML": (
        """
        ---
        orphan: true
        run: [
        ---
        """,
        (3, "not YAML"),
    ),
    "budget that is no number": (
        """
        ---
        run:
          budget: long
        ---
        """,
        (3, "`budget: long` is no number of seconds"),
    ),
    "block of another page that is no list": (
        """
        ---
        run:
          before: install.md#install
        ---
        """,
        (3, "`before` is no list of blocks"),
    ),
    "list with something else than a block": (
        """
        ---
        run:
          afterwards: [install.md#install, 3]
        ---
        """,
        (3, "`afterwards` is no list of blocks"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_told_with_its_line(name: str) -> None:
    text, (line, sentence) = BAD[name]
    found = complaints(text)
    assert any(complaint.startswith(f"book/page.md:{line}: ") and sentence in complaint for complaint in found), found


def test_a_byte_that_is_not_utf8_is_told_with_its_line() -> None:
    page = read("book/page.md", b"# Caf\xc3\xa9\n\nna\xefve\n")
    assert [str(c) for c in page.complaints] == ["book/page.md:3: The byte 0xef is not UTF-8. Save the page as UTF-8."]


def test_every_kind_is_read_wherever_it_stands() -> None:
    page = read(
        "book/page.md",
        dedent(
            """\
            ---
            run: {budget: 90, cluster: false}
            ---
            {.run #first timeout=5}
            ```bash
            echo '```'
            ```

            {.output like="age, suffix"}
            ```text
            ```
            1. In a list:

               {.background until="is ready"}
               ```bash
               sleep 1 &
               ```

            > {.file path="a.txt"}
            > ~~~text
            > quoted
            > ~~~

            ::::{tab-set}
            :::{tab-item} One
            {.values path="values.yaml"}
            ```yaml
            a: 1
            ```
            :::
            ::::

            {.manifest}
            ```yaml
            kind: Pod
            ```

            ````{note}
            :class: wide

            {.skip reason="it takes a day"}
            ```bash
            sleep 86400
            ```
            ````
            """
        )
        .replace("```text\n```", "```text\n5m\n```")
        .encode(),
    )
    assert not page.complaints
    assert [(block.kind, block.line, block.text) for block in page.blocks] == [
        (Kind.RUN, 5, "echo '```'\n"),
        (Kind.OUTPUT, 10, "5m\n"),
        (Kind.BACKGROUND, 16, "sleep 1 &\n"),
        (Kind.FILE, 21, "quoted\n"),
        (Kind.VALUES, 28, "a: 1\n"),
        (Kind.MANIFEST, 35, "kind: Pod\n"),
        (Kind.SKIP, 43, "sleep 86400\n"),
    ]
    assert page.blocks[0].name == "first"
    assert page.blocks[0].timeout == 5
    assert (page.settings.budget, page.settings.cluster) == (90, False)
    assert [step.output is not None for step in page.steps] == [True, False, False, False, False, False]
