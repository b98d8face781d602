"""What BinderHub reads with --config: values of the chart, as configuration.

`registry` comes first, then `buildPods` and `builders`. A value such as `buildPods.extraEnv` becomes a trait of the
executor, here `extra_env`.
`config.X.y` becomes `c.X.y`, unless it is null, which leaves BinderHub's default, and so overrides what came before.
Then the snippets of `extraConfig` run as Python: first those whose keys begin with `binderhub-service-`, which are the
chart's own, then all others, both ordered by their keys. They see `c` and `get_chart_config`, and what snippets before
them defined.
"""

import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    def get_config() -> Any:  # noqa: ANN401 - any class can be configured
        """The configuration that is being loaded; traitlets puts this function here."""


# The parent of the package binderhub_service: in the pod, a mount of its own; in the repository, beside this file.
sys.path += [str(Path(__file__).parent.parent / "python"), str(Path(__file__).parent)]

from binderhub_service import (
    read_yaml,
    request,
    service_log,
    snake_case,
    without_nulls,
)


@lru_cache
def _read() -> dict[str, Any]:
    # Beside this file, which is where the chart mounts both.
    return read_yaml((Path(__file__).parent / "chart-config.yaml").read_text(encoding="utf-8"))


def get_chart_config(config_path: str | None = None, default: Any = None) -> Any:  # noqa: ANN401 - what YAML can hold
    """What the chart was given at a path such as "custom.banner" or "config.BinderHub"; all of it without a path.

    `default` where the path leads nowhere. Of the chart's values there are `custom`,
    `config`, `extraConfig`, `buildPods`, `builders`, and `outboundProxy` if there is one.
    """
    found: Any = _read()
    for key in config_path.split(".") if config_path else []:
        if not isinstance(found, dict) or key not in found:
            return default
        found = found[key]
    return found


c = get_config()

# First of all, so that nothing is logged before.
service_log.mask_logins()

from binderhub_service.registry import login  # noqa: E402
from binderhub_service.repo_providers import git_address, repo_providers  # noqa: E402

login.configure(c, Path(__file__).parent)
git_address.strip_tokens(os.environ)

if get_chart_config("buildPods.executor") != "upstream":
    c.BinderHub.build_class = "binderhub_service.executor.ServiceBuildExecutor"
    c.BinderHub.build_cleaner_class = "binderhub_service.cleaner.ServiceKubernetesCleaner"
    c.BinderHub.registry_class = "binderhub_service.registry.docker_registry.ServiceDockerRegistry"
    c.BinderHub.repo_providers = repo_providers()
    request.add_codes()
    if get_chart_config("buildPods.gitCredentialHosts"):
        c.ServiceGitRepoProvider.credential_hosts = get_chart_config("buildPods.gitCredentialHosts")
_build_pods = get_chart_config("buildPods") or {}
if not get_chart_config("buildPods.checkImage.enabled"):
    _build_pods = {key: value for key, value in _build_pods.items() if key != "checkImage"}
if get_chart_config("buildPods.executor") == "upstream":
    _build_pods = {key: _build_pods.get(key) for key in ("resources", "imagePullSecrets")}
for _key, _value in _build_pods.items():
    if _value and _key not in ("executor", "namespace", "gitCredentialHosts"):  # which are not traits of the executor
        c.KubernetesBuildExecutor[snake_case(_key)] = without_nulls(_value)

if get_chart_config("outboundProxy"):
    c.KubernetesBuildExecutor.http_proxy = get_chart_config("outboundProxy.url")
    c.KubernetesBuildExecutor.no_proxy = get_chart_config("outboundProxy.noProxy")

_nodes = without_nulls(get_chart_config("builders.nodeSelector") or {})
if get_chart_config("builders.architecture"):
    _nodes.setdefault("kubernetes.io/arch", get_chart_config("builders.architecture"))
if _nodes:
    c.KubernetesBuildExecutor.node_selector = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in _nodes.items()
    }
if get_chart_config("builders.affinity") and get_chart_config("buildPods.executor") != "upstream":
    c.KubernetesBuildExecutor.affinity = get_chart_config("builders.affinity")

for _section, _traits in (get_chart_config("config") or {}).items():
    for _name, _value in (_traits or {}).items():
        if _value is not None:
            c[_section][_name] = without_nulls(_value)

_snippets = get_chart_config("extraConfig") or {}
for _key in sorted(_snippets, key=lambda key: (not key.startswith("binderhub-service-"), key)):
    _snippet = _snippets[_key]
    if _snippet:
        print(f"Running extraConfig.{_key}")
        exec(compile(_snippet, f"extraConfig.{_key}", "exec"))  # noqa: S102 - the chart's user asks for it

git_address.refuse_malformed_credentials(c)
