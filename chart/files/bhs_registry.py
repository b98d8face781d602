"""Is the image there? Asked so that every registry's answer is understood, and none becomes an error of the request."""

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bhs_registry_login import read
from binderhub.registry import DockerRegistry
from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.httputil import url_concat
from traitlets import Bool, Float, Unicode, default

# An index too: what docker pushes with attestations, or for more than one architecture.
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


class ServiceDockerRegistry(DockerRegistry):
    """Asks with all manifest types, answers Basic and Bearer challenges, and takes any failure for "not there"."""

    login_file = Unicode("", config=True, help="A docker config whose login is read anew for each question.")
    login_key = Unicode("", config=True, help="The key that the registry has in it.")
    timeout = Float(10.0, config=True, help="Seconds that one question to the registry may take.")

    _wants_basic = Bool(False, help="Whether it has asked for that: the next question brings the login along.")

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Made by BinderHub when it starts."""
        super().__init__(**traits)
        self._login_is_the_files = bool(self.login_file) and self._login_of_file() == self._login_at_start()

    @default("auth_config_url")
    def _default_auth_config_url(self) -> str:
        """The key in docker's config: the URL, host:port, or the host, whichever is there."""
        auths = self._docker_config.get("auths", {})
        parts = urlsplit(self.url)
        for key in (self.url, f"{self.url}/", parts.netloc, f"{parts.netloc}/", parts.hostname or ""):
            if key in auths:
                return key
        if f".{parts.hostname}".endswith((".docker.io", ".docker.com")):
            return "https://index.docker.io/v1/"
        return str(self.url)

    async def get_image_manifest(self, image: str, tag: str) -> Any:  # noqa: ANN401 - a manifest
        """The manifest of `image` (its name within the registry), or None: it is not there, or nobody can say so."""
        try:
            self._renew_login()
            return await self._manifest(f"{self.url.rstrip('/')}/v2/{image}/manifests/{tag}", image)
        except HTTPError as refused:
            if refused.code not in (401, 404):
                self.log.warning("The registry did not say whether %s:%s is there: %s", image, tag, refused)
        except Exception as wrong:
            self.log.warning("The registry did not say whether %s:%s is there: %s", image, tag, wrong)
        return None

    def _login_at_start(self) -> tuple[str, str]:
        return str(self.username), str(self.password)

    def _login_of_file(self) -> tuple[str, str]:
        return read(Path(self.login_file), self.login_key) or ("", "")

    def _renew_login(self) -> None:
        """Take the login that the file has by now, as a mounted Secret's changes; but not in place of another one."""
        if self._login_is_the_files:
            self.username, self.password = self._login_of_file()

    async def _manifest(self, url: str, image: str) -> Any:  # noqa: ANN401
        headers = {"Accept": ACCEPT, **({"Authorization": self._basic()} if self._wants_basic else {})}
        if self.token_url:
            token = await self._get_token(
                AsyncHTTPClient(), self.token_url, service="container_registry", scope=f"repository:{image}:pull"
            )
            return await self._ask(url, {**headers, "Authorization": f"Bearer {token}"})
        try:
            return await self._ask(url, headers)
        except HTTPError as refused:
            challenge = refused.response.headers.get("WWW-Authenticate", "") if refused.response else ""
            if refused.code != 401 or not challenge:
                raise
        kind, _, rest = challenge.partition(" ")
        told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() == "basic":
            self._wants_basic = True
            return await self._ask(url, {**headers, "Authorization": self._basic()})
        scope = told.get("scope") or f"repository:{image}:pull"
        return await self._ask(url, {**headers, "Authorization": f"Bearer {await self._bearer(told, scope)}"})

    async def _bearer(self, told: dict[str, str], scope: str) -> str:
        question = {"scope": scope, **({"service": told["service"]} if told.get("service") else {})}
        headers = {"Authorization": self._basic()} if self.username else {}
        answer = await self._ask(url_concat(told["realm"], question), headers)
        return str(answer.get("token") or answer["access_token"])

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    async def _ask(self, url: str, headers: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        request = HTTPRequest(url, headers=headers, connect_timeout=self.timeout, request_timeout=self.timeout)
        return json.loads((await AsyncHTTPClient().fetch(request)).body)
