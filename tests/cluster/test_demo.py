"""The main job on a real cluster: a repository becomes an image, and what goes wrong is told."""

import base64
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from common.errors import UserError
from common.paths import SCRIPTS
from demonstration import build_client, release, steps
from demonstration.target import Target
from local_cluster import go_tools, layout, registries


@pytest.fixture(scope="module")
def installed(cluster: Target) -> Iterator[Target]:
    """The service, installed; afterwards its namespace is gone."""
    release.install(cluster, f"{cluster.registry}/test-cluster-")
    yield cluster
    cluster.run(cluster.kubectl, "delete", "namespace", release.NAMESPACE)


def build_pods(target: Target) -> list[str]:
    listed = target.get("pods", f"--namespace={release.NAMESPACE}", "--selector=component=binderhub-build")
    return [pod["metadata"]["name"] for pod in listed["items"]]


def test_every_step_of_the_demonstration_holds(cluster: Target) -> None:
    rows = steps.Rows()

    steps.run(cluster, rows)

    evidence = {name.split(" http")[0]: text for name, _, text in rows.rows}
    built = re.search(r"(\S+), built on (\S+)", evidence["Build and push"])
    assert built
    assert built[1].startswith(f"{cluster.registry}/demo-")
    ran = re.search(r"(sha256:[0-9a-f]{64}), on ([^\s,]+)", evidence["Run a pod from the image"])
    assert ran
    assert ran[2] != built[2] or len(cluster.get("nodes")["items"]) == 1
    if "first-image" in cluster.repository:
        assert "Hello from the first image" in evidence["Run a pod from the image"]
    assert evidence["Ask again"].startswith("answered from the registry")
    deadline = time.monotonic() + 20  # an ended pod may stay a moment, for another replica that reads its log
    while build_pods(cluster):
        assert time.monotonic() < deadline, build_pods(cluster)
        time.sleep(0.5)


@pytest.mark.local
@pytest.mark.usefixtures("local_cluster")
def test_the_script_twice_in_a_row(request: pytest.FixtureRequest) -> None:
    wheel = request.config.getoption("--binderhub-wheel")
    given = ["--binderhub-wheel", str(wheel.resolve())] if wheel else []
    for _ in range(2):
        done = subprocess.run([SCRIPTS / "demo", *given], capture_output=True, text=True, check=False, timeout=400)
        assert done.returncode == 0, done.stderr
        assert "From a Git repository to a pod" in done.stderr


@pytest.mark.local
@pytest.mark.usefixtures("local_cluster")
def test_the_script_on_a_named_context() -> None:
    environment = {
        **os.environ,
        "KUBECONFIG": str(layout.KUBECONFIG),
        "PATH": f"{go_tools.folder()}:{os.environ['PATH']}",
        "REGISTRY_USERNAME": layout.REGISTRY_USER,
        "REGISTRY_PASSWORD": registries.PASSWORD.read_text(),
    }
    done = subprocess.run(
        [
            SCRIPTS / "demo", f"--context={layout.CONTEXT}", f"--registry={layout.REGISTRY_NAME}/somebody",
            f"--repository=http://{layout.GIT_NAME}/first-image.git", "--ref=main", f"--values={layout.VALUES}",
        ],
        env=environment, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{layout.REGISTRY_NAME}/somebody/demo-" in done.stderr
    assert environment["REGISTRY_PASSWORD"] not in done.stderr


def test_a_push_without_a_login_fails_and_says_so(installed: Target) -> None:
    empty = base64.b64encode(b'{"auths": {}}').decode()
    patch = json.dumps({"data": {"config.json": empty}})
    namespace = f"--namespace={release.NAMESPACE}"
    installed.run(installed.kubectl, "patch", namespace, "secret/build-pods-docker-config", f"--patch={patch}")
    try:
        with release.reached(installed) as binderhub, pytest.raises(UserError) as problem:
            build_client.request(build_client.url(binderhub, installed.repository, installed.ref), lambda _event: None)
        assert re.search("no basic auth credentials|authentication required|unauthorized", problem.value.what)
    finally:
        installed.run(installed.helm, "uninstall", release.RELEASE, namespace, "--wait")
        release.install(installed, f"{installed.registry}/test-cluster-")


def test_a_repository_that_is_not_there_fails_and_says_so(installed: Target) -> None:
    repository = f"{installed.repository.removesuffix('.git')}-that-nobody-made.git"
    with release.reached(installed) as binderhub, pytest.raises(UserError, match="The build failed"):
        build_client.request(build_client.url(binderhub, repository, "HEAD"), lambda _event: None)


def test_asking_for_a_build_at_a_wrong_address_is_told(installed: Target) -> None:
    with release.reached(installed) as binderhub, pytest.raises(UserError, match="404"):
        build_client.request(f"{binderhub}/no-such-path", lambda _event: None)
