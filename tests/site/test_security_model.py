"""The page Security model: no promise without a test."""

import re

from common.paths import CLONE

PAGE = CLONE / "docs" / "explanation" / "security-model.md"


def test_each_promise_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "---" not in line]
    promises = [row for row in rows if not row.startswith("| Promise")]
    assert promises
    for row in promises:
        files = re.findall(r"`(tests/[\w/]+\.py)`", row.split(" | ")[-1])
        assert files, row
        assert [file for file in files if not (CLONE / file).is_file()] == [], row
