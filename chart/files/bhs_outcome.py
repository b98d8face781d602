"""From a build's lines to the reason it failed. Those of pushes are held to tests/executor/recorded.yaml."""

import itertools
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bhs_engine import Words
from bhs_faults import Failure
from bhs_pod import FETCH

SEARCHED = 4096
"""Characters of a line, from its start, that are searched."""
LAST_LINES = 20

_GIT = (
    (
        "BHS106",
        r"Failed to check out ref|reference is not a tree|not our ref|couldn't find remote ref"
        r"|did not match any file|Could not parse object|unknown revision|bad object",
    ),
    (
        "BHS104",
        r"Authentication failed|could not read (?:Username|Password)|terminal prompts disabled|Access denied"
        r"|returned error: 40[134]|Permission denied \(publickey|[Rr]epository .*not found"
        r"|does not appear to be a git repository",
    ),
    (
        "BHS107",
        r"SSL certificate (?:problem|verif)|SSL: (?:no alternative )?certificate subject name"
        r"|server (?:certificate )?verification failed|CERTIFICATE_VERIFY_FAILED",
    ),
    (
        "BHS105",
        r"Could not resolve host|Connection refused|[Tt]imed out|Failed to connect|Couldn't connect"
        r"|Network is unreachable|No route to host|returned error: 5\d\d"
        r"|Empty reply from server|Connection reset|early EOF",
    ),
)
# The first that matches counts, the most particular first. A number alone means nothing: addresses and tags have some.
_PUSH = (
    ("BHS605", r"x509: |certificate signed by unknown authority|tls: failed to verify|HTTP response to HTTPS client"),
    ("BHS602", r"HTTP 413\b|\b413 [A-Z]|[Ee]ntity [Tt]oo [Ll]arge|\bsize invalid\b|blob upload invalid.*too large"),
    ("BHS603", r"HTTP 429\b|\b429 [A-Z]|(?i:too ?many ?requests)"),
    (
        "BHS601",
        r"HTTP 40[13]\b|\b40[13] (?:Unauthorized|Forbidden)|\bunauthorized\b|\bdenied\b|no basic auth credentials"
        r"|insufficient_scope|authentication required|authorization failed|status: 40[13]\b",
    ),
    (
        "BHS607",
        r"HTTP 5\d\d\b|\b5\d\d [A-Z]|status(?: code)?:? 5\d\d|connection reset by peer|broken pipe"
        r"|unexpected EOF|: EOF\b",
    ),
    (
        "BHS604",
        r"no such host|connection refused|i/o timeout|no route to host|network is unreachable|server misbehaving"
        r"|TLS handshake timeout|context deadline exceeded|Client\.Timeout",
    ),
)
_ERROR = re.compile(r"\bERROR\b|\berror:|\bfatal:|[Ff]ailed to ", re.ASCII)
# `docker push` ends with the registry's words alone.
_PUSH_ERROR = re.compile(
    _ERROR.pattern
    + r"|^(?:denied|unauthorized|toomanyrequests|unknown|size invalid|error parsing HTTP|received unexpected)"
)
_AFTER_ERROR = re.compile(r"^-{6}$|^Traceback ")
_ERROR_LINES = 10
_TAG = re.compile(r"<[^<>]*>")
_BUILDKIT_STEP = re.compile(r"^ > \[(?P<place>[^\]]+)\] (?P<step>.+?):?\s*$")


@dataclass
class Transcript:
    """What the lines of one attempt have told so far."""

    words: Words
    push_began: bool = False
    digest: str = ""
    lost: str = ""
    full: str = ""
    step: str = ""
    exit_code: int = 0
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    pushed: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    fetched: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def add(self, container: str, told: dict[str, Any]) -> None:
        """Take one event of a container's log into account."""
        for line in re.split(r"[\r\n]+", str(told.get("message", ""))[:SEARCHED]):
            if line.strip():
                self._add(container, line.rstrip(), str(told.get("phase")))

    def _add(self, container: str, line: str, phase: str) -> None:
        self.last.append(line)
        if container == FETCH:
            self.fetched.append(line)
            return
        words = self.words
        self.push_began = self.push_began or phase == "pushing" or bool(words.push.search(line))
        if self.push_began:
            self.pushed.append(line)
            if found := words.digest.search(line):
                self.digest = found["digest"]
        if words.lost.search(line):
            self.lost = line
        if words.full.search(line):
            self.full = line
        if found := _BUILDKIT_STEP.search(line):
            self.step = f"[{found['place']}] {found['step']}"
        if found := words.step.search(line):
            groups = [value for value in found.groups() if value]
            self.step = self.step or groups[0]
            self.exit_code = int(groups[-1])

    def failure(self, container: str, exit_code: int, particulars: dict[str, Any]) -> Failure:
        """Why the container ended with `exit_code`, which is not 0."""
        if container == FETCH:
            return self._of_git(particulars)
        if self.full:
            return Failure("BHS504", {**particulars, "detail": self.full})
        if self.lost:
            return Failure("BHS501", {**particulars, "detail": self.lost})
        if self.push_began:
            return self._of_push(particulars)
        step = f" at step {self.step}" if self.step else ""
        if self.exit_code == 137:
            return Failure("BHS102", {**particulars, "step": step})
        detail = f"it ended with exit code {self.exit_code}." if self.exit_code else self._last_error()
        if exit_code == 137:
            detail = "repo2docker was killed (exit code 137)."
        return Failure("BHS101", {**particulars, "step": step, "detail": detail or f"exit code {exit_code}."})

    def _of_git(self, particulars: dict[str, Any]) -> Failure:
        for code, pattern in _GIT:
            for line in self.fetched:
                if re.search(pattern, line):
                    return Failure(code, {**particulars, "detail": line.strip()})
        return Failure("BHS103", {**particulars, "detail": self._last_error() or "its log says no more"})

    def _of_push(self, particulars: dict[str, Any]) -> Failure:
        detail = self._push_error()
        for code, pattern in _PUSH:
            if re.search(pattern, detail):
                return Failure(code, {**particulars, "detail": detail})
        return Failure("BHS606", {**particulars, "detail": "\n".join(self.last)})

    def _push_error(self) -> str:
        """The first error of the push, in one line: a proxy's page, which docker prints as it is, has several."""
        lines = list(self.pushed)
        first = next((number for number, line in enumerate(lines) if _PUSH_ERROR.search(line)), len(lines))
        block = itertools.takewhile(lambda line: not _AFTER_ERROR.search(line), lines[first : first + _ERROR_LINES])
        return " ".join(_TAG.sub(" ", " ".join(block)).split())

    def _last_error(self) -> str:
        for line in reversed(self.last):
            if _ERROR.search(line):
                return line.strip()
        return self.last[-1].strip() if self.last else ""
