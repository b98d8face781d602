"""From a request to its one end."""

import json
import re
import time
from pathlib import PurePosixPath
from typing import Any

import pytest
from binderhub_service.failures import FAILURES
from binderhub_service.programs.build import NO_PERMISSION
from binderhub_service.programs.fetch import REFUSED_ARGUMENTS
from binderhub_service.programs.shared import DAEMON_SILENT
from support.api_server import RUNS, WAITS, ended
from support.binderhub import Stream, new_ref, until
from support.executor_setting import DIGEST, IMPATIENT, SOCKET, URL, Setting, report

WAITING = {"phase": "waiting", "message": "Waiting for build to start...\n"}


def failed(events: list[Any]) -> dict[str, Any]:
    """The one `failed` event, which is the last."""
    assert [event["phase"] for event in events].count("failed") == 1, events
    last: dict[str, Any] = events[-1]
    assert last["phase"] == "failed"
    assert last["message"] == f"{last['code']}: {last['what']}\n{last['next_step']}\n"
    kind = FAILURES[last["code"]]
    for template, text in ((kind.what, last["what"]), (kind.next_step, last["next_step"])):
        assert re.fullmatch(re.sub(r"\\{\w+\\}", "(?!None).*", re.escape(template)), text, re.DOTALL), text
    return last


def nothing_left(setting: Setting) -> None:
    """Neither a pod nor a log stream, and no watch more than there are at the start."""
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")
    until(lambda: setting.proxy.readers() == 0, "the log streams to end")
    until(lambda: len(setting.proxy.watches) == 3, "watches of build pods, events and daemons, one each")


def messages(events: list[Any], phase: str) -> list[str]:
    return [event["message"] for event in events if event["phase"] == phase and event["message"]]


def line(message: str, phase: str = "building") -> str:
    return json.dumps({"message": message, "phase": phase})


def until_event(stream: Stream, text: str) -> list[Any]:
    """Events up to the first whose message has this text."""
    seen: list[Any] = []
    while not seen or text not in seen[-1]["message"]:
        event = stream.event()
        assert event is not None, seen
        seen.append(event)
    return seen


def test_a_build_that_succeeds(setting: Setting) -> None:
    with setting.build() as stream:
        assert stream.event() == WAITING
        pod, log = setting.start()
        log.print(line("Step 1\n"), line("Step 2\n"))
        until_event(stream, "Step 1")
        log.print(line("Step 3\n"))
        setting.finish(pod)
        rest = stream.rest()
    assert messages(rest, "building") == ["Step 2\n", "Step 3\n"]
    image = pod["metadata"]["annotations"]["binder-image"]
    assert rest[-1] == {"phase": "ready", "message": "Done! Image built\n", "imageName": image, "digest": DIGEST}
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


def test_a_step_that_fails_is_named(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(
            line("------\n"),
            line(" > [2/3] RUN false:\n"),
            line("------\n"),
            line('ERROR: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1\n'),
            line("Error during build: exit status 1\n", "failed"),
        )
        setting.finish(pod, 1)
        events = stream.rest()
    end = failed(events)
    assert end["code"] == "BHS101"
    assert "[2/3] RUN false" in end["what"]
    assert messages(events, "building")[-1] == "Error during build: exit status 1\n"
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


@pytest.mark.parametrize(
    ("code", "particulars", "failure", "says"),
    [
        (DAEMON_SILENT, {"silent": 121}, "BHS505", "did not answer for 121 s"),
        (NO_PERMISSION, {"denied": "[Errno 13] Permission denied"}, "BHS506", "Permission denied"),
        (DAEMON_SILENT, {}, "BHS101", "The build failed"),
    ],
    ids=["silent", "no permission", "without a report"],
)
def test_the_builders_report_about_the_daemon(
    setting: Setting, code: int, particulars: dict[str, Any], failure: str, says: str
) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Waiting for the daemon, which has not answered for 10 s.\n", "waiting"))
        if particulars:
            log.print(report(pod, "builder", **particulars))
        setting.end(pod, code)
        events = stream.rest()
    assert "Waiting for the daemon, which has not answered for 10 s.\n" in messages(events, "waiting")
    end = failed(events)
    assert (end["code"], says in end["what"]) == (failure, True), end


def test_arguments_that_repo2docker_refuses(setting: Setting) -> None:
    with setting.build() as stream:
        pod, fetch = setting.fetching()
        fetch.print(report(pod, "fetch", refused="unrecognized arguments: --no-such"))
        fetch.end()
        states: dict[str, Any] = {"fetch": ended(REFUSED_ARGUMENTS), "build": RUNS, "phase": "Running"}
        setting.namespace.containers(pod["metadata"]["name"], **states)
        end = failed(stream.rest())
    assert (end["code"], "--no-such" in end["what"]) == ("BHS205", True)


def test_a_build_is_over_when_its_push_reports_success(setting: Setting) -> None:
    """Also where the kubelet shows neither that it ended, nor that the containers before it did."""
    with setting.build() as stream:
        pod, fetch = setting.fetching()
        name = pod["metadata"]["name"]
        setting.namespace.containers(name, fetch=RUNS, build=RUNS, phase="Running")
        fetch.print(line("Cloning\n", "fetching"), report(pod, "fetch"))
        setting.proxy.log(name).print(line("Step 1\n"), report(pod, "builder"))
        setting.hold(pod)
        setting.proxy.log(name, "push").print(line("layer: Pushed\n", "pushing"), report(pod, "push", digest=DIGEST))
        events = stream.rest()
    assert messages(events, "fetching") == ["Cloning\n"]
    assert messages(events, "building") == ["Step 1\n"]
    assert messages(events, "pushing") == ["layer: Pushed\n"]
    assert (events[-1]["phase"], events[-1]["message"]) == ("ready", "Done! Image built\n")
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


@pytest.mark.parametrize("extra_config", ['c.KubernetesBuildExecutor.push_secret = ""\n'], indirect=True)
def test_without_a_push_the_image_is_not_ready(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        assert [one["name"] for one in pod["spec"]["containers"]] == ["fetch", "builder"]
        log.print(line("Step 1\n"), report(pod, "builder"))
        end = stream.rest()[-1]
    assert (end["phase"], end["code"]) == ("failed", "BHS608")
    assert "not pushed: push_secret is empty" in end["what"]


@pytest.mark.parametrize("extra_config", ['c.KubernetesBuildExecutor.push_secret = ""\n'], indirect=True)
def test_without_a_push_an_image_that_the_registry_holds_is_ready(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        setting.hold(pod)
        log.print(line("Step 1\n"), report(pod, "builder"))
        end = stream.rest()[-1]
    assert (end["phase"], end["digest"]) == ("ready", DIGEST)


@pytest.mark.parametrize("extra_config", ["c.KubernetesBuildExecutor.docker_host = None\n"], indirect=True)
def test_without_a_docker_host_builds_use_the_docker_api_pods(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        (volume,) = [one for one in pod["spec"]["volumes"] if "hostPath" in one]
        assert volume["hostPath"]["path"] == str(PurePosixPath(SOCKET).parent)
        log.print(report(pod, "builder", exit_code=1))
        setting.end(pod, 1)
        assert stream.rest()[-1]["phase"] == "failed"


ENVIRONMENT = """
c.KubernetesBuildExecutor.extra_envs = {"A": "1"}
c.KubernetesBuildExecutor.extra_env = [
    {"name": "N", "value": 4},
    {"name": "T", "value": True},
    {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
]
"""


@pytest.mark.parametrize("extra_config", [ENVIRONMENT], indirect=True)
def test_numbers_among_the_variables_become_text(setting: Setting) -> None:
    """The API server refuses them otherwise."""
    with setting.build():
        pod = setting.namespace.pod()
    env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert (env["A"], env["N"], env["T"], env["P"]) == ("1", "4", "true", None)


def test_fetching_that_is_killed_while_the_builder_waits(setting: Setting) -> None:
    with setting.build() as stream:
        pod, fetch = setting.fetching()
        fetch.end()
        killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        setting.namespace.containers(pod["metadata"]["name"], fetch=killed, build=RUNS, phase="Running")
        assert failed(stream.rest())["code"] == "BHS701"
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


def test_no_thread_no_end_lost_with_many_lines(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(*(line(f"{number}\n") for number in range(5000)))
        setting.finish(pod)
        events = stream.rest()
    assert messages(events, "building") == [f"{number}\n" for number in range(5000)]
    assert events[-1]["phase"] == "ready"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"no JSON", "no JSON\n"),
        (b"7", "7\n"),
        (b"null", "null\n"),
        (b'["a"]', '["a"]\n'),
        (b"\xff\xfe\x00bin", "\ufffd\ufffd\x00bin\n"),
        (b"x" * 1_000_000, "x" * 1_000_000 + "\n"),
        (b'{"phase": "building", "message": ["a"]}', '["a"]'),
        (b'{"other": 1}', ""),
    ],
)
def test_lines_that_are_no_json_object(setting: Setting, raw: bytes, message: str) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(raw, line("after\n"))
        setting.finish(pod)
        events = stream.rest()
    building = [event["message"] for event in events if event["phase"] == "building"]
    assert building == [message, "after\n"]
    assert events[-1]["phase"] == "ready"


def test_lines_of_any_kind_before_a_failure(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(b"7", b"\xff\x00", b"x" * 3_000_000, b'{"phase": "failed", "message": "ours alone counts"}', b"null")
        setting.finish(pod, 1)
        events = stream.rest()
    assert failed(events)["code"] == "BHS101"
    told = messages(events, "building")
    assert [told[0], told[1], *told[3:]] == ["7\n", "\ufffd\x00\n", "ours alone counts", "null\n"]
    assert told[2] == f"{'x' * 2_097_152} … (cut after 2097152 bytes)\n"
    nothing_left(setting)


@pytest.mark.parametrize("extra_config", [IMPATIENT], indirect=True)
def test_unschedulable_is_told_and_bounded(setting: Setting) -> None:
    with setting.build() as stream:
        pod = setting.namespace.pod()
        setting.namespace.unschedulable(pod["metadata"]["name"], "0/2 nodes are available: 2 Insufficient cpu.")
        until_event(stream, "2 Insufficient cpu")
        setting.namespace.unschedulable(pod["metadata"]["name"], "0/3 nodes are available: 3 Insufficient cpu.")
        until_event(stream, "3 Insufficient cpu")
        end = failed(stream.rest())
    assert end["code"] == "BHS301"
    assert "3 Insufficient cpu" in end["what"]
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


@pytest.mark.parametrize("extra_config", [IMPATIENT], indirect=True)
def test_no_daemon_is_told_and_bounded(setting: Setting) -> None:
    setting.namespace.daemon_ready(False)
    with setting.build() as stream:
        setting.start()
        until_event(stream, "the docker-api pod on node node-1 is not ready")
        end = failed(stream.rest())
    assert end["code"] == "BHS302"


def test_a_daemon_that_comes_in_time(setting: Setting) -> None:
    setting.namespace.daemon_ready(False)
    with setting.build() as stream:
        pod, log = setting.start()
        until_event(stream, "not ready")
        setting.namespace.daemon_ready(True)
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        setting.finish(pod)
        assert stream.rest()[-1]["phase"] == "ready"


def pull(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def test_an_invalid_image_name_fails_at_once(setting: Setting) -> None:
    with setting.build() as stream:
        pod = setting.namespace.pod()
        setting.namespace.schedule(pod["metadata"]["name"])
        state = pull("InvalidImageName", "couldn't parse image name")
        setting.namespace.containers(pod["metadata"]["name"], fetch=state, build=WAITS)
        assert failed(stream.rest())["code"] == "BHS201"


def test_an_image_that_is_not_there_fails_at_the_second_attempt(setting: Setting) -> None:
    words = 'Failed to pull image "i": rpc error: code = NotFound desc = failed to resolve: i: not found'
    with setting.build() as stream:
        pod = setting.namespace.pod()
        setting.namespace.schedule(pod["metadata"]["name"])
        setting.namespace.event(pod, "Failed", words)
        state = pull("ErrImagePull", "not found")
        setting.namespace.containers(pod["metadata"]["name"], fetch=state, build=WAITS)
        until_event(stream, "cannot be pulled yet")
        setting.namespace.event(pod, "Failed", words)
        end = failed(stream.rest())
    assert end["code"] == "BHS202"
    assert "NotFound" in end["what"]


def test_a_pod_deleted_by_hand(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        setting.namespace.delete(pod["metadata"]["name"])
        start = time.monotonic()
        assert failed(stream.rest())["code"] == "BHS703"
        assert time.monotonic() - start < 10
    nothing_left(setting)


DEADLINE = "c.ServiceBuildExecutor.deadline_seconds = 60\n"
DONE, KILLED, FULL = ended(0), ended(137), ended(137, "OOMKilled")


@pytest.mark.parametrize("extra_config", [DEADLINE], indirect=True)
@pytest.mark.parametrize(
    ("fetch", "build", "status", "code", "text"),
    [
        (DONE, KILLED, {"reason": "Evicted", "message": "low on memory"}, "BHS702", "node-1: low on memory"),
        (DONE, KILLED, {"reason": "NodeShutdown"}, "BHS702", "NodeShutdown"),
        (DONE, KILLED, {"reason": "DeadlineExceeded", "message": "active too long"}, "BHS704", "longer than 60 s"),
        (DONE, FULL, {}, "BHS701", "memory"),
        (FULL, WAITS, {}, "BHS701", "memory"),
        (DONE, ended(128, "StartError"), {}, "BHS204", "cannot start: StartError"),
        (DONE, KILLED, {}, "BHS101", "killed (exit code 137)"),
        (DONE, WAITS, {"reason": "UnexpectedAdmissionError", "message": "no room"}, "BHS705", "no room"),
    ],
    ids=["evicted", "shutdown", "deadline", "oom", "oom-while-fetching", "cannot-start", "killed", "without-a-word"],
)
def test_a_pod_that_is_ended_by_kubernetes(
    setting: Setting, fetch: dict[str, Any], build: dict[str, Any], status: dict[str, Any], code: str, text: str
) -> None:
    with setting.build() as stream:
        pod, _ = setting.start()
        name = pod["metadata"]["name"]
        assert pod["spec"]["activeDeadlineSeconds"] == 60
        setting.proxy.log(name, "push").end()
        setting.proxy.log(name).end()
        setting.namespace.containers(name, fetch=fetch, build=build, phase="Failed", **status)
        start = time.monotonic()
        end = failed(stream.rest())
        assert time.monotonic() - start < 10
    assert end["code"] == code
    assert text in end["what"]
    nothing_left(setting)


def test_a_pod_that_has_to_go_for_another(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        name = pod["metadata"]["name"]
        conditions = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempting"},
        ]
        setting.namespace.containers(name, fetch=ended(0), build=RUNS, phase="Running", conditions=conditions)
        setting.namespace.delete(name)
        end = failed(stream.rest())
    assert (end["code"], "preempting" in end["what"]) == ("BHS702", True)
    nothing_left(setting)


def test_a_step_that_is_killed_is_named(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line('ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 137\n'))
        setting.finish(pod, 1)
        end = failed(stream.rest())
    assert end["code"] == "BHS102"
    assert "/bin/sh -c make" in end["what"]
    assert "node-1" in end["what"]
    nothing_left(setting)


def test_a_daemon_that_is_killed_for_its_memory(setting: Setting) -> None:
    def daemon(restarts: int, **last: Any) -> None:
        running = {"name": "docker-api", "image": "i", "imageID": "", "ready": True, "restartCount": restarts}
        setting.namespace.status("docker-api-1", containerStatuses=[{**running, "state": RUNS, **last}])

    daemon(0)
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        log.print(line("ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading: EOF\n"))
        setting.finish(pod, 1)
        daemon(1, lastState=ended(137, "OOMKilled"))
        end = failed(stream.rest())
    assert end["code"] == "BHS502"
    assert "node-1" in end["what"]
    nothing_left(setting)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fatal: could not read Username for 'https://git.example': terminal prompts disabled", "BHS104"),
        ("fatal: unable to access 'https://git.example/': Could not resolve host: git.example", "BHS105"),
        ("Failed to check out ref 1234", "BHS106"),
        # git with OpenSSL, and Debian's, with GnuTLS: of Debian 12, and of 13
        (
            "fatal: unable to access 'https://git.example/': SSL certificate problem: unable to get local issuer",
            "BHS107",
        ),
        (
            "fatal: unable to access 'https://git.example/': server certificate verification failed. CAfile: none",
            "BHS107",
        ),
        (
            "fatal: unable to access 'https://g.example/': server verification failed: certificate signer not trusted.",
            "BHS107",
        ),
        (
            "fatal: unable to access 'https://git.example/': SSL: certificate subject name (other) does not match"
            " target hostname 'git.example'",
            "BHS107",
        ),
        ("fatal: something else", "BHS103"),
    ],
)
def test_a_repository_that_cannot_be_fetched(setting: Setting, text: str, code: str) -> None:
    with setting.build() as stream:
        pod, log = setting.fetching()
        log.print(line(f"{text}\n", "fetching"), line("Error during build: Failed to clone", "failed"))
        log.end()
        state = ended(1)
        setting.namespace.containers(pod["metadata"]["name"], fetch=state, build=WAITS, phase="Failed")
        end = failed(stream.rest())
    assert end["code"] == code
    assert URL in end["what"]


def test_the_same_request_soon_after_gets_the_same_failure_marked(setting: Setting) -> None:
    ref = new_ref()
    with setting.build(ref) as stream:
        pod, log = setting.start()
        log.print(line('process "x" did not complete successfully: exit code: 1'))
        setting.finish(pod, 1)
        first = failed(stream.rest())
    with setting.build(ref) as stream:
        again = stream.rest()[-1]
    assert (again["code"], again["repeated"]) == (first["code"], True)
    assert again["message"].endswith(first["message"])


def test_a_failure_that_heals_is_tried_again(setting: Setting) -> None:
    ref = new_ref()
    with setting.build(ref) as stream:
        pod, _ = setting.start()
        setting.namespace.delete(pod["metadata"]["name"])
        failed(stream.rest())
    with setting.build(ref) as stream:
        assert setting.namespace.pod()["metadata"]["name"] == pod["metadata"]["name"]
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        setting.finish(pod)
        assert stream.rest()[-1]["phase"] == "ready"


def test_a_missing_secret(setting: Setting) -> None:
    with setting.build() as stream:
        pod = setting.namespace.pod()
        setting.namespace.schedule(pod["metadata"]["name"])
        setting.namespace.containers(
            pod["metadata"]["name"], fetch={"waiting": {"reason": "PodInitializing"}}, build=WAITS
        )
        setting.namespace.event(pod, "FailedMount", 'MountVolume.SetUp failed: secret "push" not found')
        seen = until_event(stream, 'secret "push" not found')
        assert seen[-1]["phase"] == "waiting"
        end = failed(stream.rest())
    assert end["code"] == "BHS401"
    assert 'secret "push" not found' in end["what"]


def test_running_containers_are_read_without_anybody_saying_so(setting: Setting) -> None:
    with setting.build() as stream:
        _, log = setting.fetching()
        log.print(line("Cloning\n", "fetching"))
        assert until_event(stream, "Cloning")[-1]["phase"] == "fetching"
        assert RUNS


@pytest.mark.parametrize(
    ("extra_config", "limits"),
    [
        ('c.KubernetesBuildExecutor.resources = {"limits": {"cpu": "2"}}\n', {"cpu": "2"}),
        ('c.KubernetesBuildExecutor.update(memory_limit="1G", memory_request="1G")\n', {"memory": "1073741824"}),
    ],
    indirect=["extra_config"],
)
def test_resources_are_the_pods_however_they_are_written(setting: Setting, limits: dict[str, str]) -> None:
    with setting.build():
        spec = setting.namespace.pod()["spec"]
    assert [one["resources"]["limits"] for one in spec["containers"]] == [limits] * 3
