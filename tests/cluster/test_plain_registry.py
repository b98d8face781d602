"""A registry that speaks plain HTTP: pushes and BinderHub's look into it, by `registry.insecure` alone."""

from pathlib import Path

import httpx
import pytest
from demonstration.target import Target
from local_cluster.layout import GATEWAY
from support.registries import MANIFEST, PASSWORD, USER, htpasswd, serving
from support.release import WAY_TO_THIS_MACHINE, released

pytestmark = pytest.mark.local


def test_an_image_is_pushed_over_plain_http_and_found_there(cluster: Target, tmp_path: Path) -> None:
    with serving(tmp_path, tmp_path / "images", htpasswd(tmp_path), GATEWAY) as registry:
        login = {"username": USER, "password": PASSWORD}
        values = {
            **WAY_TO_THIS_MACHINE,
            "registry": {"server": registry.host, "insecure": True, "certificateAuthority": "", **login},
            # Nothing of the registry that other tests push to.
            "buildPodsRegistryCredentials": {"server": "", "username": "", "password": ""},
            "config": {"DockerRegistry": None, "BinderHub": {"image_prefix": f"{registry.host}/plain/"}},
        }
        with released(cluster, values) as release, release.reached():
            first, second = release.answer("one-file"), release.answer("one-file")
            release.nothing_left()
        assert first.end["phase"] == "ready"
        assert first.text("building")
        host, _, image = first.end["imageName"].partition("/")
        name, _, tag = image.rpartition(":")
        assert host == registry.host
        where, kind = f"{registry.url}/v2/{name}/manifests/{tag}", {"Accept": MANIFEST}
        assert httpx.get(where, headers=kind, trust_env=False).status_code == 401
        assert httpx.get(where, headers=kind, auth=(USER, PASSWORD), trust_env=False).status_code == 200
        assert second.end["phase"] == "ready"
        assert not second.text("building")
