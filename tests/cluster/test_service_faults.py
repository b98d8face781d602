"""Faults of BinderHub itself: ended, rolled, away from the API server."""

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest
from local_cluster.layout import NODES
from support import repeat_request
from support.binderhub import until
from support.host_processes import api_server, stopped
from support.release import Answer, Release, path, ready_pods

pytestmark = pytest.mark.local

BINDERHUB = "app.kubernetes.io/component=binderhub"
AWAY_SECONDS = 60.0


def lines(answer: Answer) -> list[str]:
    """The numbers that a slow step counts."""
    return re.findall(r"second (\d+)$", answer.text("building"), re.MULTILINE)


def counted(end: int) -> list[str]:
    return [str(number) for number in range(1, end + 1)]


def test_9_a_build_goes_on_when_binderhub_ends(release: Release) -> None:
    with contextlib.suppress(httpx.TransportError):
        for event in release.ask("slow-step"):
            assert event["phase"] not in ("ready", "failed")
            if "second 3" in event["message"]:
                release.delete("pod", f"--selector={BINDERHUB}", "--grace-period=0", "--force")
    until(lambda: any(ready_pods(release, BINDERHUB)), "the new BinderHub")
    with release.reached():
        again = release.answer("slow-step")
    assert again.end["phase"] == "ready"
    assert lines(again) == counted(25)


@contextlib.contextmanager
def knocking(release: Release, repository: str) -> Iterator[list[str]]:
    """Requests through the Service, from a node, while the block runs; afterwards the list has what became of each."""
    address = release.target.get("service", release.service, f"--namespace={release.namespace}")["spec"]["clusterIP"]
    process = subprocess.Popen(
        [
            "nsenter", f"--net=/run/netns/{NODES[0].namespace}",
            sys.executable, repeat_request.__file__, f"http://{address}{path(repository, 'HEAD')}",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    told: list[str] = []
    try:
        yield told
    finally:
        output, _ = process.communicate()
        told += json.loads(output)


def test_9_nobody_is_refused_while_binderhub_is_rolled(release: Release) -> None:
    assert release.answer("one-file").end["phase"] == "ready"
    before = {pod["metadata"]["uid"] for pod in release.pods(BINDERHUB)}
    with knocking(release, "one-file") as told:
        with contextlib.suppress(httpx.TransportError):
            for event in release.ask("slow-step-too"):
                if "second 3" in event["message"]:
                    release.install({"podAnnotations": {"test": "rolled"}})
        until(
            lambda: not before & {pod["metadata"]["uid"] for pod in release.pods(BINDERHUB)}, "the old pod to be gone"
        )
        with release.reached():
            again = release.answer("slow-step-too")
    assert again.end["phase"] == "ready"
    assert lines(again) == counted(25)
    assert len(told) > 50
    assert set(told) == {"ready"}


def test_10_the_api_server_is_away_during_a_build(release: Release) -> None:
    (address,) = release.addresses()
    answer, was_away = Answer(), False
    with contextlib.ExitStack() as away:
        for event in release.ask("slow-minute", url=address):
            answer.events.append(event)
            if "second 2" in event["message"] and not was_away:
                was_away = True
                away.enter_context(stopped(api_server()))
                threading.Timer(AWAY_SECONDS, away.close).start()
    assert answer.end["phase"] == "ready"
    assert lines(answer) == counted(75)
