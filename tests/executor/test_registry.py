"""The chart's registry class: every registry is understood, and none makes a request fail."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from contract.service import Installed, running
from contract.test_registry import (  # noqa: F401 - a fixture
    INDEX,
    MANIFEST,
    PASSWORD,
    USER,
    Registry,
    ask,
    built,
    login,
    registry,
)
from machine.paths import CHART


def config(where: Registry, more: str = "") -> str:
    return f"""
import sys
sys.path.append({str(CHART / "files")!r})
c.BinderHub.registry_class = "bhs_registry.ServiceDockerRegistry"
c.BinderHub.image_prefix = "{where.host}/group/"
{more}
"""


@pytest.mark.parametrize("kind", [MANIFEST, INDEX], ids=["manifest", "index"])
def test_what_is_there_is_found(binderhub: Installed, registry: Registry, tmp_path: Path, kind: str) -> None:  # noqa: F811
    with running(binderhub, tmp_path, config(registry, login(registry))) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, kind)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]


@pytest.mark.parametrize("with_scheme", [True, False])
def test_the_login_is_found_under_either_key(
    binderhub: Installed,
    registry: Registry,  # noqa: F811
    tmp_path: Path,
    with_scheme: bool,
) -> None:
    auth = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    key = registry.url if with_scheme else registry.host
    (tmp_path / "config.json").write_text(json.dumps({"auths": {key: {"auth": auth}}}))
    more = f"c.DockerRegistry.url = {registry.url!r}"
    with running(binderhub, tmp_path, config(registry, more)) as service:
        ref, image, tag = built(service)
        registry.push(image, tag, MANIFEST)
        assert [event["message"] for event in ask(service, ref)] == ["Done! Found built image\n"]


def phases(events: list[Any]) -> list[str]:
    return [event["phase"] for event in events]


def test_without_a_login_it_is_built(binderhub: Installed, registry: Registry, tmp_path: Path) -> None:  # noqa: F811
    with running(binderhub, tmp_path, config(registry, f"c.DockerRegistry.url = {registry.url!r}")) as service:
        assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]


def test_a_registry_that_is_down_or_slow_does_not_hinder(
    binderhub: Installed,
    registry: Registry,  # noqa: F811
    tmp_path: Path,
) -> None:
    # A reserved address (RFC 5737): nothing answers, so that only the time-out ends the question.
    for url in ("http://127.0.0.1:1", "http://192.0.2.1"):
        folder = tmp_path / url.rpartition("/")[2]
        folder.mkdir()
        more = f"c.DockerRegistry.update(url={url!r})\nc.ServiceDockerRegistry.timeout = 0.5"
        with running(binderhub, folder, config(registry, more)) as service:
            assert phases(ask(service, service.script([("status", "BUILT")]))) == ["waiting", "ready"]
