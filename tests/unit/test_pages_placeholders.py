"""Placeholders: declared once, used somewhere, filled everywhere."""

from pathlib import Path
from textwrap import dedent

from documentation.page_files import complaints, pages_in

DECLARED = """\
YOUR_NAME:
  meaning: who is greeted
  example: Ada
"""
USES = "# A page\n\n{.run}\n```bash\ntrue\necho YOUR_NAME\n```\n"


def told(folder: Path, declaration: str | None, page: str) -> list[str]:
    book = folder / "book"
    book.mkdir()
    (book / "page.md").write_text(dedent(page))
    if declaration is not None:
        (book / "placeholders.yaml").write_text(declaration)
    return [str(complaint) for complaint in complaints(book, pages_in(book))]


def test_a_declared_and_used_placeholder_is_right(tmp_path: Path) -> None:
    assert told(tmp_path, DECLARED, USES) == []


def test_an_undeclared_one_is_told_where_it_stands(tmp_path: Path) -> None:
    assert told(tmp_path, None, USES) == [
        "book/page.md:6: The placeholder YOUR_NAME is not declared. Add it to placeholders.yaml."
    ]


def test_one_that_nobody_uses_is_told_where_it_is_declared(tmp_path: Path) -> None:
    unused = DECLARED + "YOUR_AGE:\n  meaning: how old\n  example: '36'\n"
    assert told(tmp_path, unused, USES) == [
        f"{tmp_path}/book/placeholders.yaml:4: No page uses the placeholder YOUR_AGE. Remove it."
    ]


def test_one_in_a_skipped_block_is_declared_too_since_readers_replace_it(tmp_path: Path) -> None:
    skipped = USES.replace("{.run}", '{.skip reason="it is only shown"}')
    assert len(told(tmp_path, None, skipped)) == 1


def test_a_misspelt_declaration_is_told(tmp_path: Path) -> None:
    (found,) = [c for c in told(tmp_path, DECLARED.replace("example", "exampel"), USES) if "yaml:" in c]
    assert "placeholders.yaml:1: `YOUR_NAME` is not declared right" in found
