"""Whether an image is in the registry already."""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tornado import httpclient
from tornado.httputil import url_concat
from traitlets import Bool, Dict, Unicode, default
from traitlets.config import LoggingConfigurable

DOCKER_HUB_REGISTRY = "https://registry-1.docker.io"
DOCKER_HUB_AUTH_KEY = "https://index.docker.io/v1/"


class DockerRegistry(LoggingConfigurable):
    """A registry, and the login for it, given here or taken from a docker config.json."""

    url = Unicode(config=True, help="The registry's address; the first key of config.json by default.")
    auth_config_url = Unicode(config=True, help="The key of config.json that has the login.")
    docker_config_path = Unicode(config=True, help="config.json; in $DOCKER_CONFIG or ~/.docker by default.")
    token_url = Unicode(config=True, help="Where tokens are had; known for Docker Hub and gcr.io.")
    username = Unicode(config=True, help="From config.json by default.")
    password = Unicode(config=True, help="From config.json by default.")
    not_found_401 = Bool(config=True, help="Take 401 for an image that is not there; True for Docker Hub.")
    _docker_config = Dict()

    @default("docker_config_path")
    def _default_docker_config_path(self) -> str:
        return str(Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json")

    @default("_docker_config")
    def _load_docker_config(self) -> Any:
        path = Path(self.docker_config_path)
        if not path.exists():
            self.log.warning("No docker config at %s", path)
            return {}
        return json.loads(path.read_text())

    @property
    def _auths(self) -> dict[str, dict[str, str]]:
        return self._docker_config.get("auths", {})

    @default("url")
    def _default_url(self) -> str:
        key = next(iter(self._auths), DOCKER_HUB_AUTH_KEY)
        if "://" not in key:
            key = f"https://{key}"
        return DOCKER_HUB_REGISTRY if key == DOCKER_HUB_AUTH_KEY else key

    @default("auth_config_url")
    def _default_auth_config_url(self) -> str:
        host = urlparse(self.url).hostname or ""
        if self.url in self._auths:
            return self.url
        if host in self._auths:  # a key with a port but without a scheme is not found
            return host
        if f".{host}".endswith((".docker.io", ".docker.com")):
            return DOCKER_HUB_AUTH_KEY
        return self.url

    @default("token_url")
    def _default_token_url(self) -> str:
        host = urlparse(self.url).hostname or ""
        if f".{host}".endswith(".gcr.io"):
            return f"https://{host}/v2/token?service={host}"
        if self.url.endswith(".docker.io"):
            return "https://auth.docker.io/token?service=registry.docker.io"
        return ""

    def _login(self, part: int) -> str:
        auth = self._auths.get(self.auth_config_url, {}).get("auth")
        if not auth:
            self.log.warning("No login for docker registry at %s", self.auth_config_url)
            return ""
        return base64.b64decode(auth).decode().split(":", 1)[part]

    @default("username")
    def _default_username(self) -> str:
        return self._login(0)

    @default("password")
    def _default_password(self) -> str:
        return self._login(1)

    @default("not_found_401")
    def _default_not_found_401(self) -> bool:
        return self.url.endswith(".docker.io")

    async def get_image_manifest(self, image: str, tag: str) -> Any:
        """The manifest of `image` (its name within the registry), or None when it is not there.

        Only an OCI image manifest is asked for. Other errors of the registry raise tornado's HTTPError, and a challenge
        that is not Bearer with realm, service and scope a ValueError.
        """
        http = httpclient.AsyncHTTPClient()
        url = f"{self.url}/v2/{image}/manifests/{tag}"
        headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        if self.token_url:
            scope = f"repository:{image}:pull"
            token = await self._get_token(http, self.token_url, service="container_registry", scope=scope)
            request = httpclient.HTTPRequest(url, headers={**headers, "Authorization": f"Bearer {token}"})
        else:
            request = httpclient.HTTPRequest(
                url, headers=headers, auth_username=self.username, auth_password=self.password
            )
        try:
            return await _fetch_json(http, request)
        except httpclient.HTTPError as refused:
            if refused.code != 401:
                if refused.code == 404:
                    return None
                raise
            challenge = refused.response.headers.get("www-authenticate") if refused.response else None
            if self.token_url and self.not_found_401:
                return None
            if self.token_url or not challenge:
                raise
        return await self._ask_with_token(http, url, challenge)

    async def _ask_with_token(self, http: Any, url: str, challenge: str) -> Any:
        if not challenge.lower().startswith("bearer "):
            raise ValueError(f"Only WWW-Authenticate Bearer type supported: {challenge}")
        parts = [re.search(rf'{name}="([^"]*)"', challenge) for name in ("realm", "service", "scope")]
        if not all(parts):
            raise ValueError(f"Expected WWW-Authenticate to include realm service scope: {challenge}")
        realm, service, scope = (part[1] for part in parts if part)
        token = await self._get_token(http, realm, service, scope)
        try:
            return await _fetch_json(http, httpclient.HTTPRequest(url, headers={"Authorization": f"Bearer {token}"}))
        except httpclient.HTTPError as refused:
            if refused.code == 404:
                return None
            raise

    async def _get_token(self, http: Any, token_url: str, service: str, scope: str) -> str:
        answer = await _fetch_json(
            http,
            httpclient.HTTPRequest(
                url_concat(token_url, {"scope": scope, "service": service}),
                auth_username=self.username,
                auth_password=self.password,
            ),
        )
        token = answer.get("token") or answer.get("access_token")
        if not token:
            raise ValueError("The registry answered without a token")
        return str(token)

    async def get_credentials(self, image: str, tag: str) -> dict[str, str] | None:
        """Credentials made for this one push, or None: the build has its own."""
        return None


class FakeRegistry(DockerRegistry):
    """A registry that has no images."""

    async def get_image_manifest(self, image: str, tag: str) -> Any:
        """Nothing is there."""
        return None


async def _fetch_json(http: Any, request: httpclient.HTTPRequest) -> Any:
    return json.loads((await http.fetch(request)).body.decode("utf-8", "replace"))
