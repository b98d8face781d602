"""More than one request, process or release; clients that leave or stall; an API server that goes away."""

import asyncio
import json
import socket
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from binderhub_service.manifests import SECRET_ANNOTATION
from services.test_requests import failed, line, messages, nothing_left, until_event
from support.api_proxy import Log
from support.api_server import RUNS, ended
from support.binderhub import Service, Stream, new_ref, until
from support.executor_setting import IMPATIENT, URL, Setting


def threads(service: Service) -> int:
    """Threads of the BinderHub process."""
    port = urlsplit(service.url).port
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"binderhub" in words and str(service.folder).encode() in b"\0".join(words):
                return len(list((process / "task").iterdir()))
        except OSError:
            continue
    raise AssertionError(f"no BinderHub listens on {port}")


def test_two_requests_share_one_pod_and_one_log_stream(setting: Setting) -> None:
    ref = new_ref()
    with setting.build(ref) as first:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(first, "Step 1")
        with setting.build(ref) as second:
            until_event(second, "Step 1")
            assert log.readers == 1
            setting.finish(pod)
            assert [first.rest()[-1]["phase"], second.rest()[-1]["phase"]] == ["ready", "ready"]


def test_another_replica_joins_and_reads_every_line(setting: Setting) -> None:
    ref = new_ref()
    with setting.restart() as other, setting.build(ref) as here:
        pod, log = setting.start()
        log.print(*(line(f"{number}\n") for number in range(300)))
        until_event(here, "299")
        with setting.build(ref, service=other) as there:
            until_event(there, "299")
            log.print(line("last\n"))
            setting.finish(pod)
            ends = [here.rest(), there.rest()]
    for events in ends:
        assert messages(events, "building")[-1] == "last\n"
        assert events[-1]["phase"] == "ready"
    assert setting.proxy.asked.count(("POST", setting.namespace.path("pods"))) == 1


def test_a_restarted_binderhub_attaches_to_the_pod_that_runs(setting: Setting) -> None:
    ref = new_ref()
    with setting.restart() as gone, setting.build(ref, service=gone) as stream:
        pod, log = setting.start()
        log.print(line("before\n"))
        until_event(stream, "before")
    with setting.build(ref) as stream:
        assert "Cloning" in json.dumps(until_event(stream, "before"))
        log.print(line("after\n"))
        setting.finish(pod)
        events = stream.rest()
    assert messages(events, "building") == ["after\n"]
    assert events[-1]["phase"] == "ready"
    until(lambda: not setting.namespace.pods(), "the pod to be deleted")


def have_ended(*services: Service) -> int:
    return sum(service.log.read_text().count('"what": "build"') for service in services)


def test_other_releases_and_namespaces_are_never_joined(setting: Setting) -> None:
    ref = new_ref()
    with (
        setting.restart(HELM_RELEASE_NAME="other") as other,
        setting.restart(NAMESPACE="other") as third,
        ExitStack() as s,
    ):
        for service in (setting.service, other, third):
            s.enter_context(setting.build(ref, service=service))
        pods = until(lambda: (found := setting.namespace.pods()) and len(found) == 3 and found, "three pods")
        assert len({pod["metadata"]["labels"]["binderhub-service/owner"] for pod in pods}) == 3
        first, *others = pods
        setting.namespace.delete(first["metadata"]["name"])  # one request fails, and the others' pods stay
        until(lambda: have_ended(setting.service, other, third) == 1, "one request to end")
        assert {pod["metadata"]["uid"] for pod in setting.namespace.pods()} == {
            one["metadata"]["uid"] for one in others
        }


@pytest.mark.parametrize("extra_config", ["c.BinderHub.image_prefix = 'other.example/'\n"], indirect=True)
def test_another_image_is_another_pod(setting: Setting) -> None:
    ref = new_ref()
    other_prefix = "c.BinderHub.image_prefix = 'third.example/'\n"
    with setting.restart(other_prefix) as other, setting.build(ref), setting.build(ref, service=other):
        until(lambda: len(setting.namespace.pods()) == 2, "two pods")


TOKEN = 'c.RepoProvider.git_credentials = "username=x-token\\npassword=t0ken"\n'  # noqa: S105 - the configuration of a test


@pytest.mark.parametrize("extra_config", ["", TOKEN], ids=["", "with-a-secret"], indirect=True)
def test_a_finished_pod_of_the_same_name_is_replaced(setting: Setting) -> None:
    """Its Secret stays: Kubernetes collects it some time later, and here never."""
    ref = new_ref()
    with setting.restart() as gone, setting.build(ref, service=gone):
        pod, _ = setting.start()
    setting.finish(pod, 1)
    with setting.build(ref) as stream:
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        new = until(lambda: [one for one in setting.namespace.pods() if one["metadata"]["uid"] != uid], "a new pod")
        assert new[0]["metadata"]["name"] == name
        pod, _ = setting.start()
        setting.finish(pod)
        assert stream.rest()[-1]["phase"] == "ready"


def secrets(setting: Setting) -> list[tuple[str, str]]:
    """Of the build pods' Secrets, the name and the uid of the pod that each belongs to."""
    path = setting.namespace.path("secrets") + "?labelSelector=component=binderhub-build"
    found = setting.namespace.server.request("GET", path)["items"]
    return [(one["metadata"]["name"], one["metadata"]["ownerReferences"][0]["uid"]) for one in found]


@pytest.mark.parametrize("extra_config", [TOKEN], indirect=True)
def test_a_pod_whose_secret_was_not_made_gets_it(setting: Setting) -> None:
    ref = new_ref()
    setting.proxy.lose = "/secrets"
    with setting.build(ref) as stream:
        until_event(stream, "Waiting for the Kubernetes API")
        pod = setting.namespace.pod()
        belongs = [(pod["metadata"]["annotations"][SECRET_ANNOTATION], pod["metadata"]["uid"])]
        until(lambda: secrets(setting) == belongs, "the Secret")
        with setting.restart() as other, setting.build(ref, service=other) as there:
            until_event(there, "Waiting for a node that takes the build pod")
            pod, _ = setting.start()
            setting.finish(pod)
            assert [stream.rest()[-1]["phase"], there.rest()[-1]["phase"]] == ["ready", "ready"]
    assert setting.proxy.asked.count(("POST", setting.namespace.path("pods"))) == 1
    assert secrets(setting) == belongs


@pytest.mark.parametrize("extra_config", [TOKEN], indirect=True)
def test_a_secret_that_another_replica_made_first_serves(setting: Setting) -> None:
    setting.proxy.twice = "/secrets"
    with setting.build() as stream:
        pod, _ = setting.start()
        setting.finish(pod)
        assert stream.rest()[-1]["phase"] == "ready"
    assert setting.proxy.asked.count(("POST", setting.namespace.path("pods"))) == 1


@pytest.mark.parametrize("other", ["binder-repo", "binder-ref", "binder-image"])
def test_a_running_pod_of_the_same_name_that_builds_something_else_is_not_joined(setting: Setting, other: str) -> None:
    ref = new_ref()
    with setting.restart() as gone, setting.build(ref, service=gone):
        made = setting.namespace.pod()
    setting.namespace.delete(made["metadata"]["name"])
    metadata = {key: made["metadata"][key] for key in ("name", "labels", "annotations")}
    metadata["annotations"] = {**metadata["annotations"], other: "another"}
    body = {"metadata": metadata, "spec": {"containers": [{"name": "builder", "image": "i"}]}}
    setting.namespace.server.request("POST", setting.namespace.path("pods"), body)
    with setting.build(ref):
        names = {metadata["name"], f"{metadata['name']}-2"}
        until(lambda: {pod["metadata"]["name"] for pod in setting.namespace.pods()} == names, "a pod of its own")


def test_the_watch_breaks_and_expires(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        for _ in range(3):
            setting.proxy.expire = 2
            setting.proxy.cut()
            log.print(line("more\n"))
        until(lambda: not setting.proxy.expire, "the expired watches")
        setting.finish(pod)
        events = stream.rest()
    assert messages(events, "building").count("more\n") == 3
    assert events[-1]["phase"] == "ready"


@pytest.mark.parametrize("too_old", ["an event", "an answer"])
def test_a_pod_deleted_while_the_watch_is_away(setting: Setting, too_old: str) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        setting.proxy.down = True
        setting.proxy.cut()
        setting.namespace.delete(pod["metadata"]["name"])
        if too_old == "an event":
            setting.proxy.expire = 3
        else:
            setting.proxy.gone = 3
        setting.proxy.down = False
        start = time.monotonic()
        assert failed(stream.rest())["code"] == "BHS703"
        assert time.monotonic() - start < 10
    assert (setting.proxy.expire, setting.proxy.gone) == (0, 0)
    nothing_left(setting)


@pytest.mark.parametrize("extra_config", [IMPATIENT], indirect=True)
def test_the_api_server_is_away(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(*(line(f"{number}\n") for number in range(100)))
        until_event(stream, "99")
        setting.proxy.down = True
        setting.proxy.cut()
        log.print(*(line(f"{number}\n") for number in range(100, 200)))
        until_event(stream, "does not answer; the build continues")
        time.sleep(4)  # longer than any bound of this configuration: it is time itself that is tested
        setting.proxy.down = False
        setting.finish(pod)
        events = stream.rest()
    assert messages(events, "building") == [f"{number}\n" for number in range(100, 200)]
    assert events[-1]["phase"] == "ready"


def hang_up(setting: Setting, ref: str, count: int) -> tuple[dict[str, Any], Any]:
    """So many clients ask for one build, wait until its log is read, and go."""
    clients = []
    try:
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", urlsplit(setting.service.url).port or 0))
            path = f"/build/git/{quote(URL, safe='')}/{ref}?build_only=true"
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n".encode())
            clients.append(client)
        pod, log = setting.start()
        until(lambda: log.readers == 1, "the log to be read")
    finally:
        for client in clients:
            client.close()
    return pod, log


def have_left(service: Service, count: int) -> bool:
    rows = service.log.read_text().splitlines()
    return sum("audit" in row and '"left"' in row for row in rows) == count


def unread(log: Log) -> bool:
    return log.readers == 0


def test_clients_that_hang_up_leave_nothing(setting: Setting) -> None:
    for number in (1, 2):
        pod, log = hang_up(setting, new_ref(), 200)
        start = time.monotonic()
        until(partial(unread, log), "the log stream to end")
        until(partial(have_left, setting.service, 200 * number), "all requests to be over")
        assert time.monotonic() - start < 30
        assert len(setting.proxy.watches) == 3  # build pods, events, daemons
        # BinderHub's own pool grows to 32 and keeps them, whoever asks; there are a dozen others.
        assert threads(setting.service) < 50
        setting.finish(pod)
        until(lambda: not setting.namespace.pods(), "the pod to be deleted")


def test_a_stalled_client_slows_nobody(setting: Setting) -> None:
    ref = new_ref()
    with socket.create_connection(("127.0.0.1", urlsplit(setting.service.url).port or 0)) as stalled:
        path = f"/build/git/{quote(URL, safe='')}/{ref}?build_only=true"
        stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n".encode())
        with setting.build(ref) as stream:
            pod, log = setting.start()
            log.print(*(line("x" * 10_000) for _ in range(3000)))
            setting.finish(pod)
            events = stream.rest()
    lines = [event for event in events if event["phase"] == "building"]
    skipped = [event for event in lines if "were skipped" in event["message"]]
    assert len(lines) == 3000 or skipped
    assert events[-1]["phase"] == "ready"


ONE_AT_A_TIME = "c.BinderHub.concurrent_build_limit = 1\n"
TWO_AT_A_TIME = "c.BinderHub.concurrent_build_limit = 2\n"
THREE_MAY_WAIT = "c.KubernetesBuildExecutor.max_waiting_per_requester = 3\n"
VISITOR, ANOTHER = ({"X-Real-Ip": address} for address in ("192.0.2.1", "198.51.100.7"))


def refs(setting: Setting) -> list[str]:
    """The refs whose pods exist and have not ended, sorted."""
    pods = [pod for pod in setting.namespace.pods() if pod["status"]["phase"] in ("Pending", "Running")]
    return sorted(pod["metadata"]["annotations"]["binder-ref"] for pod in pods)


def finish(setting: Setting, ref: str) -> None:
    """Let the pod that builds a ref end."""
    (pod,) = [one for one in setting.namespace.pods() if one["metadata"]["annotations"]["binder-ref"] == ref]
    name = pod["metadata"]["name"]
    setting.namespace.schedule(name)
    setting.proxy.log(name, "fetch").end()
    setting.finish(pod)


def made(setting: Setting) -> int:
    """How many pods BinderHub has asked for."""
    return setting.proxy.asked.count(("POST", setting.namespace.path("pods")))


@pytest.mark.parametrize("extra_config", [ONE_AT_A_TIME], indirect=True)
def test_builds_wait_for_their_turn_and_are_told_so(setting: Setting) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(setting.build())
        pod, _ = setting.start()
        second = stack.enter_context(setting.build())
        until_event(second, "it is next")
        third = stack.enter_context(setting.build())
        until_event(third, "at most 1 build is ahead of it")
        setting.finish(pod)
        assert first.rest()[-1]["phase"] == "ready"
        until_event(third, "it is next")
        uid = pod["metadata"]["uid"]
        until(lambda: [one["metadata"]["uid"] for one in setting.namespace.pods()] not in ([], [uid]), "the next pod")
        until(lambda: len(setting.namespace.pods()) == 1, "the first pod to be deleted")
        pod, _ = setting.start()
        setting.finish(pod)
        assert second.rest()[-1]["phase"] == "ready"


async def ask_and_hang_up(service: Service, count: int, headers: dict[str, str]) -> None:
    """So many requests, each for a build of its own, whose clients leave as soon as they have asked."""
    at_a_time = asyncio.Semaphore(50)

    async def one() -> None:
        async with at_a_time:
            url = urlsplit(service.url)
            _, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.write(request(headers))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(one() for _ in range(count)))


def request(headers: dict[str, str]) -> bytes:
    """What a client sends that asks for a new build."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Accept": "text/event-stream", **headers}.items())
    path = f"/build/git/{quote(URL, safe='')}/{new_ref()}?build_only=true"
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode()


@pytest.mark.parametrize("extra_config", [TWO_AT_A_TIME], indirect=True)
def test_three_thousand_hang_ups_by_one_visitor_delay_another_by_less_than_one_build(setting: Setting) -> None:
    with ExitStack() as stack:
        running = [new_ref(), new_ref()]
        for ref in running:
            stack.enter_context(setting.build(ref, headers=VISITOR))
        until(lambda: refs(setting) == sorted(running), "the visitor's builds to run")
        asyncio.run(ask_and_hang_up(setting.service, 3000, VISITOR))
        honest = new_ref()
        stream = stack.enter_context(setting.build(honest, headers=ANOTHER))
        until_event(stream, "it is next")
        finish(setting, running[0])
        until(lambda: refs(setting) == sorted([running[1], honest]), "the other visitor's build to run")
        assert made(setting) == 3
        finish(setting, honest)
        assert stream.rest()[-1]["phase"] == "ready"
        finish(setting, running[1])
        until(lambda: not setting.namespace.pods(), "the pods to be deleted")
    assert made(setting) == 3  # nothing was left of the 3,000


@pytest.mark.parametrize("extra_config", [ONE_AT_A_TIME], indirect=True)
def test_a_client_that_hangs_up_while_its_build_waits_is_noticed_at_once(setting: Setting) -> None:
    first, ref = new_ref(), new_ref()
    with setting.build(first):
        until(lambda: refs(setting) == [first], "the first build to run")
        with setting.build(ref) as stream:
            until_event(stream, "it is next")
        start = time.monotonic()
        until(lambda: '"outcome": "dropped"' in setting.service.log.read_text(), "the build to be dropped")
        assert time.monotonic() - start < 3  # the heartbeat, which would notice too, comes after 10 s
        with setting.build(ref) as again:
            until_event(again, "it is next")
            finish(setting, first)
            until(lambda: refs(setting) == [ref], "the build that was dropped and asked for again")


@pytest.mark.parametrize("extra_config", [ONE_AT_A_TIME], indirect=True)
def test_a_client_that_sent_more_than_its_request_is_missed_within_two_heartbeats(setting: Setting) -> None:
    """tornado does not watch for the end of a connection that has bytes which it has not used."""
    first = new_ref()
    with setting.build(first):
        until(lambda: refs(setting) == [first], "the first build to run")
        with socket.create_connection(("127.0.0.1", urlsplit(setting.service.url).port or 0)) as client:
            client.sendall(request(VISITOR) + b"GET /versions HTTP/1.1\r\n")
            seen = b""
            while b"it is next" not in seen:
                seen += client.recv(4096)
        until(lambda: '"outcome": "dropped"' in setting.service.log.read_text(), "the build to be dropped")


@pytest.mark.parametrize("extra_config", [ONE_AT_A_TIME], indirect=True)
def test_one_of_two_viewers_leaves_and_the_build_keeps_its_turn(setting: Setting) -> None:
    first, ref = new_ref(), new_ref()
    with setting.build(first):
        until(lambda: refs(setting) == [first], "the first build to run")
        with setting.build(ref, headers=ANOTHER) as stays:
            with setting.build(ref, headers=VISITOR) as leaves:
                until_event(leaves, "it is next")
            until(lambda: have_left(setting.service, 1), "one viewer to leave")
            finish(setting, first)
            until(lambda: refs(setting) == [ref], "the build to run")
            finish(setting, ref)
            assert stays.rest()[-1]["phase"] == "ready"
    assert '"dropped"' not in setting.service.log.read_text()


@pytest.mark.parametrize("extra_config", [ONE_AT_A_TIME + THREE_MAY_WAIT], indirect=True)
def test_a_visitor_may_have_so_many_builds_waiting_and_others_take_turns_with_it(setting: Setting) -> None:
    with ExitStack() as stack:
        streams: list[Stream] = []  # kept, because a stream that nobody refers to is closed

        def ask(ref: str, headers: dict[str, str]) -> Stream:
            streams.append(stack.enter_context(setting.build(ref, headers=headers)))
            return streams[-1]

        running, *waiting = [new_ref() for _ in range(4)]
        ask(running, VISITOR)
        until(lambda: refs(setting) == [running], "the first build to run")
        for ref in waiting:
            until_event(ask(ref, VISITOR), "Waiting for one of the 1 builds")
        for _ in range(2):
            assert failed(ask(new_ref(), VISITOR).rest())["code"] == "BHS804"
        until_event(ask(waiting[0], VISITOR), "Waiting for one of the 1 builds")
        others = [new_ref() for _ in range(3)]
        for ref in others:
            until_event(ask(ref, ANOTHER), "Waiting for one of the 1 builds")
        for ref in (others[0], waiting[0], others[1], waiting[1]):
            finish(setting, running)
            until(lambda ref=ref: refs(setting) == [ref], "the next build to run")  # type: ignore[misc]
            running = ref


@pytest.mark.parametrize("extra_config", [ONE_AT_A_TIME], indirect=True)
def test_a_second_attempt_keeps_the_place_of_the_first(setting: Setting) -> None:
    with ExitStack() as stack:
        stream = stack.enter_context(setting.build(headers=VISITOR))
        pod, _ = setting.start()
        other = stack.enter_context(setting.build(headers=ANOTHER))
        until_event(other, "it is next")
        setting.fail_push(pod, "received unexpected HTTP status: 502 Bad Gateway")
        until_event(stream, "trying once more")
        again = f"{pod['metadata']['name']}-2"
        until(lambda: [one["metadata"]["name"] for one in setting.namespace.pods()] == [again], "the second attempt")
        pod, _ = setting.start()
        setting.finish(pod)
        assert stream.rest()[-1]["phase"] == "ready"


def test_a_push_that_the_registry_fails_is_tried_once_more_on_the_same_node(setting: Setting) -> None:
    with setting.build() as stream:
        pod, _ = setting.start("node-1")
        setting.fail_push(pod, "received unexpected HTTP status: 502 Bad Gateway")
        until_event(stream, "trying once more on node node-1")
        until(
            lambda: [one["metadata"]["name"] for one in setting.namespace.pods()] == [f"{pod['metadata']['name']}-2"],
            "it",
        )
        again = setting.namespace.pod()
        required = again["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        (term,) = required["nodeSelectorTerms"]
        assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]
        pod, _ = setting.start("node-1")
        setting.fail_push(pod, "read tcp 10.0.0.1:1->10.0.0.2:443: read: connection reset by peer")
        end = failed(stream.rest())
    assert end["code"] == "BHS607"


def test_a_lost_node_is_told_and_the_next_attempt_has_another_name(setting: Setting) -> None:
    ref = new_ref()
    with setting.build(ref) as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        name = pod["metadata"]["name"]
        lost = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
        setting.namespace.containers(name, fetch=ended(0), build=RUNS, phase="Running", conditions=lost)
        setting.namespace.status("docker-api-1", conditions=[{"type": "Ready", "status": "False"}])
        start = time.monotonic()
        end = failed(stream.rest())
    assert end["code"] == "BHS503"
    assert time.monotonic() - start < 15
    assert "node-1" in end["what"]
    with setting.build(ref):  # at once: the pod that is being deleted must not be joined, whatever the watch shows yet
        until(
            lambda: {one["metadata"]["name"] for one in setting.namespace.pods()} == {name, f"{name}-2"}, "another pod"
        )
        (left,) = [one for one in setting.namespace.pods() if one["metadata"]["name"] == name]
        assert left["metadata"].get("deletionTimestamp")


def test_a_daemon_that_is_replaced_during_the_build(setting: Setting) -> None:
    with setting.build() as stream:
        pod, log = setting.start()
        log.print(line("Step 1\n"))
        until_event(stream, "Step 1")
        setting.namespace.delete("docker-api-1")
        setting.namespace.daemon(name="docker-api-2")
        log.print(line("ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading: EOF\n"))
        setting.finish(pod, 1)
        end = failed(stream.rest())
    assert end["code"] == "BHS501"
