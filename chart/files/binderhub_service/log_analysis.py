"""Why a build failed, from the lines of its logs. tests/unit/recorded.yaml has recorded errors of pushes."""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from binderhub_service.docker_engine import OutputPatterns
from binderhub_service.failure_patterns import base_image_failure, fetch_failure, memory_words, push_failure
from binderhub_service.failures import Failure
from binderhub_service.programs import BUILD, FETCH, PUSH
from binderhub_service.programs.fetch import LINK_LEAVES, REFUSED_ARGUMENTS, TOO_LARGE

SEARCHED = 4096
"""Characters of a line that are searched: of a longer one, its start and its end."""
_TAIL = 512
_CUT = " [...] "
LAST_LINES = 20
_STEP_LINES = 200
"""Of so many last lines of a step one may say that a process was killed: the other jobs of `make -j` print on."""
_CHECK_LINES = 5
"""How many of the last lines of a check its failure quotes."""

_ERROR = re.compile(r"\bERROR\b|\berror:|\bfatal:|[Ff]ailed to ", re.ASCII)
_TAG = re.compile(r"<[^<>]*>")
_BUILDKIT_STEP = re.compile(r"^ > \[(?P<place>[^\]]+)\] (?P<step>.+)")
_STEP_NUMBER = re.compile(r"#\d+ ")
_QUOTE = re.compile(r'\\.|"')
# Errors that quote what the repository or a registry wrote.
_OF_OTHERS = re.compile(
    r"dockerfile parse error|unexpected status|failed to authorize|failed to resolve source metadata|failed to fetch "
    r"|did not complete successfully|unable to find (?:user|group)"
)


class LineSplitter:
    """Puts the lines of a log together from its messages: repo2docker ends a message at a carriage return, too.

    What follows a carriage return comes from the same source as what is before it.
    """

    def __init__(self) -> None:
        """No text yet."""
        self._rest = ""

    def add(self, text: str) -> list[str]:
        """The lines that `text` completes, each shortened to `SEARCHED` characters."""
        *ended, rest = text.split("\n")
        if ended:
            ended[0] = self._rest + ended[0]
            self._rest = ""
        self._rest = shortened(self._rest + rest)
        return [shortened(line) for line in ended]

    def rest(self) -> list[str]:
        """The last line, if it has no end."""
        rest, self._rest = self._rest, ""
        return [rest] if rest else []


def shortened(line: str) -> str:
    """A line without its middle, if it is longer than `SEARCHED`: BuildKit puts the exit code after a long command."""
    if len(line) <= SEARCHED:
        return line
    return line[: SEARCHED - _TAIL - len(_CUT)] + _CUT + line[-_TAIL:]


@dataclass
class LogAnalysis:
    """What the logs of one attempt have shown so far.

    What a step prints is evidence of nothing but the step. Evidence of the daemon and the registry comes from the
    programs' reports, and from the daemon's pod.
    """

    output: OutputPatterns
    daemon_error: str = ""
    """An error that may mean that the daemon has ended: a reason to look at its pod."""
    disk_error: str = ""
    """The daemon's error that its disk is full; empty if there was none."""
    step: str = ""
    exit_code: int = 0
    error: str = ""
    """The engine's last error."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The report of each container's program."""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    fetched: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    _of_step: deque[str] = field(default_factory=lambda: deque(maxlen=_STEP_LINES))
    """The last lines that one step has printed."""
    _step_number: str = ""
    _lines: dict[str, LineSplitter] = field(default_factory=dict)
    _in_quote: bool = False

    @property
    def digest(self) -> str:
        """Digest of the image that the daemon has pushed; empty before it has."""
        return str(self.reports.get(PUSH, {}).get("digest") or "")

    def add(self, container: str, event: dict[str, Any]) -> None:
        """Analyse one event of a container's log."""
        lines = self._lines.setdefault(container, LineSplitter())
        message = str(event.get("message", ""))
        # The engine prints line by line. A message of several lines is repo2docker's own, and may quote the repository.
        of_engine = container == BUILD and "\n" not in message.rstrip("\n")
        for line in lines.add(message):
            self._add(container, line, of_engine)

    def _add(self, container: str, line: str, of_engine: bool) -> None:
        line = line.rstrip()
        if not line:
            return
        if container == FETCH:
            self.fetched.append(line)
        if of_engine and self._is_output(line):
            self._add_of_step(line)
        elif of_engine:
            self._add_of_engine(line)
        self.last.append(line)

    def _is_output(self, line: str) -> bool:
        """Whether a step printed the line; the engine repeats the output of a failed step."""
        if self.output.step_output.match(line):
            return True
        if self.output.quote.match(line):
            self._in_quote = not self._in_quote
        elif self._in_quote:
            self._name_step(line)
            return True
        return self._name_step(line)

    def _add_of_step(self, line: str) -> None:
        number = _STEP_NUMBER.match(line)
        if number and number[0] != self._step_number:
            self._step_number = number[0]
            self._of_step.clear()
        self._of_step.append(line)

    def _name_step(self, line: str) -> bool:
        found = _BUILDKIT_STEP.search(line)
        if found:
            self.step = f"[{found['place']}] {found['step'].rstrip().rstrip(':')}"
        return bool(found)

    def _add_of_engine(self, line: str) -> None:
        found = self.output.step.search(line)
        if found:
            groups = [value for value in found.groups() if value]
            self.step = self.step or groups[0]
            self.exit_code = int(groups[-1])
            return
        found = self.output.error.match(line)
        if not found:
            return
        self.error = found["error"].strip()
        unquoted = _without_quoted(self.error)
        if _OF_OTHERS.search(unquoted):
            return
        if self.output.lost.search(unquoted):
            self.daemon_error = line
        if self.output.full.search(unquoted):
            self.disk_error = line

    def failure(self, container: str, exit_code: int, particulars: dict[str, Any]) -> Failure:
        """Why the container ended with this exit code, which is not 0."""
        for name, lines in self._lines.items():
            for line in lines.rest():
                self._add(name, line, name == BUILD)
        report = self.reports.get(container, {})
        if container == FETCH:
            return self._of_fetch(exit_code, report, particulars)
        if container == PUSH:
            return self._of_push(str(report.get("error") or ""), particulars)
        if self.disk_error:
            return Failure("BHS504", {**particulars, "detail": self.disk_error})
        if check := report.get("check"):
            return self._of_check(check, particulars)
        step = f" at step {self.step}" if self.step else ""
        if self.exit_code == 137:
            return Failure("BHS102", {**particulars, "step": step, "detail": "the step was killed (exit code 137)"})
        if self.exit_code and (words := memory_words(self._of_step)):
            return Failure("BHS102", {**particulars, "step": step, "detail": f"its output says `{words[:300]}`"})
        if base_image := base_image_failure(self.error):
            return Failure(base_image[0], {**particulars, "detail": base_image[1]})
        detail = f"it ended with exit code {self.exit_code}." if self.exit_code else self.error or self._last_error()
        if exit_code == 137:
            detail = "repo2docker was killed (exit code 137)."
        return Failure("BHS101", {**particulars, "step": step, "detail": detail or f"exit code {exit_code}."})

    def _of_fetch(self, exit_code: int, report: dict[str, Any], particulars: dict[str, Any]) -> Failure:
        if exit_code == LINK_LEAVES and "link" in report:
            return Failure("BHS108", {**particulars, "detail": report["link"]})
        if exit_code == TOO_LARGE and "limit" in report:
            return Failure("BHS109", {**particulars, "detail": f"{int(report['limit']) >> 20} MiB"})
        if exit_code == REFUSED_ARGUMENTS and "refused" in report:
            return Failure("BHS205", {**particulars, "detail": report["refused"]})
        code, detail = fetch_failure(self.fetched)
        return Failure(code, {**particulars, "detail": detail or self._last_error() or "its log does not say why"})

    def _of_check(self, check: dict[str, Any], particulars: dict[str, Any]) -> Failure:
        # By itself, because what the steps of the repository have printed says nothing of the check.
        analysis = LogAnalysis(self.output)
        for line in check["lines"]:
            analysis.add(BUILD, {"message": f"{line}\n"})
        if "seconds" in check:
            detail = f"the check did not end within {check['seconds']} s."
        elif analysis.exit_code:
            detail = f"the check ended with exit code {analysis.exit_code}."
        else:
            return Failure("BHS206", {**particulars, "detail": "\n".join(check["lines"][-_CHECK_LINES:])})
        said = [self.output.step_output.sub("", line, count=1) for line in list(analysis._of_step)[-_CHECK_LINES:]]
        return Failure("BHS114", {**particulars, "detail": "\n".join([detail, *said])})

    def _of_push(self, error: str, particulars: dict[str, Any]) -> Failure:
        # In one line: docker passes on a proxy's page, which may have several.
        detail = " ".join(_TAG.sub(" ", error[:SEARCHED]).split())
        return Failure(push_failure(detail), {**particulars, "detail": detail or "\n".join(self.last)})

    def _last_error(self) -> str:
        for line in reversed(self.last):
            if _ERROR.search(line):
                return line.strip()
        return self.last[-1].strip() if self.last else ""


def _without_quoted(text: str) -> str:
    """The text without what Go's %q has quoted. One pattern for the whole text would take too long."""
    kept, quoted, end = [], False, 0
    for mark in _QUOTE.finditer(text):
        if mark[0] == '"':
            if not quoted:
                kept.append(text[end : mark.start()])
            quoted, end = not quoted, mark.end()
    return "".join(kept) if quoted else "".join([*kept, text[end:]])
