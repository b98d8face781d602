"""Pages on a cluster: a namespace each, what is validated there, what is left there, and the bundle of a failure."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from common.paths import CHART
from demonstration.target import Target
from documentation.blocks import read
from documentation.cluster import Cluster
from documentation.page_runner import BlockFailed, PageRun

RunPage = Callable[[str], BlockFailed | None]
SECRET = "hunter2-in-clear"  # noqa: S105 - it opens nothing


@pytest.fixture(scope="session")
def place(cluster: Target, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The tests' cluster as the runner takes it."""
    programs = Path(cluster.kubectl).parent
    kubeconfig = cluster.kubeconfig
    if not kubeconfig:
        file = tmp_path_factory.mktemp("place") / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(cluster.run(cluster.kubectl, "config", "view", "--raw", "--minify", "--flatten"))
        kubeconfig = str(file)
    return Cluster(Path(kubeconfig), cluster.context, path=f"{programs}:/usr/local/bin:/usr/bin:/bin")


def page_namespaces(place: Cluster) -> set[str]:
    names = place.tell("kubectl", "get", "namespaces", "--output=name").split()
    return {name for name in names if name.startswith("namespace/page-")}


@pytest.fixture
def on_cluster(place: Cluster, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPage:
    """Run a page on the cluster, and assert that its namespace is gone afterwards."""
    monkeypatch.setattr("documentation.page_runner.CLUSTER_PATIENCE_SECONDS", 5)

    def run(text: str) -> BlockFailed | None:
        page = read("book/page.md", dedent(text).lstrip("\n").encode())
        assert not page.complaints, "\n".join(map(str, page.complaints))
        before = page_namespaces(place)
        run = PageRun(page, page.steps, place, {}, tmp_path / "bundles")
        try:
            assert len(page_namespaces(place) - before) == 1
            for step in page.steps:
                run.execute(step)
            run.prove_clean()
        except BlockFailed as failed:
            return failed
        finally:
            run.close()
            assert page_namespaces(place) == before
            assert not list(scratch.iterdir())
        return None

    return run


def test_a_page_has_a_namespace_and_cleans_up_itself(on_cluster: RunPage) -> None:
    failure = on_cluster(
        """
        {.run}
        ```bash
        kubectl create configmap words --from-literal=greeting=hello
        kubectl get configmap words
        ```
        {.output like="age"}
        ```text
        configmap/words created
        NAME    DATA   AGE
        words   1      3s
        ```
        {.run}
        ```bash
        kubectl delete configmap words
        ```
        """
    )
    assert failure is None


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("kubectl create configmap words", "configmap/words"),
        ("kubectl create priorityclass page-left-behind --value=1", "priorityclass.scheduling.k8s.io/page-left-behind"),
        ("kubectl create configmap page-left-behind --namespace=default", "default configmap/page-left-behind"),
    ],
)
def test_objects_that_a_page_leaves_are_reported(on_cluster: RunPage, place: Cluster, command: str, left: str) -> None:
    try:
        failure = on_cluster(f"{{.run}}\n```bash\n{command}\n```\n")
    finally:
        place.tell("kubectl", "delete", "priorityclass", "page-left-behind", "--ignore-not-found")
        place.tell("kubectl", "delete", "configmap", "page-left-behind", "--namespace=default", "--ignore-not-found")
    assert failure is not None
    assert "leaves objects in the cluster" in str(failure)
    assert left in str(failure)


def test_values_and_manifests_are_validated_and_saved(on_cluster: RunPage) -> None:
    failure = on_cluster(
        """
        {.values path="values.yaml"}
        ```yaml
        replicas: 2
        ```
        {.manifest path="object.yaml"}
        ```yaml
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: words
        ```
        {.run}
        ```bash
        cat values.yaml
        kubectl get configmap words --ignore-not-found
        grep kind object.yaml
        ```
        {.output}
        ```text
        replicas: 2
        kind: ConfigMap
        ```
        """
    )
    assert failure is None


def test_values_that_the_schema_refuses_fail(on_cluster: RunPage) -> None:
    failure = on_cluster("{.values}\n```yaml\nreplicsa: 2\n```\n")
    assert failure is not None
    assert str(failure).startswith("book/page.md:2: `helm template` refuses this.")
    assert "replicsa" in str(failure)


def test_a_manifest_that_kubernetes_refuses_fails(on_cluster: RunPage) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: words\ndatta: {}\n"
    failure = on_cluster(f"{{.manifest}}\n```yaml\n{manifest}```\n")
    assert failure is not None
    assert str(failure).startswith("book/page.md:2: `kubectl apply` refuses this.")
    assert "datta" in str(failure)


def test_a_failure_leaves_a_bundle_without_secrets(on_cluster: RunPage, tmp_path: Path) -> None:
    failure = on_cluster(
        f"""
        {{.run}}
        ```bash
        kubectl run broken --image=registry.invalid/nothing:1 --restart=Never
        kubectl wait --for=jsonpath='{{.status.phase}}'=Pending pod/broken
        kubectl wait --for=jsonpath='{{.status.containerStatuses[0].state.waiting}}' pod/broken
        ```
        {{.file path="values.yaml"}}
        ```yaml
        dockerApi: {{nodeSelector: {{no: such-node}}}}
        nodeSelector: {{no: such-node}}
        buildPodsRegistryCredentials: {{server: registry.invalid, username: ada, password: {SECRET}}}
        ```
        {{.run}}
        ```bash
        helm install page-test {CHART} --values values.yaml --set allowAnonymous=true
        false
        ```
        """
    )
    assert failure is not None
    (folder,) = [path for path in (tmp_path / "bundles" / "book-page").iterdir() if path.name.startswith("page-")]
    texts = {file.name: file.read_text() for file in folder.iterdir()}
    assert "broken" in texts["events.txt"]
    assert "registry.invalid/nothing:1" in texts["pods.yaml"]
    assert "daemonset.apps/docker-api" in texts["objects.txt"]
    assert "kind: DaemonSet" in texts["manifest-page-test.yaml"]
    assert "username: ada" in texts["values-page-test.yaml"]
    assert not [name for name, text in texts.items() if SECRET in text]
