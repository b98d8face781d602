"""The Kubernetes API as JSON: the client of this process, and the reflector that lists and watches.

BinderHub's images have versions of the kubernetes client whose methods take different arguments. Only its
configuration is used here (address, certificates, token), which all versions have.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import kubernetes.config
import urllib3
from kubernetes import client
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME

from binderhub_service import Json
from binderhub_service.manifests import owner_label

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
WATCH_SECONDS = 50
"""The API server ends a watch after so long; the next one continues from there."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0


class ApiError(Exception):
    """The API server answered with an HTTP error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """`status` is HTTP's; `reason` and `message` come from the Status object, if there is one."""
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.message = message


class ApiUnreachable(Exception):  # noqa: N818 - a state of the network, not a defect
    """The API server did not answer, or its answer broke off."""


class ApiClient:
    """Requests to one API server, from any thread."""

    def __init__(self, configuration: Any, authorization: Callable[[], str]) -> None:  # noqa: ANN401 - see above
        """`configuration` is a kubernetes.client.Configuration.

        `authorization` returns the header Authorization, or an empty text.
        """
        self._authorization = authorization
        self._host = str(configuration.host).rstrip("/")
        verified = configuration.verify_ssl
        self._pool = urllib3.PoolManager(
            num_pools=4,
            # More than builds have log streams, whatever their limit is: urllib3 warns of each that it cannot keep.
            maxsize=4096,
            cert_reqs="CERT_REQUIRED" if verified else "CERT_NONE",
            ca_certs=configuration.ssl_ca_cert if verified else None,
            cert_file=configuration.cert_file,
            key_file=configuration.key_file,
        )

    def request(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> Json:
        """The JSON answer. Raises ApiError for an HTTP error, and ApiUnreachable without a whole answer."""
        with self._open(method, path, query, body, READ_SECONDS) as response:
            try:
                answer: Json = json.loads(response.read())
            except ValueError as error:
                raise ApiUnreachable(f"{method} {path}: the answer is not JSON") from error
            return answer

    @contextmanager
    def stream(self, path: str, query: Json, silence: float) -> Iterator[Iterator[bytes]]:
        """The body of a GET, in pieces as they arrive.

        Raises ApiError, and ApiUnreachable if the connection breaks or is silent for `silence` seconds. A body that
        ends as HTTP says ends the iterator.
        """
        with self._open("GET", path, query, None, silence) as response:
            yield response.stream(65536, decode_content=True)

    @contextmanager
    def _open(
        self, method: str, path: str, query: Json | None, body: Json | None, silence: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        url = f"{self._host}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        response: Any = None
        try:
            if authorization := self._authorization():
                headers["Authorization"] = authorization
            response = self._pool.request(
                method,
                url,
                body=json.dumps(body).encode() if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=silence),
                retries=False,
                preload_content=False,
            )
            if response.status >= 400:
                raise _api_error(response.status, response.read(1 << 16))
            yield response
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnreachable(f"{method} {path}: {error}") from error
        finally:
            if response is not None:
                # A connection can be used again after a whole answer, but not after a stream that was left early.
                if getattr(response, "_fp", None) is not None and not response.closed:
                    response.close()
                response.release_conn()


def _api_error(status: int, body: bytes) -> ApiError:
    try:
        read = json.loads(body)
        return ApiError(status, str(read.get("reason", "")), str(read.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", body.decode("utf-8", "replace")[:500].strip())


def api_client() -> ApiClient:
    """The client for the API server of the pod's service account, or else of the kubeconfig.

    Raises kubernetes.config.ConfigException if there is neither.
    """
    authorization: Callable[[Any], str] = _authorization_of_service_account
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
        authorization = _authorization_of_kubeconfig
    configuration = client.CoreV1Api().api_client.configuration
    return ApiClient(configuration, partial(authorization, configuration))


def release_owner_label() -> str:
    """Value of the label that tells build pods of this release from those of others."""
    names = [os.environ.get("HELM_RELEASE_NAME", ""), os.environ.get("CHART_ALIAS", "")]
    return owner_label(os.environ.get("NAMESPACE", ""), "/".join(name for name in names if name))


def _authorization_of_kubeconfig(configuration: Any) -> str:  # noqa: ANN401 - each client version has its own class
    return str(configuration.auth_settings().get("BearerToken", {}).get("value") or "")


def _authorization_of_service_account(_configuration: Any) -> str:  # noqa: ANN401
    # Read for each request: the kubelet replaces the token about every hour, and client 9.0.1 keeps the first one.
    return f"Bearer {Path(SERVICE_TOKEN_FILENAME).read_text(encoding='ascii').strip()}"


@dataclass(frozen=True)
class ReflectorCallbacks:
    """What a reflector calls, from its own thread."""

    listed: Callable[[list[Json]], None]
    """Gets all objects."""
    changed: Callable[[str, Json], None]
    """Gets ADDED, MODIFIED or DELETED, and the object."""
    trouble: Callable[[Exception | None], None]
    """Gets the reason why the API server cannot be asked, and None when it can be again."""


class Reflector:
    """Lists one kind of object in one namespace, then watches it, in one thread for the whole process.

    It continues after broken connections and expired versions.
    """

    def __init__(self, api: ApiClient, path: str, query: Json, callbacks: ReflectorCallbacks) -> None:
        """`path` is the path of the list, and `query` has its selectors."""
        self._api, self._path, self._query, self._callbacks = api, path, query, callbacks
        self._version = ""
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Start a thread that ends with the process."""
        self._thread.start()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    self._list()
                    self._callbacks.trouble(None)
                self._watch()
                pause = FIRST_PAUSE
            except ApiError as error:
                self._version = ""
                if error.status != 410:
                    self._callbacks.trouble(error)
                    time.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
            except ApiUnreachable as error:
                # The version stays: the server sends the changes in between when it is back.
                if not self._answers():
                    self._callbacks.trouble(error)
                    time.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
                else:
                    pause = FIRST_PAUSE

    def _answers(self) -> bool:
        try:
            self._api.request("GET", self._path, {**self._query, "limit": 1})
        except (ApiError, ApiUnreachable):
            return False
        self._callbacks.trouble(None)
        return True

    def _list(self) -> None:
        answer = self._api.request("GET", self._path, self._query)
        self._callbacks.listed([without_large_parts(item) for item in answer.get("items") or []])
        self._version = str(answer["metadata"]["resourceVersion"])

    def _watch(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        with self._api.stream(self._path, query, WATCH_SECONDS + 10.0) as pieces:
            self._callbacks.trouble(None)
            for event in _json_lines(pieces):
                item = event.get("object") or {}
                if event.get("type") == "ERROR":
                    raise ApiError(int(item.get("code") or 410), str(item.get("reason")), str(item.get("message")))
                self._version = str(item["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    self._callbacks.changed(event["type"], without_large_parts(item))


def without_large_parts(item: Json) -> Json:
    """Nobody reads the managed fields here, nor the arguments of build pods' containers, which are programs."""
    item["metadata"].pop("managedFields", None)
    for container in (item.get("spec") or {}).get("containers") or []:
        container.pop("args", None)
        container.pop("env", None)
    return item


def _json_lines(pieces: Iterator[bytes]) -> Iterator[Json]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line:
                yield json.loads(line)
