"""What readers are told of the benchmark's record."""

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from benchmarking import result as results
from support.benchmark_results import result

Build = Callable[[Path, Path], CompletedProcess[str]]


def page(copy: Path, build: Build) -> str:
    done = build(copy, copy.parent / "html")
    assert done.returncode == 0, done.stderr
    return (copy.parent / "html" / "reference" / "performance.html").read_text()


def test_the_tables_come_from_the_record_and_what_is_missed_is_marked(copy: Path, build: Build) -> None:
    found = result(faults={"pod": {"service": 12.0, "upstream": None}})
    results.save(copy / "performance.json", found)
    html = page(copy, build)
    words = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert (
        "On 2026-11-24, lab with substitutes, on one machine with 2 processors and 24 GiB for all nodes: "
        "Kubernetes 1.37.2, Helm 4.3.1, chart 0.1.0, BinderHub stand-in, commit 0123456. 3 turns of each row. "
        "1 bound is missed."
    ) in words
    assert "5.00 s (4.00 to 9.00) 6.00 s (5.00 to 8.00) 1.00 (0.50 to 1.50) ratio ≤ 1 yes" in words
    assert "100 MiB 105 MiB 1.05 ratio ≤ 1.1 yes" in words
    assert re.findall(r"<strong>([^<]+)</strong>", html[html.index("Fault") :])[:6] == [
        "The build\u2019s pod is deleted", "the deletion", "12.0 s", "open after 60 s", "≤ 10 s", "NO",
    ]  # fmt: skip


def test_without_a_record_it_says_so(copy: Path, build: Build) -> None:
    (copy / "performance.json").unlink(missing_ok=True)
    assert "No run is recorded yet." in page(copy, build)
