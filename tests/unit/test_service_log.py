"""Logins in URLs, in what is logged."""

import logging
import time
from collections.abc import Iterator
from io import StringIO

import pytest
from binderhub_service import service_log

CANARY = "canary7f3a"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, StringIO]]:
    """A logger whose records are masked, and what it writes."""
    before = logging.getLogRecordFactory()
    service_log.mask_logins()
    text = StringIO()
    logger, handler = logging.Logger("test"), logging.StreamHandler(text)
    logger.addHandler(handler)
    yield logger, text
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"https://u:{CANARY}@h/r", "https://***@h/r"),
        (f"at https://{CANARY}@h:80/r and git://a:{CANARY}@h/", "at https://***@h:80/r and git://***@h/"),
        (f"https://a@{CANARY}@h/r", "https://***@h/r"),
        (f"/build/git/https%3A%2F%2Fu%3A{CANARY}%40h%2Fr/main", "/build/git/https%3A%2F%2F***%40h%2Fr/main"),
        (f"https%253a%252F%252Fu%253A{CANARY}%2540h%252Fr", "https%253a%252F%252F***%2540h%252Fr"),
        (f"https://u:pa/{CANARY}@h/r", "https://***@h/r"),
        (f"https://u:1{CANARY}/x@h/r", "https://***@h/r"),
        (f"https://u:'{CANARY}@h/r", "https://***@h/r"),
        (f"Failed for git:{CANARY}@h:r/main", "Failed for git:***@h:r/main"),
        (f"git:git://u:{CANARY}@h/r", "git:git://***@h/r"),
        (f"git://u:{CANARY}@h/r", "git://***@h/r"),
        (f"/build/git/%2F%2Fu%3A{CANARY}%40h%2Fr", "/build/git/%2F%2F***%40h%2Fr"),
        (f"git:https:/u:{CANARY}@h/r", "git:***@h/r"),
        (f"https%3A%2F%2Fu%3A{CANARY}%EF%BC%A0h%2Fr", "https%3A%2F%2F***%EF%BC%A0h%2Fr"),
        (f"https:\\\\u:{CANARY}@h", "https:\\\\***@h"),
    ],
)
def test_a_login_is_masked(text: str, masked: str) -> None:
    assert service_log.mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://h/@scope/package",
        "https://h:8443/a/user@example.org/b",
        "mail user@example.org",
        "200 GET /build/git/https%3A%2F%2Fh%2Fr/main (user@192.0.2.1) 3.21ms",
        "https%3A%2F%2Fh%3A8443%2Fa%40b",
        "r.example/i@sha256:00",
        "",
    ],
)
def test_text_without_a_login_is_not_masked(text: str) -> None:
    assert service_log.mask(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        *("://", ":", "%", "%25", "@", "%40", "://@", "://a:", "/git/", "git:", "%3A%2F%2F", "%253A", "a:b@", "2F"),
        *(":/", "%3A%2F", "https://u:p", "@/", "%2525252525", "/", "%2F", "%EF%BC%A0"),
    ],
)
def test_a_hostile_line_costs_little(piece: str) -> None:
    line = "https://u:p" + piece * (64 * 1024 // len(piece)) + "@h"
    start = time.perf_counter()
    service_log.mask(line)
    # 20 ms would do; a pattern that is not linear takes seconds.
    assert time.perf_counter() - start < 0.5


def test_message_arguments_and_traceback_are_masked(log: tuple[logging.Logger, StringIO]) -> None:
    logger, text = log
    url = f"https://u:{CANARY}@h/r"
    logger.error(f"as text {url}")
    logger.error("as argument %s of %d", url, 2)
    logger.error("as mapping %(url)s", {"url": url})
    logger.error(ValueError(url))
    try:
        try:
            raise ValueError(url)
        except ValueError as cause:
            raise RuntimeError(f"because of {url}") from cause
    except RuntimeError:
        logger.exception("in a traceback")
    said = text.getvalue()
    assert CANARY not in said
    assert said.count("***@h/r") >= 6
    assert "RuntimeError" in said


def test_arguments_that_do_not_fit_are_masked(
    log: tuple[logging.Logger, StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, text = log
    logger.error("one %s", f"https://u:{CANARY}@h", "two")
    assert CANARY not in text.getvalue() + capsys.readouterr().err


def test_records_without_text_stay(log: tuple[logging.Logger, StringIO]) -> None:
    logger, text = log
    logger.error({"a": 1})
    assert text.getvalue() == "{'a': 1}\n"


def test_the_mask_is_installed_once(log: tuple[logging.Logger, StringIO]) -> None:
    factory = logging.getLogRecordFactory()
    service_log.mask_logins()
    assert logging.getLogRecordFactory() is factory
    assert log
