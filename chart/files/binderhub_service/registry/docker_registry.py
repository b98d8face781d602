"""The class that asks the registry whether an image exists. It sends the login to nobody else."""

import asyncio
import base64
import hashlib
import json
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

from binderhub.registry import DockerRegistry
from tornado import gen
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders, url_concat
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from traitlets import Bool, Float, List, Unicode, default

from binderhub_service.registry.confirmation import RegistryUnknown, name_and_tag
from binderhub_service.registry.login import IDENTITY_TOKEN_USER, read
from binderhub_service.registry.login_rules import Address, Challenge, address, challenges, may_receive_login
from binderhub_service.request import add_digest, current_handler

# Indexes as well: docker pushes them for several architectures, and with attestations.
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)

# https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests: registries take 4 MiB.
MAX_MANIFEST = 4 * 1024 * 1024
MAX_TOKEN_ANSWER = 64 * 1024
CLIENT_ID = "binderhub-service"
"""What token servers are told about who asks."""

RETRY_DELAYS = (0.2, 0.5)
"""Seconds before the second and the third request to a registry that fails."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TOKEN = re.compile(r"[!-~]+")


class _Refused(RegistryUnknown):
    """The registry refuses the login, or requires one."""


class _Unavailable(RegistryUnknown):
    """The registry may answer a later request."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: HTTPHeaders
    body: bytes


class ServiceDockerRegistry(DockerRegistry):
    """Accepts all manifest types, answers Basic and Bearer challenges, and treats any failure as "not found"."""

    login_file = Unicode("", config=True, help="A docker config whose login is read for each request.")
    login_key = Unicode("", config=True, help="The registry's key in login_file.")
    timeout = Float(10.0, config=True, help="Seconds that a request to the registry may take.")
    token_hosts = List(
        Unicode(),
        config=True,
        help="""
        Hosts, with their port if they have one, that may get the login as the registry's token servers.

        The registry itself and the host of `token_url` always may.
        """,
    )

    _wants_basic = Bool(
        False, help="Whether the registry wants Basic authentication, so that the next request sends the login at once."
    )

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Called by BinderHub when it starts."""
        super().__init__(**traits)
        if self.url and "://" not in self.url:
            self.set_trait("url", f"https://{self.url}")
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, AsyncHTTPClient]] = WeakKeyDictionary()
        self._login_is_the_files = bool(self.login_file) and self._login_of_file() == self._login_at_start()

    @default("auth_config_url")
    def _default_auth_config_url(self) -> str:
        """Key of the registry in docker's config: the URL, host:port, or the host, whichever exists."""
        auths = self._docker_config.get("auths", {})
        registry = address(self.url)
        host = registry.host if registry else ""
        netloc = self.url.partition("://")[2].partition("/")[0]
        for key in (self.url, f"{self.url}/", netloc, f"{netloc}/", host):
            if key in auths:
                return str(key)
        if f".{host}".endswith((".docker.io", ".docker.com")):
            return "https://index.docker.io/v1/"
        return str(self.url)

    async def get_image_manifest(self, image: str, tag: str) -> Any:  # noqa: ANN401 - a manifest
        """The manifest of `image` (its name in the registry); None if there is none, or nobody can tell."""
        handler = current_handler()
        try:
            found = await self._look_up(_name(handler, image, tag), tag)
            if found is None:
                return None
            manifest = _read(found.body, self.url)
            # BinderHub then answers at once that this image is ready.
            add_digest(handler, f"sha256:{hashlib.sha256(found.body).hexdigest()}")
            return manifest
        except _Refused as refused:
            # Some registries answer like this for an image that does not exist.
            self.log.info("%s:%s counts as not there: %s", image, tag, refused)
        except RegistryUnknown as unknown:
            self.log.warning("The registry did not say whether %s:%s is there: %s", image, tag, unknown)
        return None

    async def digest(self, image: str, tag: str) -> str | None:
        """Digest of `tag` of `image` (its name in the registry), computed from the manifest; None if it does not exist.

        A registry that fails is asked up to three times. Raises RegistryUnknown if it does not tell.
        """
        end = time.monotonic() + self.timeout
        for delay in (*RETRY_DELAYS, None):
            try:
                found = await self._look_up(image, tag)
                break
            except _Unavailable:
                if delay is None or time.monotonic() + delay >= end:
                    raise
                await gen.sleep(delay)
        if found is None:
            return None
        manifest = _read(found.body, self.url)
        if not isinstance(manifest.get("schemaVersion"), int):
            raise RegistryUnknown(f"{_host(self.url)} answered with something that is not an image manifest.")
        computed = f"sha256:{hashlib.sha256(found.body).hexdigest()}"
        told = found.headers.get("Docker-Content-Digest", "")
        if _DIGEST.fullmatch(told) and told != computed:
            self.log.warning("The registry calls %s:%s %s, but its manifest is %s", image, tag, told, computed)
        return computed

    def _login_at_start(self) -> tuple[str, str]:
        return str(self.username), str(self.password)

    def _login_of_file(self) -> tuple[str, str]:
        return read(Path(self.login_file), self.login_key) or ("", "")

    def _renew_login(self) -> None:
        """Read the login again, because a mounted Secret may have changed, unless configuration set another one."""
        if self._login_is_the_files:
            self.username, self.password = self._login_of_file()

    async def _look_up(self, image: str, tag: str) -> _Answer | None:
        """The registry's answer with the manifest, or None if it is not found. Raises nothing but RegistryUnknown."""
        try:
            self._renew_login()
        except Exception as wrong:
            # Only the type of the error, because its text could quote the file.
            raise RegistryUnknown(
                f"The login for {_host(self.url)} cannot be read from the mounted Secret ({type(wrong).__name__})."
            ) from wrong
        try:
            return await self._manifest(image, tag)
        except RegistryUnknown:
            raise
        except Exception as wrong:
            raise RegistryUnknown(
                f"The answer of {_host(self.url)} cannot be read ({type(wrong).__name__}: {_line(wrong)})."
            ) from wrong

    async def _manifest(self, image: str, tag: str) -> _Answer | None:
        registry = address(self.url)
        if registry is None:
            raise RegistryUnknown("The registry's URL is not one. Set DockerRegistry.url to https:// and a host.")
        url = f"{registry.url.rstrip('/')}/v2/{quote(image)}/manifests/{quote(tag, safe=':')}"
        ask = partial(self._ask, url, MAX_MANIFEST)
        scope = f"repository:{image}:pull"
        if self.token_url:
            realm = address(self.token_url)
            if realm is None:
                raise RegistryUnknown(
                    "The URL for tokens is not one. Set DockerRegistry.token_url to https:// and a host."
                )
            token = await self._token(registry, realm, {"scope": scope, "service": "container_registry"})
            return self._found(await ask(f"Bearer {token}"), with_token=True)
        has_password = bool(self.username) and self.username != IDENTITY_TOKEN_USER
        answer = await ask(self._basic() if self._wants_basic and has_password else "")
        if answer.status != 401:
            return self._found(answer)
        asked = challenges(answer.headers.get_list("WWW-Authenticate"))
        basic = next((one for one in asked if one.scheme == "basic"), None)
        bearer = next((one for one in asked if one.scheme == "bearer" and one.parameters.get("realm")), None)
        if bearer:
            try:
                return await self._with_bearer(registry, bearer, ask, scope)
            except _ForeignRealm:
                if not basic:
                    raise
        if basic and has_password:
            self._wants_basic = True
            return self._found(await ask(self._basic()))
        return self._found(answer)

    async def _with_bearer(self, registry: Address, asked: Challenge, ask: Any, scope: str) -> _Answer | None:  # noqa: ANN401
        realm = address(asked.parameters["realm"])
        if realm is None:
            raise RegistryUnknown(f"{registry} wants a token from an address that is none.")
        question = {"scope": asked.parameters.get("scope") or scope}
        if asked.parameters.get("service"):
            question["service"] = asked.parameters["service"]
        token = await self._token(registry, realm, question)
        return self._found(await ask(f"Bearer {token}"), with_token=True)

    def _found(self, answer: _Answer, with_token: bool = False) -> _Answer | None:
        """The answer if it has the manifest, None if it says that there is none. Raises RegistryUnknown otherwise."""
        host = _host(self.url)
        if answer.status == 200:
            return answer
        if answer.status == 404:
            return None
        if answer.status in (401, 403):
            if with_token and getattr(self, "not_found_401", False):
                return None
            raise _Refused(f"{host} refuses access (HTTP {answer.status}). Check the login in registry.")
        if 300 <= answer.status < 400:
            raise RegistryUnknown(f"{host} redirects to another address, which is not followed. Check registry.server.")
        if answer.status == 429 or answer.status >= 500:
            raise _Unavailable(f"{host} answers with HTTP {answer.status}. Try again later.")
        raise RegistryUnknown(f"{host} answers with HTTP {answer.status}.")

    async def _token(self, registry: Address, realm: Address, question: dict[str, str]) -> str:
        """A token of the realm for this question. Nothing is asked of a realm that may not have the login."""
        if realm.scheme != "https" and registry.scheme != "http":
            raise _ForeignRealm(f"{registry} wants its login sent to {realm} without TLS, which is not done.")
        if not may_receive_login(realm, registry, str(self.token_url), self.token_hosts):
            raise _ForeignRealm(
                f"{registry} wants its login sent to {realm}, which configuration does not name. "
                f"If {realm} belongs to the registry, add it to registry.tokenHosts."
            )
        if self.username == IDENTITY_TOKEN_USER:
            # https://distribution.github.io/distribution/spec/auth/oauth/
            form = {"grant_type": "refresh_token", "refresh_token": self.password, "client_id": CLIENT_ID, **question}
            answer = await self._ask(realm.url, MAX_TOKEN_ANSWER, form=form)
        else:
            url = url_concat(realm.url, question)
            answer = await self._ask(url, MAX_TOKEN_ANSWER, self._basic() if self.username else "")
        if answer.status in (401, 403):
            raise _Refused(f"{realm} refuses the login for {registry} (HTTP {answer.status}). Check it in registry.")
        if answer.status == 429 or answer.status >= 500:
            raise _Unavailable(f"{realm} answers with HTTP {answer.status}. Try again later.")
        if answer.status != 200:
            raise RegistryUnknown(f"{realm} answers with HTTP {answer.status} where a token was asked for.")
        told = _read(answer.body, realm.url)
        token = told.get("token") or told.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise RegistryUnknown(f"{realm} answers without a token.")
        return token

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def _client(self, limit: int, simple: bool) -> AsyncHTTPClient:
        """The client of this loop for answers of at most `limit` bytes.

        It is kept, because a new one would read all trusted certificates again, and open a connection for each request.
        """
        clients = self._clients.setdefault(asyncio.get_running_loop(), {})
        if limit not in clients:
            bounds = {"max_body_size": limit, "max_buffer_size": limit + 65536} if simple else {}
            clients[limit] = AsyncHTTPClient(force_instance=True, **bounds)
        return clients[limit]

    async def _ask(self, url: str, limit: int, authorization: str = "", form: dict[str, str] | None = None) -> _Answer:
        """The answer for `url`, of at most `limit` bytes, to a POST with `form` if there is one.

        Redirects are not followed.
        """
        headers = {"Accept": ACCEPT, **({"Authorization": authorization} if authorization else {})}
        received = bytearray()
        request = HTTPRequest(
            url,
            method="GET" if form is None else "POST",
            body=None if form is None else urlencode(form),
            headers=headers,
            connect_timeout=self.timeout,
            request_timeout=self.timeout,
            follow_redirects=False,
            decompress_response=False,
            prepare_curl_callback=partial(_bound, received=received, limit=limit),
        )
        simple = issubclass(AsyncHTTPClient.configured_class(), SimpleAsyncHTTPClient)
        try:
            answer = await self._client(limit, simple).fetch(request, raise_error=False)
        except Exception as wrong:  # of many kinds: sockets, TLS, HTTP, curl
            raise _Unavailable(f"{_host(url)} does not answer: {_line(wrong)}.") from wrong
        return _Answer(answer.code, answer.headers, answer.body if simple else bytes(received))


class _ForeignRealm(RegistryUnknown):
    """The login would go to a host that configuration does not name."""


def _bound(curl: Any, received: bytearray, limit: int) -> None:  # noqa: ANN401 - a pycurl.Curl
    """Make curl stop after `limit` bytes: tornado's curl client has no limit."""

    def write(data: bytes) -> int:
        if len(received) + len(data) > limit:
            return 0  # ends the transfer
        received.extend(data)
        return len(data)

    curl.setopt(curl.WRITEFUNCTION, write)


def _name(handler: Any, image: str, tag: str) -> str:  # noqa: ANN401 - BinderHub's handler
    """The image's name in the registry.

    BinderHub's `_get_image_basename_and_tag` takes the first part of a name for a registry unless the name looks like
    one of Docker Hub, which `my-org/binder-x` does not, because of the hyphen.
    """
    name, same_tag = name_and_tag(str(getattr(handler, "image_name", "")))
    return name if same_tag == tag and name.endswith(image) else image


def _read(body: bytes, url: str) -> dict[str, Any]:
    """The JSON object in an answer."""
    try:
        read = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise RegistryUnknown(f"{_host(url)} answers with something that is no JSON.") from wrong
    if not isinstance(read, dict):
        raise RegistryUnknown(f"{_host(url)} answers with something that is no JSON object.")
    return read


def _host(url: str) -> str:
    return str(address(url) or "The registry")


def _line(wrong: object) -> str:
    """A short description of an error, in one line."""
    text = "".join(character if character.isprintable() else " " for character in str(wrong))
    return text[:200].rstrip(".")
