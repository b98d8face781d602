"""`scripts/docs` as a person runs it, on small folders of pages that need no cluster."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from textwrap import dedent

import pytest
from common.paths import CLONE

pytestmark = pytest.mark.together

FRONT = "---\nrun: {cluster: false}\n---\n"
GOOD = FRONT + "# Good\n\n{.run}\n```bash\necho hello\n```\n\n{.output}\n```text\nhello\n```\n"
BAD = (
    FRONT
    + dedent("""
    # Bad

    {.run}
    ```bash
    touch "$OUTSIDE/first"
    ```

    {.run}
    ```bash
    false
    ```

    {.run}
    ```bash
    touch "$OUTSIDE/third"
    ```

    {.skip reason="it takes a day"}
    ```bash
    touch "$OUTSIDE/skipped"
    ```
    """).lstrip()
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A folder for pages."""
    folder = tmp_path / "book"
    folder.mkdir()
    return folder


def docs(book: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    temporary = book.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(CLONE / "scripts" / "docs"), "--folder", str(book), *words],
        env={**os.environ, "TMPDIR": str(temporary), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not list(temporary.glob("page-*"))
    return done


def committed(book: Path) -> str:
    """Make a Git repository of the folder, commit all, and return the commit."""
    git = ["git", "-C", str(book), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *words], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_good_pages_pass_and_are_counted(book: Path) -> None:
    (book / "good.md").write_text(GOOD)
    (book / "words.md").write_text("# Words alone\n")
    done = docs(book, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    counted = docs(book, "status")
    assert counted.returncode == 0
    assert [line.split(maxsplit=1) for line in counted.stdout.splitlines()[:6]] == [
        ["1", "run"],
        ["1", "compared"],
        ["0", "saved"],
        ["0", "validated"],
        ["0", "skipped with a reason"],
        ["0", "unaccounted"],
    ]
    assert "not yet run  book/good.md" in counted.stdout


def test_a_page_stops_at_its_first_failure(book: Path) -> None:
    (book / "bad.md").write_text(BAD)
    done = docs(book, "check", str(book / "bad.md"), OUTSIDE=str(book))
    assert done.returncode == 1
    assert "book/bad.md:12: A command in this block failed with exit status 1." in done.stdout
    assert "not reached: the block on line 12 failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert sorted(file.name for file in book.iterdir()) == ["_build", "bad.md", "first"]


FIRST = FRONT + "{.run #begin}\n```bash\necho begin > file\n```\n\n{.run #end}\n```bash\nrm file\n```\n"
SECOND = """---
run:
  cluster: false
  before: [first.md#begin]
  afterwards: [first.md#end]
---
{.run}
```bash
cat file
```

{.output}
```text
begin
```
"""


def test_blocks_of_another_page_run_before_and_afterwards(book: Path) -> None:
    (book / "first.md").write_text(FIRST)
    (book / "second.md").write_text(SECOND)
    committed(book)
    done = docs(book, "check", "--record", str(book / "second.md"))
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = json.loads((book / "verification.json").read_text())["second.md"]["blocks"]
    assert [block["name"] for block in recorded] == [
        "begin of book/first.md",
        "cat file",
        "end of book/first.md",
        "nothing is left behind",
    ]
    (book / "first.md").write_text(FIRST + "\nMore words.\n")
    assert "changed since  book/second.md" in docs(book, "status").stdout


def test_a_failure_in_a_block_of_another_page_names_that_page(book: Path) -> None:
    (book / "first.md").write_text(FIRST.replace("echo begin", "false"))
    (book / "second.md").write_text(SECOND)
    done = docs(book, "check", str(book / "second.md"))
    assert done.returncode == 1
    assert "book/first.md:5: A command in this block failed with exit status 1." in done.stdout


@pytest.mark.parametrize("name", ["first.md#none", "none.md#begin", "begin", "first.md#later"])
def test_a_block_that_does_not_run_cannot_be_named(book: Path, name: str) -> None:
    (book / "first.md").write_text(FIRST + '{.skip #later reason="later"}\n```bash\ntrue\n```\n')
    (book / "second.md").write_text(SECOND.replace("first.md#begin", name))
    done = docs(book, "check", str(book / "second.md"))
    assert done.returncode == 1
    assert f"book/second.md:1: `{name}` under `run` is no block that runs." in done.stderr


def test_a_page_that_cannot_be_read_is_refused_before_anything_runs(book: Path) -> None:
    (book / "good.md").write_text(GOOD.replace("echo hello", 'echo hello; touch "$OUTSIDE/ran"'))
    (book / "bad.md").write_text(GOOD.replace("{.run}", "{.runn}"))
    done = docs(book, "check", OUTSIDE=str(book))
    assert done.returncode == 1
    assert "book/bad.md:7: `runn` is no kind of block." in done.stderr
    assert not (book / "ran").exists()
    counted = docs(book, "status")
    assert counted.returncode == 1
    assert "book/bad.md:7: " in counted.stdout


def test_a_page_that_wants_a_cluster_says_how_to_get_one(book: Path) -> None:
    (book / "page.md").write_text(GOOD.removeprefix(FRONT))
    done = docs(book, "check", "--context", "lost", KUBECONFIG="/nowhere/kubeconfig")
    assert done.returncode == 1
    assert "There is no kubeconfig at /nowhere/kubeconfig" in done.stderr
    assert "leave out --context" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["check", "nowhere.md"], "There is no page nowhere.md."),
        (["check", str(CLONE / "pyproject.toml")], "is not a page"),
        (["check", "--recrod"], "unrecognized arguments"),
        ([], "required"),
    ],
)
def test_wrong_arguments_get_a_sentence(book: Path, words: list[str], sentence: str) -> None:
    done = docs(book, *words)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def commands() -> list[bytes]:
    """Words of every process of this machine; one that ends while it is looked at is left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((folder / "cmdline").read_bytes())
    return found


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(book: Path, ending: signal.Signals) -> None:
    (book / "long.md").write_text(FRONT + '# Long\n\n{.run}\n```bash\ntouch "$OUTSIDE/started"; sleep 4242\n```\n')
    process = subprocess.Popen(
        [str(CLONE / "scripts" / "docs"), "--folder", str(book), "check"],
        env={**os.environ, "TMPDIR": str(book), "OUTSIDE": str(book)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (book / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(ending)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in told
    assert not list(book.glob("page-*"))
    assert b"sleep\x004242\x00" not in commands()


def test_a_run_is_recorded_only_when_asked(book: Path) -> None:
    (book / "good.md").write_text(GOOD)
    (book / "bad.md").write_text(BAD)
    commit = committed(book)
    docs(book, "check", OUTSIDE=str(book))
    assert not (book / "verification.json").exists()

    done = docs(book, "check", "--record", OUTSIDE=str(book))
    assert done.returncode == 1
    record = json.loads((book / "verification.json").read_text())
    assert {page: entry["outcome"] for page, entry in record.items()} == {"bad.md": "failed", "good.md": "passed"}
    assert {entry["commit"] for entry in record.values()} == {commit}
    outcomes = [(block["line"], block["outcome"]) for block in record["bad.md"]["blocks"]]
    assert outcomes == [(7, "passed"), (12, "failed"), (17, "not reached"), (22, "not reached"), (22, "not reached")]

    states = docs(book, "status").stdout
    assert "failed  book/bad.md" in states
    assert "verified  book/good.md" in states
    (book / "good.md").write_text(GOOD + "More words.\n")
    assert "changed since  book/good.md" in docs(book, "status").stdout


def test_uncommitted_changes_are_not_recorded(book: Path) -> None:
    (book / "good.md").write_text(GOOD)
    committed(book)
    (book / "good.md").write_text(GOOD + "More words.\n")
    done = docs(book, "check", "--record")
    assert done.returncode == 1
    assert "these are in none" in done.stderr
    assert not (book / "verification.json").exists()
