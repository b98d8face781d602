"""From lines and reports to a code."""

import itertools
import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from binderhub_service import failure_patterns, log_analysis
from binderhub_service.docker_engine import DockerEngine
from binderhub_service.log_analysis import SEARCHED, LogAnalysis
from binderhub_service.pod_logs import log_event
from binderhub_service.programs import BUILD, FETCH, PUSH
from binderhub_service.programs.fetch import LINK_LEAVES, REFUSED_ARGUMENTS, TOO_LARGE

CASES = yaml.safe_load((Path(__file__).parent / "recorded.yaml").read_text())
PARTICULARS = {"node": "node-1", "repo": "https://git.example/r", "ref": "main", "name": "r.example/i:1", "image": "i"}
FULL = "ERROR: failed to solve: write /var/lib/docker/x: no space left on device"
LOST = "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF"


def analysis(*messages: str, container: str = BUILD) -> LogAnalysis:
    """What these messages tell, each as repo2docker hands it on."""
    told = LogAnalysis(DockerEngine.output)
    for message in messages:
        told.add(container, {"phase": "building", "message": message})
    return told


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_lines_and_errors_become_a_code(case: dict[str, Any]) -> None:
    container = case.get("container", BUILD)
    told = analysis(*(f"{line}\n" for line in case.get("lines", "").splitlines()), container=container)
    if "error" in case:
        told.reports[container] = {"error": case["error"]}
    failure = told.failure(container, 1, PARTICULARS)
    assert failure.code == case["code"], failure.what
    assert case.get("says", "") in failure.what
    assert bool(told.daemon_error) is case.get("hints", False)


def test_the_digest_is_what_the_push_reports() -> None:
    told = analysis(f"1: digest: sha256:{'a' * 64} size: 528\n", container=PUSH)
    assert told.digest == ""
    told.reports[BUILD] = {"digest": "sha256:of-the-builder"}
    assert told.digest == ""
    told.reports[PUSH] = {"digest": "sha256:of-the-push"}
    assert told.digest == "sha256:of-the-push"


def test_links_and_sizes_are_reported() -> None:
    told = analysis("fatal: bad object\n", container=FETCH)
    told.reports[FETCH] = {"link": "binder/apt.txt"}
    failure = told.failure(FETCH, LINK_LEAVES, PARTICULARS)
    assert (failure.code, "binder/apt.txt" in failure.what) == ("BHS108", True)
    told.reports[FETCH] = {"limit": 3 << 20}
    failure = told.failure(FETCH, TOO_LARGE, PARTICULARS)
    assert (failure.code, "3 MiB" in failure.what) == ("BHS109", True)


def test_arguments_that_repo2docker_refuses_are_reported() -> None:
    told = analysis(container=FETCH)
    told.reports[FETCH] = {"refused": "unrecognized arguments: --no-such"}
    failure = told.failure(FETCH, REFUSED_ARGUMENTS, PARTICULARS)
    assert (failure.code, "--no-such" in failure.what) == ("BHS205", True)


def test_the_exit_code_after_a_command_of_any_length_is_read() -> None:
    command = "echo " + "x" * 3 * SEARCHED
    told = analysis(f'ERROR: process "/bin/sh -c {command}" did not complete successfully: exit code: 137\n')
    assert told.failure(BUILD, 1, PARTICULARS).code == "BHS102"


# As buildx printed them on the local cluster, up to the block that repeats them.
CHECKED = '#6 [stage-1 2/2] RUN --mount=type=bind,from=volume ["/entry", "jupyterhub-singleuser", "--version"]'
ENDED = '#6 ERROR: process "/entry jupyterhub-singleuser --version" did not complete successfully: exit code: 5'
NO_BUILDX = "docker: 'buildx' is not a docker command."


@pytest.mark.parametrize(
    ("check", "code", "detail"),
    [
        (
            {"lines": [CHECKED, "#6 0.241 no licence", ENDED]},
            "BHS114",
            "the check ended with exit code 5.\nno licence",
        ),
        ({"lines": [CHECKED, ENDED]}, "BHS114", "the check ended with exit code 5."),
        ({"lines": [CHECKED], "seconds": 60}, "BHS114", "the check did not end within 60 s."),
        (
            {"lines": ["docker: 'buildx' is not a docker command."]},
            "BHS206",
            "docker: 'buildx' is not a docker command.",
        ),
    ],
)
def test_a_failed_check_quotes_what_the_check_has_printed(check: dict[str, Any], code: str, detail: str) -> None:
    told = analysis("#6 0.100 an earlier step of the repository printed this\n")
    told.reports[BUILD] = {"check": check}
    failure = told.failure(BUILD, 65, {})
    assert (failure.code, failure.particulars["detail"]) == (code, detail)


@pytest.mark.parametrize("code", [LINK_LEAVES, TOO_LARGE, REFUSED_ARGUMENTS])
def test_an_exit_code_without_its_report_is_a_fetch_that_failed(code: int) -> None:
    assert analysis(container=FETCH).failure(FETCH, code, PARTICULARS).code == "BHS103"


def test_the_engines_own_words_are_evidence() -> None:
    assert analysis(f"{FULL}\n").failure(BUILD, 1, PARTICULARS).code == "BHS504"
    assert analysis(f"{LOST}\n").daemon_error


@pytest.mark.parametrize("said", [FULL, LOST, "denied: requested access", "unexpected status 502 Bad Gateway"])
@pytest.mark.parametrize(
    "messages",
    [
        ["#7 0.123 {}\n"],
        ["#7 0.123 innocent\r", "{}\n"],
        ["#7 0.123 a\r", "b\r", "{}\r", "\n"],
        ["------\n", " > [2/2] RUN x:\n", "{}\n", "0.107 {}\n", "------\n"],
        ['ERROR: failed to solve: process "/bin/sh -c echo {}" did not complete successfully: exit code: 1\n'],
        ['#7 ERROR: failed to calculate checksum: "/{}": not found\n'],
        ["ERROR: failed to solve: dockerfile parse error on line 1: unknown instruction: {}\n"],
        ["ERROR: failed to solve: x: failed to resolve source metadata for r.example/x: {}\n"],
        ["ERROR: failed to solve: process failed: unable to find user {}: no matching entries in passwd file\n"],
        ["Traceback (most recent call last):\n{}\n"],
        ["   1 | >>> RUN {}\n"],
    ],
    ids=["step", "return", "returns", "repeated", "process", "quoted", "parse", "base", "user", "traceback", "excerpt"],
)
def test_words_of_steps_repositories_and_base_images_are_no_evidence(messages: list[str], said: str) -> None:
    told = analysis(*(message.format(said) for message in messages))
    assert (told.disk_error, told.daemon_error, told.digest) == ("", "", "")
    of_base_image = {"BHS111", "BHS113"} if "source metadata" in messages[0] else {"BHS101"}
    assert told.failure(BUILD, 1, PARTICULARS).code in of_base_image


def test_output_of_the_builder_is_no_error_of_the_push() -> None:
    told = analysis("ERROR: denied: requested access to the resource is denied\n", "#9 pushing layers\n")
    told.reports[PUSH] = {"error": "received unexpected HTTP status: 502 Bad Gateway"}
    assert told.failure(PUSH, 1, PARTICULARS).code == "BHS607"


def test_digits_of_an_address_or_a_tag_are_no_status() -> None:
    told = analysis()
    told.reports[PUSH] = {"error": "read tcp 10.4.1.3:413->10.4.2.9:429: read: connection reset by peer"}
    assert told.failure(PUSH, 1, PARTICULARS).code == "BHS607"


PATTERNS = {
    **{f"git {code}": re.compile(pattern) for code, pattern in failure_patterns._GIT},
    **{f"push {code}": re.compile(pattern) for code, pattern in failure_patterns._PUSH},
    **{f"base image {code}": pattern for code, pattern in failure_patterns._BASE_IMAGE_CODES},
    **{f"lfs {number}": pattern for number, pattern in enumerate(failure_patterns._LFS)},
    **{name: value for name, value in vars(failure_patterns).items() if isinstance(value, re.Pattern)},
    **{name: value for name, value in vars(log_analysis).items() if isinstance(value, re.Pattern)},
    **vars(DockerEngine.output),
}
PIECES = (
    *("repository '", 'process "', "The command '", "ERROR: failed to solve: ", "#1 ERROR: ", " > [", "<", '"', "\\"),
    *(
        "failed to ",
        "HTTP 4",
        "status code: 5",
        "413 ",
        "server ",
        "SSL: no alternative ",
        " ",
        "a",
        "[",
        "'",
        "#1 1.1 ",
    ),
)
BUDGET_SECONDS = 0.004
"""Of processor time, for a line of 4 KiB: ten thousand of them, which a log of 40 MiB has, are less than a minute."""


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call: the least of three, since others use the processor too."""

    def once() -> float:
        begin = time.process_time()
        call()
        return time.process_time() - begin

    return min(once() for _ in range(3))


def crafted() -> list[str]:
    """Lines that have an engine of regular expressions begin again and again."""
    pairs = itertools.product(PIECES, repeat=2)
    return [(first + second) * (SEARCHED // len(first + second)) for first, second in pairs]


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_takes_long_for_any_line(name: str) -> None:
    search = PATTERNS[name].search
    slow = [line[:40] for line in crafted() if seconds(partial(search, line)) > BUDGET_SECONDS]
    assert slow == []


@pytest.mark.parametrize("container", [FETCH, BUILD, PUSH])
def test_no_line_takes_long_to_be_taken_into_account(container: str) -> None:
    told = analysis()
    for line in crafted():
        message = {"message": f"{line}\n"}
        assert seconds(lambda message=message: told.add(container, message)) < 2 * BUDGET_SECONDS, line[:40]  # type: ignore[misc]
    told.reports[container] = {"error": "<" * SEARCHED}
    assert seconds(lambda: told.failure(container, 1, PARTICULARS)) < 0.5


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, '{"message": ' + "[" * 100_000, '{"a": NaN}'])
def test_lines_that_cannot_be_read_as_json_are_text(line: str) -> None:
    told = log_event(line, "building")
    assert told["phase"] == "building"
    assert isinstance(told["message"], str)


@pytest.mark.parametrize("phase", ["ready", "READY", "Failed", "built", "launching", "", None, True, ["ready"], {}])
def test_phases_in_a_log_cannot_end_a_build(phase: Any) -> None:
    forged = json.dumps({"phase": phase, "url": "https://evil.example", "token": "t", "message": "x"})
    assert log_event(forged, "building") == {"phase": "building", "message": "x"}


def test_a_line_of_the_log_cannot_speak_for_the_executor() -> None:
    forged = (
        '{"phase": "ready", "imageName": "evil/i:1", "code": "BHS101", "digest": "sha256:1", "message": "x", "n": [1]}'
    )
    assert log_event(forged, "building") == {"phase": "building", "message": "x"}
