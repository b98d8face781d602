"""Raising and removing the local cluster, whatever state the machine is in."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from common.errors import UserError
from common.paths import SCRIPTS
from demonstration import release, target
from local_cluster import cgroups, cluster_users, hosts, layout, registries
from local_cluster import cluster as lab
from support.machine_state import listing

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("lab_afterwards")]

TRACES = (str(layout.HOME), layout.BRIDGE, cgroups.GROUP, "bhs-")


def differences(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """What came and what went, by kind."""
    found = {
        kind: [f"+ {name}" for name in after[kind] if name not in before[kind]]
        + [f"- {name}" for name in before[kind] if name not in after[kind]]
        for kind in before
    }
    return {kind: changes for kind, changes in found.items() if changes}


@pytest.fixture(scope="module", autouse=True)
def no_other_user_counts(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --force, these tests too replace and remove a cluster that another command uses."""
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--force"):
            patch.setattr(cluster_users, "others", list)
        yield


@pytest.fixture(scope="module")
def bare() -> dict[str, list[str]]:
    """The machine without a cluster, after all that other tests did to one."""
    lab.down()
    found = listing()
    traces = [name for names in found.values() for name in names if any(trace in name for trace in TRACES)]
    traces = [name for name in traces if name != str(layout.LOCKS)]
    assert traces == [], "removing the cluster left these behind"
    return found


def test_down_leaves_the_machine_as_it_was(bare: dict[str, list[str]]) -> None:
    lab.up()
    release.install(target.local(None, "HEAD"), "registry.lab.test/lifecycle-")
    changed = differences(bare, listing())
    for kind in ("processes in other namespaces", "network namespaces", "links", "routes", "firewall", "loop devices"):
        assert changed.get(kind), f"a running cluster shows nothing among the {kind}, so the comparison proves nothing"

    lab.down()

    assert differences(bare, listing()) == {}


def test_settings_that_were_changed_are_put_back() -> None:
    lab.down()  # a cluster that is there would put back what it found
    setting = Path("/proc/sys/fs/inotify/max_user_instances")
    ours = setting.read_text()
    setting.write_text("77")
    try:
        lab.up()
        raised = setting.read_text().strip()
        lab.down()
        assert (raised, setting.read_text().strip()) == ("1024", "77")
    finally:
        setting.write_text(ours)


def test_up_after_everything_was_killed() -> None:
    lab.up()
    first = {host.name: hosts.first_process(host.name) for host in layout.HOSTS}
    for pid in cgroups.processes():
        with contextlib.suppress(ProcessLookupError):  # the kernel ends what its namespace's first process leaves
            os.kill(pid, signal.SIGKILL)
    assert not lab.running()

    lab.up()

    assert lab.running()
    assert first != {host.name: hosts.first_process(host.name) for host in layout.HOSTS}


def test_up_replaces_a_cluster_that_another_clone_made_differently() -> None:
    lab.up()
    node = hosts.first_process("node1")
    layout.STATE.write_text(json.dumps({**lab.state(), "fingerprint": "another"}))

    lab.up()

    assert lab.running()
    assert hosts.first_process("node1") != node


def test_a_cluster_whose_notes_are_torn_is_replaced_and_removed() -> None:
    lab.up()
    layout.STATE.write_text('{"fingerprint": "to')
    lab.up()
    assert lab.running()
    lab.BEFORE.write_text('{"sysctls"')
    lab.down()
    assert not lab.present()


def test_a_second_down_removes_the_rest_of_an_interrupted_one() -> None:
    lab.down()
    lab.TRASH.mkdir()
    lab.down()
    assert not lab.TRASH.exists()


def test_files_of_the_cluster_are_private() -> None:
    lab.up()
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat"]
    for file in (layout.CONTROL.home / "disk.img", layout.KUBECONFIG, registries.PASSWORD):
        assert file.exists()
        assert subprocess.run([*nobody, file], capture_output=True, check=False).returncode != 0


def test_up_again_changes_nothing() -> None:
    lab.up()
    before = {host.name: hosts.first_process(host.name) for host in layout.HOSTS}

    lab.up()

    assert before == {host.name: hosts.first_process(host.name) for host in layout.HOSTS}


def test_a_second_up_at_once_is_told_to_wait() -> None:
    with cluster_users.alone(), pytest.raises(UserError, match="raising or removing the cluster right now"):
        lab.up()


@pytest.fixture
def interrupted() -> Iterator[subprocess.Popen[str]]:
    lab.down()
    process = subprocess.Popen(
        [SCRIPTS / "up"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_up_interrupted_in_the_middle_ends_with_a_sentence_and_works_again(
    interrupted: subprocess.Popen[str], how: signal.Signals
) -> None:
    assert interrupted.stderr
    while "control plane" not in interrupted.stderr.readline():
        assert interrupted.poll() is None
    os.killpg(interrupted.pid, how)
    _, said = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130
    assert "Run the same command again" in said
    assert not lab.present()

    lab.up()

    assert lab.running()


def test_a_node_that_is_switched_off_and_on_is_ready_again() -> None:
    lab.up()
    init = hosts.first_process("node2")
    assert init
    os.kill(init, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while hosts.first_process("node2"):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    hosts.start("node2")

    lab.kubectl("wait", "node/node2", "--for=condition=Ready", "--timeout=120s")
    lab.kubectl("wait", "pod", "--all", "-n", "kube-system", "--for=condition=Ready", "--timeout=120s")


def test_down_twice_is_no_error() -> None:
    command = [sys.executable, str(SCRIPTS / "down")]
    assert [subprocess.run(command, check=False, capture_output=True).returncode for _ in range(2)] == [0, 0]
    assert not lab.present()
