"""What the steps of a Dockerfile can do to each other, to the daemon, and to the kernel, on a real cluster."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from chart_values.rendering import Object
from common.paths import CHART
from demonstration.target import Target
from support.release import Answer, Release, released

pytestmark = pytest.mark.local

DAEMONS = "app.kubernetes.io/component=docker-api"
PROCESSES = 300
MEMORY = 1 << 30


def values(*arguments: str) -> dict[str, Any]:
    """One daemon, with these arguments: builds that share none cannot meet."""
    return {
        "builders": {"nodeSelector": {"kubernetes.io/hostname": "node1"}},
        "dockerApi": {
            "extraArgs": list(arguments),
            "maxProcesses": PROCESSES,
            "resources": {"limits": {"memory": str(MEMORY)}},
        },
    }


@pytest.fixture(scope="module")
def release(cluster: Target) -> Iterator[Release]:
    """A release with one daemon."""
    with released(cluster, values()) as made, made.reached() as reached:
        yield reached


def inside(release: Release, *command: str) -> str:
    """What a command prints in the container of the one daemon."""
    (pod,) = release.pods(DAEMONS)
    where = [f"--namespace={release.namespace}", "--container=docker-api", pod["metadata"]["name"]]
    return release.target.run(release.target.kubectl, "exec", *where, "--", *command)


def daemon_version(release: Release) -> str:
    (pod,) = release.pods(DAEMONS)
    command: list[str] = pod["spec"]["containers"][0]["readinessProbe"]["exec"]["command"]
    return inside(release, *command, "--format", "{{.Server.Version}}").strip()


def restarts(release: Release) -> int:
    """How often its daemon was restarted."""
    (pod,) = release.pods(DAEMONS)
    statuses: list[Object] = pod["status"]["containerStatuses"]
    return sum(one["restartCount"] for one in statuses)


def test_the_daemon_is_of_the_version_that_the_chart_gives(release: Release) -> None:
    tag = yaml.safe_load((CHART / "values.yaml").read_text())["dockerApi"]["image"]["tag"]
    assert f"{daemon_version(release)}-dind" == tag


def test_a_fork_bomb_ends_its_build_and_neither_the_daemon_nor_the_next_build(release: Release) -> None:
    answer = release.answer("forks-without-end")
    assert "RUN perl" in answer.failed("BHS101")
    assert "fork: Resource temporarily unavailable" in answer.text("building")
    assert restarts(release) == 0
    assert daemon_version(release)
    assert release.answer("one-file").end["phase"] == "ready"


def test_the_steps_have_the_memory_limit_of_the_daemon(release: Release) -> None:
    v1, v2 = "memory/docker/buildkit/memory.limit_in_bytes", "docker/buildkit/memory.max"
    read = f"cd /sys/fs/cgroup && if [ -e cgroup.controllers ]; then cat {v2}; else cat {v1}; fi"
    assert int(inside(release, "sh", "-c", read)) == MEMORY


def test_a_step_opens_no_af_alg_socket(release: Release) -> None:
    """The daemon's seccomp profile refuses AF_ALG.

    Where the kernel lacks AF_ALG, as the lab's does, this shows that the profile is in force, since the kernel itself
    gives another error; it does not show an attack that fails.
    """
    answer = release.answer("opens-af-alg")
    assert answer.end["phase"] == "ready", answer.end
    assert "AF_ALG: Operation not permitted" in answer.text("building")


def neighbours(release: Release) -> tuple[str, str]:
    """What a step that listens says, and one of another build that asks all its neighbours meanwhile."""
    visitor = Answer()

    def visit() -> None:
        visitor.events = release.answer("visits-its-neighbours").events

    listener = release.answer_while("waits-for-a-neighbour", "listens", visit)
    return listener.text("building"), visitor.text("building")


def test_the_steps_of_another_build_are_not_reached(release: Release) -> None:
    listener, visitor = neighbours(release)
    assert ", reached 0" in visitor
    assert "nobody came" in listener


def test_extra_arguments_let_steps_reach_each_other(cluster: Target) -> None:
    with released(cluster, values("--icc=true")) as made, made.reached() as open_release:
        listener, visitor = neighbours(open_release)
    assert ", reached 1" in visitor
    assert "was visited" in listener
