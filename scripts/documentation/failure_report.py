"""The report about a failed page, collected before the cluster is cleaned."""

import re
from pathlib import Path

import yaml

from documentation.cluster import Cluster

_SECRET_KEY = re.compile(r"password|passwd|token|secret|credential|auths?$|key\.json", re.IGNORECASE)
MASK = "(masked)"
_NO_ANSWER = "(no answer"

_QUESTIONS = {
    "objects.txt": ("kubectl", "get", "all,configmaps,networkpolicies,serviceaccounts,roles,rolebindings", "-o=wide"),
    "events.txt": ("kubectl", "get", "events", "--sort-by=.lastTimestamp", "-o=wide"),
    "pods.yaml": ("kubectl", "get", "pods", "-o=yaml"),
}


def gather(cluster: Cluster, namespace: str, folder: Path) -> None:
    """Write events, objects, logs, values and manifests of `namespace` into `folder`, without secrets.

    A question that gets no answer is written down as such: a bundle is for trouble, and must not add to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scope = f"--namespace={namespace}"
    for name, words in _QUESTIONS.items():
        answer = _answer(cluster, *words, scope)
        _write(folder / name, masked(answer) if name.endswith(".yaml") else answer)
    for pod in _names(cluster, "kubectl", "get", "pods", "-o=jsonpath={.items[*].metadata.name}", scope):
        words = ("kubectl", "logs", pod, "--all-containers", "--prefix", "--tail=500", scope)
        _write(folder / f"log-{pod}.txt", _answer(cluster, *words))
    # Not `helm list`: which releases it lists, and by which option, is not the same in helm 3 and 4.
    label = "--output=jsonpath={.items[*].metadata.labels.name}"
    for release in _names(cluster, "kubectl", "get", "secrets", "--selector=owner=helm", label, scope):
        values = _answer(cluster, "helm", "get", "values", release, "-o=yaml", scope)
        manifest = _answer(cluster, "helm", "get", "manifest", release, scope)
        _write(folder / f"values-{release}.yaml", masked(values))
        _write(folder / f"manifest-{release}.yaml", masked(manifest))


def masked(text: str) -> str:
    """YAML documents with the data of Secrets, and values of keys that sound like a secret's, replaced."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return f"({MASK}: this is not YAML, so secrets could not be found)\n"
    return yaml.safe_dump_all([_mask(document) for document in documents], sort_keys=False)


def _mask(value: object) -> object:
    if isinstance(value, list):
        return [_mask(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "Secret":
        return {**value, **{key: MASK for key in ("data", "stringData") if key in value}}
    if _SECRET_KEY.search(str(value.get("name"))) and isinstance(value.get("value"), str):
        value = {**value, "value": MASK}  # an environment variable
    return {
        key: MASK if _SECRET_KEY.search(str(key)) and isinstance(item, str) and item else _mask(item)
        for key, item in value.items()
    }


def _names(cluster: Cluster, *words: str) -> list[str]:
    answer = _answer(cluster, *words)
    return [] if answer.startswith(_NO_ANSWER) else sorted(set(answer.split()))


def _answer(cluster: Cluster, *words: str) -> str:
    try:
        done = cluster.ask(*words, timeout=30)
    except Exception as error:
        return f"{_NO_ANSWER} to `{' '.join(words)}`: {error})\n"
    return done.stdout if done.returncode == 0 else f"{_NO_ANSWER} to `{' '.join(words)}`: {done.stderr.strip()})\n"


def _write(file: Path, text: str) -> None:
    file.write_text(text)
