"""What builds and their neighbours reach where policies are enforced: seen from inside a RUN step, and from pods.

Whatever a policy closes is also seen open without it.
"""

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from demonstration.target import Target
from local_cluster import git_repositories, layout, substitute_images
from support.binderhub import until
from support.release import Release, released

pytestmark = [pytest.mark.local, pytest.mark.usefixtures("local_cluster")]

Where = tuple[str, int]

NODE_DNS = "169.254.20.10"
DAEMON_PORT, POD_PORT = 2375, 8000
OFF = {"networkPolicy": {"enabled": False}}
# What no chart of ours does: a daemon that takes orders over the network.
OPEN_DAEMON = {"dockerApi": {"extraArgs": [f"--host=tcp://0.0.0.0:{DAEMON_PORT}", "--tls=false"]}}
HUB = {"app": "jupyterhub", "component": "hub"}
USER = {"app": "jupyterhub", "component": "singleuser-server"}
BUILD_POD = {"component": "binderhub-build"}

NEEDED: dict[str, Where] = {
    "registry": (layout.REGISTRY_NAME, 443),
    "git": (layout.GIT_NAME, 80),
    "packages": ("DEBIAN", 80),
    "node-dns": (NODE_DNS, 53),
}
# The name differs each time: the step must not come from the cache.
DOCKERFILE = f"FROM {layout.DEBIAN_IMAGE}\nCOPY name targets probe /\nRUN bash /probe\n"
PROBE = """\
debian=$(sed --quiet --regexp-extended 's|.*http://([^/ ]+).*|\\1|p' /etc/apt/sources.list /etc/apt/sources.list.d/* \\
    2> /dev/null | head --lines=1)  # where the image has its packages from
while read -r name host port; do
    (timeout 5 bash -c "exec 3<>/dev/tcp/${host/DEBIAN/$debian}/$port" 2> /dev/null && answer=yes || answer=no
    echo "reach $name $answer") &
done < /targets
wait
"""


@dataclass(frozen=True)
class Pods:
    """Pods of a release's namespace, and what they reach."""

    release: Release

    def run(self, name: str, labels: dict[str, str]) -> None:
        """Start a pod that listens on `POD_PORT`, and wait until it is ready."""
        image = next(image.substitutes for image in substitute_images.images() if image.folder == "binderhub")
        command = ["python3", "-m", "http.server", str(POD_PORT)]
        container = {"name": "main", "image": image, "command": command}
        spec = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0, "containers": [container]}
        metadata = {"name": name, "labels": labels}
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        self._kubectl("apply", "--filename=-", given=json.dumps(manifest))
        self._kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")

    def addresses(self, selector: str) -> list[str]:
        """Of the pods with these labels."""
        return sorted(pod["status"]["podIP"] for pod in self.release.pods(selector))

    def connects(self, name: str, where: Where) -> bool:
        """Whether the pod `name` can open a connection."""
        target = self.release.target
        script = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/{}' && echo yes || echo no".format(*where)
        words = ("exec", f"--namespace={self.release.namespace}", name, "--", "bash", "-c", script)
        return target.run(target.kubectl, *words) == "yes\n"

    def listening(self, name: str) -> set[int]:
        """The TCP ports that something in the pod listens on."""
        listed = self._kubectl("exec", name, "--", "cat", "/proc/net/tcp", "/proc/net/tcp6")
        sockets = [line.split() for line in listed.splitlines()]
        return {int(words[1].rpartition(":")[2], 16) for words in sockets if words[3] == "0A"}

    def _kubectl(self, *words: str, given: str = "") -> str:
        target = self.release.target
        return target.run(target.kubectl, f"--namespace={self.release.namespace}", *words, given=given)


@pytest.fixture(scope="module")
def node_dns() -> Iterator[None]:
    """On each node, something that listens where NodeLocal DNSCache does."""
    started = []
    try:
        for node in layout.NODES:
            subprocess.run(
                ["ip", "-n", node.namespace, "address", "replace", f"{NODE_DNS}/32", "dev", "lo"], check=True
            )
            inside = ["ip", "netns", "exec", node.namespace]
            listen = ["python3", "-m", "http.server", "53", "--bind", NODE_DNS]
            started.append(subprocess.Popen([*inside, *listen], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()
        for node in layout.NODES:
            subprocess.run(
                ["ip", "-n", node.namespace, "address", "delete", f"{NODE_DNS}/32", "dev", "lo"], check=False
            )


@pytest.fixture(scope="module")
def other(cluster: Target) -> Iterator[Release]:
    """Another release, whose daemons listen on a port that no policy of its own protects."""
    with released(cluster) as made:
        made.install({**OFF, **OPEN_DAEMON})
        yield made


@pytest.fixture(scope="module")
def ours(cluster: Target) -> Iterator[Release]:
    """The release whose builds are looked at."""
    with released(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def forbidden(ours: Release, other: Release) -> dict[str, Where]:
    """What a build has no business with."""
    Pods(other).run("hub", HUB)
    Pods(other).run("user", USER)
    (hub,) = Pods(other).addresses("component=hub")
    (binderhub,) = Pods(ours).addresses("app.kubernetes.io/component=binderhub")
    daemons = Pods(other).addresses("app.kubernetes.io/component=docker-api")
    assert len(daemons) == len(layout.NODES)
    return {
        **{f"metadata-{number}": (address, 80) for number, address in enumerate(layout.METADATA_ADDRESSES)},
        "api": (layout.KUBERNETES_SERVICE, 443),
        "api-server": (layout.CONTROL.address, 6443),
        **{f"kubelet-{node.name}": (node.address, 10250) for node in layout.NODES},
        "hub": (hub, POD_PORT),
        "binderhub": (binderhub, 8585),
        "binderhub-service": (f"binderhub.{ours.namespace}.svc.cluster.local", 80),
        **{f"daemon-{number}": (address, DAEMON_PORT) for number, address in enumerate(daemons)},
    }


@pytest.fixture
def from_a_step(
    ours: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Where]], set[str]]:
    """Which of some targets a RUN step reaches, by a build of a repository that nobody has built before."""

    def ask(targets: dict[str, Where]) -> set[str]:
        name = f"reaches-{secrets.token_hex(4)}"
        source = tmp_path / name / name
        source.mkdir(parents=True)
        lines = [f"{target} {host} {port}\n" for target, (host, port) in targets.items()]
        for file, text in {"Dockerfile": DOCKERFILE, "probe": PROBE, "targets": "".join(lines), "name": name}.items():
            (source / file).write_text(text)
        monkeypatch.setattr(git_repositories, "SOURCES", source.parent)
        git_repositories.make()
        try:
            with ours.reached() as reached:
                answer = reached.answer(name, "main")
                reached.nothing_left()
        finally:
            shutil.rmtree(git_repositories.FOLDER / f"{name}.git")
        assert answer.end["phase"] == "ready", answer.end  # so it was pushed as well
        said = dict(re.findall(r"reach (\S+) (yes|no)", answer.text("building")))
        assert set(said) == set(targets)
        return {target for target, word in said.items() if word == "yes"}

    return ask


@pytest.mark.usefixtures("node_dns")
def test_a_step_reaches_what_it_needs_and_nothing_else(
    ours: Release, forbidden: dict[str, Where], from_a_step: Callable[[dict[str, Where]], set[str]]
) -> None:
    targets = {**NEEDED, **forbidden}
    with_policies = from_a_step(targets)
    ours.install(OFF)
    try:
        without = from_a_step(targets)
    finally:
        ours.install()
    assert with_policies == set(NEEDED)
    assert without == set(targets)


def test_a_step_reaches_what_a_rule_opens(
    ours: Release,
    other: Release,
    forbidden: dict[str, Where],
    from_a_step: Callable[[dict[str, Where]], set[str]],
) -> None:
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": other.namespace}}
    by_selector = {"podSelector": {"matchLabels": HUB}, "namespaceSelector": namespace}
    by_address = {"ipBlock": {"cidr": f"{layout.METADATA_ADDRESSES[0]}/32"}}
    lab = yaml.safe_load(layout.VALUES.read_text())["networkPolicy"]["dockerApi"]["egress"]
    rules = [
        {"to": [by_selector], "ports": [{"port": POD_PORT}]},
        {"to": [by_address], "ports": [{"port": 80}]},
    ]
    ours.install({"networkPolicy": {"dockerApi": {"egress": [*lab, *rules]}}})
    try:
        found = from_a_step(forbidden)
    finally:
        ours.install()
    assert found == {"hub", "metadata-0"}


def test_a_daemon_listens_on_no_port(ours: Release, other: Release) -> None:
    def ports(release: Release) -> list[set[int]]:
        names = [pod["metadata"]["name"] for pod in release.pods("app.kubernetes.io/component=docker-api")]
        return [Pods(release).listening(name) for name in names]

    assert ports(ours) == [set() for _ in layout.NODES]
    assert ports(other) == [{DAEMON_PORT} for _ in layout.NODES]


def test_docker_api_pods_accept_nothing(other: Release, forbidden: dict[str, Where]) -> None:
    daemons = [where for name, where in forbidden.items() if name.startswith("daemon")]
    assert all(Pods(other).connects("hub", daemon) for daemon in daemons)
    other.install(OPEN_DAEMON)
    try:
        until(lambda: not any(Pods(other).connects("hub", daemon) for daemon in daemons), "closed daemons")
    finally:
        other.install({**OFF, **OPEN_DAEMON})


def test_binderhub_is_asked_by_those_who_may(other: Release, forbidden: dict[str, Where]) -> None:
    service = (f"binderhub.{other.namespace}.svc.cluster.local", 80)
    assert forbidden
    assert Pods(other).connects("hub", service)
    assert Pods(other).connects("user", service)
    other.install({**OPEN_DAEMON, "networkPolicy": {"binderhub": {"enabled": True}}})
    try:
        until(lambda: not Pods(other).connects("user", service), "BinderHub, closed")
        assert Pods(other).connects("hub", service)
    finally:
        other.install({**OFF, **OPEN_DAEMON})


def test_a_build_pod_reaches_git_and_little_else(ours: Release, forbidden: dict[str, Where]) -> None:
    pods = Pods(ours)
    pods.run("fetching", BUILD_POD)
    pods.run("another", {})
    try:
        until(lambda: not pods.connects("fetching", forbidden["hub"]), "the policy of build pods")
        assert pods.connects("fetching", NEEDED["git"])
        assert [name for name, where in forbidden.items() if pods.connects("fetching", where)] == []
        assert [name for name, where in forbidden.items() if not pods.connects("another", where)] == []
    finally:
        ours.delete("pod", "fetching", "another")


def test_binderhub_reaches_what_it_needs_and_nothing_else(ours: Release, forbidden: dict[str, Where]) -> None:
    pod, api = "deployment/binderhub", {"api", "api-server"}
    targets = {name: where for name, where in forbidden.items() if not name.startswith("binderhub")}

    def reached() -> set[str]:
        with ThreadPoolExecutor(len(targets)) as at_once:
            found = at_once.map(lambda where: Pods(ours).connects(pod, where), targets.values())
            return {name for name, connects in zip(targets, found, strict=True) if connects}

    until(lambda: reached() == api, "the policy of BinderHub's pod")
    assert all(Pods(ours).connects(pod, NEEDED[name]) for name in ("registry", "git"))
    ours.install(OFF)
    try:
        until(lambda: reached() == set(targets), "BinderHub's pod without a policy")
    finally:
        ours.install()
