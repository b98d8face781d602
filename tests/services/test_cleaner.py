"""The cleaner takes away what no process looks after, and nothing of another release."""

import time
from typing import Any

import pytest
from binderhub_service.manifests import owner_label
from support.api_server import RUNS, ended
from support.binderhub import until
from support.executor_setting import Setting

CLEANER = """
c.BinderHub.build_cleaner_class = "binderhub_service.cleaner.ServiceKubernetesCleaner"
c.BinderHub.build_cleanup_interval = 1
c.KubernetesCleaner.max_age = 3
c.ServiceKubernetesCleaner.max_pending = 6
"""


def leave(setting: Setting, name: str, release: str | None = "rel", namespace: str = "") -> None:
    """A pod of a process that is no more, of a release in this namespace or another.

    Without a release it is as BinderHub's own class makes it.
    """
    labels = {"component": "binderhub-build"}
    if release:
        labels["binderhub-service/owner"] = owner_label(namespace or setting.namespace.name, release)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "initContainers": [{"name": "fetch", "image": "i"}],
        "containers": [{"name": "builder", "image": "i"}],
    }
    body = {"metadata": {"name": name, "labels": labels}, "spec": spec}
    setting.namespace.server.request("POST", setting.namespace.path("pods"), body)


def names(setting: Setting) -> set[str]:
    return {pod["metadata"]["name"] for pod in setting.namespace.pods()}


@pytest.mark.parametrize("extra_config", [CLEANER], indirect=True)
def test_the_cleaner_deletes_orphaned_pods(setting: Setting) -> None:
    for name in ("ended-long-ago", "ended-just-now", "runs-too-long", "never-started"):
        leave(setting, name)
    leave(setting, "of-another", "other")
    leave(setting, "of-elsewhere", namespace="elsewhere")
    long_ago = ended(1)
    long_ago["terminated"] |= {"finishedAt": "2026-01-01T00:00:00Z", "startedAt": "2026-01-01T00:00:00Z"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    just_now = ended(1)
    just_now["terminated"] |= {"finishedAt": now, "startedAt": now}
    foreign = (("of-another", long_ago), ("of-elsewhere", long_ago))
    for name, build in (("ended-long-ago", long_ago), *foreign, ("ended-just-now", just_now)):
        setting.namespace.containers(name, fetch=build, build=build, phase="Failed")
    setting.namespace.containers("runs-too-long", fetch=RUNS, build=RUNS, phase="Running")
    until(lambda: names(setting) == {"ended-just-now", "of-another", "of-elsewhere"}, "three pods to be deleted")


@pytest.mark.parametrize("extra_config", [CLEANER], indirect=True)
def test_pods_of_the_previous_class_are_deleted_long_after_their_end(setting: Setting) -> None:
    for name in ("ended-long-ago", "ended-just-now", "runs-on", "waits"):
        leave(setting, name, None)
    moments = {
        "ended-long-ago": "2026-01-01T00:00:00Z",
        "ended-just-now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    for name, moment in moments.items():
        end = ended(0)
        end["terminated"] |= {"finishedAt": moment, "startedAt": moment}
        setting.namespace.containers(name, fetch=end, build=end, phase="Succeeded")
    setting.namespace.containers("runs-on", fetch=RUNS, build=RUNS, phase="Running")
    leave(setting, "of-ours")
    until(lambda: names(setting) == {"ended-just-now", "runs-on", "waits", "of-ours"}, "one pod to be deleted")
    until(
        lambda: names(setting) == {"ended-just-now", "runs-on", "waits"}, "ours to be deleted, and so rounds to go on"
    )
