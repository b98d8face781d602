"""After 200 builds and 500 clients that hang up, BinderHub's process holds what it held when it was idle."""

import json
import os
import signal
from contextlib import ExitStack
from typing import Any

import pytest
from services.test_many import hang_up, have_left, unread
from services.test_requests import line
from support.api_server import ended
from support.binderhub import Service, new_ref, until
from support.executor_setting import DIGEST, Setting, report

WAVES, AT_ONCE = 10, 20
HANG_UPS, CLIENTS = 5, 100

# The process counts its own objects when it is sent a signal, before and after it searches for cycles. By itself it
# never does: what only such a search frees would be in memory for long, since these objects are few and large.
COUNTS = """
import asyncio, collections, gc, json, os, pathlib, signal, threading
gc.disable()
_folder = pathlib.Path(os.environ["CONTRACT_FOLDER"])
(_folder / "pid").write_text(str(os.getpid()))
def _objects():
    return collections.Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
def _count(*_):
    before = _objects()
    gc.collect()
    names = [thread.name for thread in threading.enumerate()]
    (_folder / "new").write_text(json.dumps({"before": before, "objects": _objects(), "threads": names}))
    (_folder / "new").rename(_folder / "counts")
signal.signal(signal.SIGUSR1, _count)
"""
LARGE = (
    "binderhub_service.build_attempt.BuildAttempt",
    "binderhub_service.log_analysis.LogAnalysis",
    "binderhub_service.pod_logs.LogReader",
    "binderhub_service.executor.ServiceBuildExecutor",
    "binderhub.builder.BuildHandler",
)
OURS = (
    "binderhub_service.",
    "asyncio.queues.",
    "tornado.queues.",
    "tornado.web.",
    "tornado.http1connection.",
    "binderhub.build",
)


def counted(service: Service) -> dict[str, Any]:
    """What the process counts now."""
    counts = service.folder / "counts"
    counts.unlink(missing_ok=True)
    os.kill(int((service.folder / "pid").read_text()), signal.SIGUSR1)
    until(counts.exists, "the process to count")
    found: dict[str, Any] = json.loads(counts.read_text())
    return found


def held(service: Service) -> tuple[dict[str, int], list[str]]:
    """How many objects there are of each of the classes that a build or a request needs, and the threads' names."""
    found = counted(service)
    tasks = {"_asyncio.Task"}
    objects = {name: number for name, number in found["objects"].items() if name.startswith(OURS) or name in tasks}
    return objects, sorted(found["threads"])


def idle(service: Service) -> bool:
    """Whether there is no build and no request; BinderHub makes one executor at its start and keeps it."""
    objects = held(service)[0]
    return (
        "binderhub_service.build.Build" not in objects
        and objects["binderhub_service.executor.ServiceBuildExecutor"] == 1
    )


def build(setting: Setting, count: int) -> None:
    """So many builds at once, each to its end."""
    with ExitStack() as stack:
        streams = [stack.enter_context(setting.build()) for _ in range(count)]
        new = until(lambda: (pods := waiting(setting)) and len(pods) == count and pods, "the build pods")
        for pod in new:
            name = pod["metadata"]["name"]
            for container in ("fetch", "builder", "push"):
                log = setting.proxy.log(name, container)
                log.print(*(line(f"{number}\n") for number in range(10)), report(pod, container, digest=DIGEST))
                log.end()
            setting.hold(pod)
            setting.namespace.schedule(name)
            setting.namespace.containers(name, fetch=ended(0), build=ended(0), phase="Succeeded")
        for stream in streams:
            assert stream.rest()[-1]["phase"] == "ready"


def waiting(setting: Setting) -> list[dict[str, Any]]:
    return [pod for pod in setting.namespace.pods() if not pod["spec"].get("nodeName")]


def none(setting: Setting) -> bool:
    return not setting.namespace.pods()


@pytest.mark.parametrize("extra_config", [COUNTS], indirect=True)
def test_builds_and_clients_leave_no_resources(setting: Setting) -> None:
    service = setting.service
    build(setting, AT_ONCE)  # what is made once and kept is there after this
    until(lambda: none(setting), "the pods to be deleted")
    until(lambda: idle(service), "the builds to be forgotten")
    before = held(service)[0]
    assert before["binderhub_service.builds.Builds"] == 1
    for _ in range(WAVES):
        build(setting, AT_ONCE)
    until(lambda: none(setting), "the pods to be deleted")
    for number in range(HANG_UPS):
        pod, log = hang_up(setting, new_ref(), CLIENTS)
        until(lambda log=log: unread(log), "the log stream to end")  # type: ignore[misc]
        until(lambda number=number: have_left(service, CLIENTS * (number + 1)), "the requests to be over")  # type: ignore[misc]
        setting.finish(pod)
        until(lambda: none(setting), "the pod to be deleted")
    left = counted(service)["before"]
    assert max(left.get(name, 0) for name in LARGE) <= AT_ONCE
    until(lambda: idle(service), "the builds to be forgotten")
    assert held(service)[0] == before
    threads = held(service)[1]
    assert len([name for name in threads if name.startswith("watch ")]) == len(setting.proxy.watches) == 3
    assert not [name for name in threads if name.startswith("log ")]
    assert setting.proxy.readers() == 0
    # What BinderHub's and our pools may have, and the watches, and a few of the interpreter's.
    assert len(threads) < 2 * 32 + 4 + 3 + 5, threads
