"""The log of this process: audit lines as JSON, and masks for logins that somebody has written into a URL."""

import json
import logging
import re
from typing import Any

log = logging.getLogger("tornado.application")


def log_audit_event(what: str, **particulars: object) -> None:
    """Log one line for a request or a build: `audit ` and then JSON."""
    log.info("audit %s", json.dumps({"what": what, **particulars}, default=str))


# Characters as they are, or percent-encoded once or more: the path of a request quotes the repository's URL.
# Two more characters that clients turn into @: U+FE6B and U+FF20.
_AT = re.compile(
    r"[@\uFE6B\uFF20]|%(?:25){0,8}(?:40|EF%(?:25){0,8}(?:B9%(?:25){0,8}AB|BC%(?:25){0,8}A0))", re.IGNORECASE
)
_SLASH = re.compile(r"[/\\?#]|%(?:25){0,8}(?:2F|5C|3F|23)", re.IGNORECASE)
_COLON = re.compile(r"(?::|%(?:25){0,8}3A)(?P<port>[0-9]*)", re.IGNORECASE)
_SLASHES = re.compile(f"(?:{_SLASH.pattern})*", re.IGNORECASE)
_RUN = re.compile(r"\S*")

# A login follows `://`, or the provider `git`, which also takes URLs of the form USER@HOST:PATH.
_BEFORE = re.compile(r"((?::|%(?:25){0,8}3A)(?:/|\\|%(?:25){0,8}(?:2F|5C)){2}|/git/|\bgit:)", re.IGNORECASE)

MASK = "***"


def mask(text: str) -> str:
    """The text with `***` for each login in a URL. Takes time proportional to the text's length."""
    if not _AT.search(text):
        return text
    # The pieces do not overlap, so no part of the text is searched more than a few times.
    first, *rest = _BEFORE.split(text)
    masked = [first]
    for before, after in zip(rest[::2], rest[1::2], strict=True):
        masked += [before, _mask_start(after)]
    return "".join(masked)


def _mask_start(text: str) -> str:
    """The text without the login that it begins with."""
    run = text[: _end(_RUN, text)]
    start = _end(_SLASHES, run)
    slash = _SLASH.search(run, start)
    end = slash.start() if slash else len(run)
    colon = _COLON.search(run, start, end)
    if colon and (not colon["port"] or colon.end() < end) and not _AT.search(run, start, end):
        # Not a host and its port, but a password with an unquoted slash.
        end = len(run)
    last = None
    for last in _AT.finditer(run, start, end):  # noqa: B007 - the last one counts
        pass
    return f"{text[:start]}{MASK}{text[last.start() :]}" if last else text


def _end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return found.end() if found else 0


def mask_logins() -> None:
    """Mask the message, the arguments and the traceback of every log record from now on."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks_logins", False):
        return
    formatter = logging.Formatter()

    def make_masked(*args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401 - logging's signature
        record = make(*args, **kwargs)
        if isinstance(record.msg, str):
            try:
                record.msg, record.args = mask(record.getMessage()), None
            except Exception:
                # The arguments do not fit the message, which the handler reports.
                record.msg = mask(record.msg)
                record.args = tuple(mask(str(one)) for one in record.args) if isinstance(record.args, tuple) else None
        elif isinstance(record.msg, BaseException):
            record.msg, record.args = mask(str(record.msg)), None
        if record.exc_info and record.exc_info[0] and not record.exc_text:
            # Formatters use the text where there is one.
            record.exc_text = mask(formatter.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        return record

    make_masked.masks_logins = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_masked)
