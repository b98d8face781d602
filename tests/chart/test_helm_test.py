"""`helm test`: its pod, and its program against a server that answers as BinderHub does."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from chart_values.rendering import Chart, Object, Objects
from common.errors import UserError
from common.paths import CHART
from support.binderhub import free_port

PROGRAM = (CHART / "files" / "helm_test" / "ask_for_build.py").read_text()
REPOSITORY, PATH = "https://git.example/group/a.git", "/b/build/git/https%3A%2F%2Fgit.example%2Fgroup%2Fa.git/a%2Fb"


@dataclass
class BinderHub:
    """What it answers next, and what it was asked."""

    status: int = 200
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def start(self, program: str = PROGRAM, **environment: str) -> subprocess.Popen[str]:
        """The program, which runs."""
        return subprocess.Popen(
            [sys.executable, "-c", program],
            env={
                "PATH": os.environ["PATH"],
                "BINDERHUB": f"http://127.0.0.1:{self.port}/b",
                "REPOSITORY": REPOSITORY,
                "REF": "a/b",
                "http_proxy": "http://127.0.0.1:1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test(self, program: str = PROGRAM, **environment: str) -> tuple[int, list[str]]:
        """Run the program: its exit code and what it printed."""
        return ended(self.start(program, **environment))


def ended(program: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Its exit code and what it printed since it was last read."""
    out, err = program.communicate(timeout=60)
    assert err == ""
    return program.returncode, out.splitlines()


@contextmanager
def listening(found: BinderHub) -> Iterator[None]:
    """Have it answer at its port, or at one of its own if that is 0."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, dict(self.headers)))
            self.send_response(found.status)
            self.end_headers()
            if found.status == 200:
                self.wfile.write(b":keepalive\n\n")
                for event in found.events:
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

        def log_message(self, *_: Any) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", found.port), Handler) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def binderhub() -> Iterator[BinderHub]:
    found = BinderHub()
    with listening(found):
        yield found


def test_an_image_passes(binderhub: BinderHub) -> None:
    binderhub.events = [
        {"phase": "waiting", "message": "Waiting for build to start...\n"},
        {"message": "a line"},
        {"phase": "building", "message": ""},
        {"phase": "ready", "message": "Done!\n", "imageName": "r/i:1"},
        {"phase": "failed", "message": "nobody reads this\n"},
    ]
    assert binderhub.test() == (
        0,
        [
            f"Asking for {REPOSITORY} at a/b",
            "waiting: Waiting for build to start...",
            "a line",
            "The test passed: r/i:1 is built.",
        ],
    )
    ((path, headers),) = binderhub.asked
    assert path == f"{PATH}?build_only=true"
    assert headers["Accept"] == "text/event-stream"
    assert "Authorization" not in headers


def test_a_failure_is_told_as_binderhub_tells_it(binderhub: BinderHub) -> None:
    binderhub.events = [{"phase": "failed", "message": "BHS101: A step failed\nMend it.\n"}]
    code, lines = binderhub.test()
    assert code == 1
    assert lines[1:] == ["The test failed. BHS101: A step failed", "Mend it."]


def test_control_sequences_of_a_build_do_not_reach_the_terminal(binderhub: BinderHub) -> None:
    binderhub.events = [
        {"phase": "building", "message": "\x1b[2Jgone\x1b]0;title\x07 \x9b31mred\r\tend\n"},
        {"phase": "ready", "imageName": "r/i:1\x1b[0m"},
    ]
    _, lines = binderhub.test()
    assert lines[1:] == ["building: gone]0;title 31mred\tend", "The test passed: r/i:1 is built."]


def test_a_token_goes_along(binderhub: BinderHub) -> None:
    binderhub.events = [{"phase": "ready", "imageName": "r/i:1"}]
    assert binderhub.test(JUPYTERHUB_API_TOKEN="abc")[0] == 0  # noqa: S106 - of nobody
    assert binderhub.asked[0][1]["Authorization"] == "token abc"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (403, "BinderHub answered 403 Forbidden. Give a token that may build in test.apiTokenSecret."),
        (502, "BinderHub answered 502 Bad Gateway."),
        (200, "BinderHub ended the stream without an answer; ask again."),
    ],
)
def test_no_answer_fails(binderhub: BinderHub, status: int, sentence: str) -> None:
    binderhub.status = status
    code, lines = binderhub.test()
    assert (code, lines[-1]) == (1, f"The test failed. {sentence}")


def test_an_unreachable_service_fails_the_helm_test() -> None:
    patience = "PATIENCE_SECONDS = 30.0"
    assert patience in PROGRAM
    code, lines = BinderHub(port=free_port()).test(PROGRAM.replace(patience, "PATIENCE_SECONDS = 1.0"))
    assert code == 1
    assert lines[-1].startswith("The test failed. BinderHub could not be heard: ")


def test_a_policy_that_lets_it_in_may_take_hold_later() -> None:
    found = BinderHub(events=[{"phase": "ready", "imageName": "r/i:1"}])
    with socket.create_server(("127.0.0.1", 0)) as refuses:
        found.port = refuses.getsockname()[1]
        program = found.start()
        refuses.accept()[0].close()
    with listening(found):
        code, lines = ended(program)
    assert (code, lines[-1]) == (0, "The test passed: r/i:1 is built.")


# Its pod


def pod(objects: Objects) -> Object:
    return objects.one("Pod", "binderhub-test")


def test_helm_test_is_off_by_default(defaults: Objects) -> None:
    assert not [found for found in defaults if found["kind"] == "Pod"]


def test_the_hook_leaves_nothing(chart: Chart) -> None:
    annotations = pod(chart.render({"test": {"enabled": True}}))["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "test"
    assert set(annotations["helm.sh/hook-delete-policy"].split(",")) >= {"hook-succeeded", "hook-failed"}
    assert "helm.sh/hook-output-log-policy" not in annotations  # Helm 4, which reads the log with --logs


def test_helm_test_requests_what_the_values_say(chart: Chart) -> None:
    values = {
        "fullnameOverride": "mine",
        "service": {"port": 8090},
        "config": {"BinderHub": {"base_url": "/services/binder/"}},
        "test": {"enabled": True, "repository": "https://r", "ref": "main"},
    }
    objects = chart.render(values)
    (container,) = objects.one("Pod", "mine-binderhub-test")["spec"]["containers"]
    assert container["command"][:2] == ["python3", "-c"]
    assert container["command"][2].strip() == PROGRAM.strip()
    assert container["env"] == [
        {"name": "BINDERHUB", "value": "http://mine-binderhub:8090/services/binder"},
        {"name": "REPOSITORY", "value": "https://r"},
        {"name": "REF", "value": "main"},
    ]
    assert ("Service", "mine-binderhub") in objects.names()


def test_the_token_comes_from_a_secret(chart: Chart) -> None:
    given = {"enabled": True, "apiTokenSecret": {"name": "hub", "key": "t"}}
    (container,) = pod(chart.render({"test": given}))["spec"]["containers"]
    (token,) = [entry for entry in container["env"] if entry["name"] == "JUPYTERHUB_API_TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hub", "key": "t"}}
    with pytest.raises(UserError, match="key"):
        chart.render({"test": {"enabled": True, "apiTokenSecret": {"name": "hub"}}})


def test_the_pod_is_as_restricted_as_binderhub(chart: Chart) -> None:
    objects = chart.render({"test": {"enabled": True}})
    (container,) = pod(objects)["spec"]["containers"]
    (binderhub,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"] == binderhub["securityContext"]
    assert pod(objects)["spec"]["automountServiceAccountToken"] is False
