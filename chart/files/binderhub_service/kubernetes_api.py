"""The Kubernetes API as plain JSON.

Images bring versions of the kubernetes client whose methods take different arguments. Of all of them only the
configuration is used here (address, certificates, the kubeconfig's token), so that the version does not matter.


One kind of object in one namespace, listed and then watched, by one thread for the whole process.

What this process is part of: the release, and the API server that it asks."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import kubernetes.config
import urllib3
from kubernetes import client
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME

from binderhub_service import Json
from binderhub_service.objects import owner

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0


class ApiError(Exception):
    """The API server answered, and it was no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """`status` is HTTP's; `reason` and `message` are of the Status object, where there was one."""
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class ApiUnreachable(Exception):  # noqa: N818 - a state of the network, not a defect
    """The API server did not answer, or stopped in the middle."""


class ApiClient:
    """Requests to one API server, from any thread."""

    def __init__(self, configuration: Any, login: Callable[[], str]) -> None:  # noqa: ANN401 - see above
        """`configuration` is a kubernetes.client.Configuration; `login` gives the header Authorization, or nothing."""
        self._login = login
        self._host = str(configuration.host).rstrip("/")
        verified = configuration.verify_ssl
        self._pool = urllib3.PoolManager(
            num_pools=4,
            maxsize=16,
            cert_reqs="CERT_REQUIRED" if verified else "CERT_NONE",
            ca_certs=configuration.ssl_ca_cert if verified else None,
            cert_file=configuration.cert_file,
            key_file=configuration.key_file,
        )

    def request(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> Json:
        """The JSON answer. Raises Refused for an HTTP error and Unreachable when there is no whole answer."""
        with self._open(method, path, query, body, READ_SECONDS) as response:
            try:
                answer: Json = json.loads(response.read())
            except ValueError as cut:
                raise ApiUnreachable(f"{method} {path}: the answer is no JSON") from cut
            return answer

    @contextmanager
    def stream(self, path: str, query: Json, silence: float) -> Iterator[Iterator[bytes]]:
        """The body of a GET in pieces, as they arrive.

        Raises Refused, and Unreachable when the connection breaks or is silent for `silence` seconds; a body that ends
        as HTTP says just ends.
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
            if login := self._login():
                headers["Authorization"] = login
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
                raise _refused(response.status, response.read(1 << 16))
            yield response
        except (urllib3.exceptions.HTTPError, OSError) as broken:
            raise ApiUnreachable(f"{method} {path}: {broken}") from broken
        finally:
            if response is not None:
                # A stream that was left early cannot serve another request; a whole answer can.
                if getattr(response, "_fp", None) is not None and not response.closed:
                    response.close()
                response.release_conn()


def _refused(status: int, body: bytes) -> ApiError:
    try:
        told = json.loads(body)
        return ApiError(status, str(told.get("reason", "")), str(told.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", body.decode("utf-8", "replace")[:500].strip())


WATCH_SECONDS = 50
"""The API server ends a watch after so long; a new one goes on from there."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0


class Reflector:
    """Tells of every object and every change, and goes on through broken connections and expired versions.

    `changed(kind, object)` is called with ADDED, MODIFIED or DELETED, and `listed(objects)` with all there are, both
    from the thread; `trouble(words)` with what hinders it, and an empty text when that is over.
    """

    def __init__(
        self,
        api: ApiClient,
        path: str,
        query: Json,
        listed: Callable[[list[Json]], None],
        changed: Callable[[str, Json], None],
        trouble: Callable[[str], None],
    ) -> None:
        """`path` is that of the list, `query` its selectors."""
        self._api, self._path, self._query = api, path, query
        self._listed, self._changed, self._trouble = listed, changed, trouble
        self._version = ""
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        self._thread.start()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    self._list()
                    self._trouble("")
                self._follow()
                pause = FIRST_PAUSE
            except ApiError as refused:
                self._version = ""
                if refused.status != 410:
                    self._trouble(str(refused))
                    time.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
            except ApiUnreachable as broken:
                # The version is kept: what happened meanwhile is told when the server is back.
                if not self._answers():
                    self._trouble(str(broken))
                    time.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
                else:
                    pause = FIRST_PAUSE

    def _answers(self) -> bool:
        try:
            self._api.request("GET", self._path, {**self._query, "limit": 1})
        except (ApiError, ApiUnreachable):
            return False
        self._trouble("")
        return True

    def _list(self) -> None:
        answer = self._api.request("GET", self._path, self._query)
        self._listed([_short(found) for found in answer.get("items") or []])
        self._version = str(answer["metadata"]["resourceVersion"])

    def _follow(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        with self._api.stream(self._path, query, WATCH_SECONDS + 10.0) as pieces:
            self._trouble("")
            for event in _objects(pieces):
                found = event.get("object") or {}
                if event.get("type") == "ERROR":
                    raise ApiError(int(found.get("code") or 410), str(found.get("reason")), str(found.get("message")))
                self._version = str(found["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    self._changed(event["type"], _short(found))


def _short(found: Json) -> Json:
    """Without the notes on who set which field: nobody reads them here, and they are a third of an object."""
    found["metadata"].pop("managedFields", None)
    return found


def _objects(pieces: Iterator[bytes]) -> Iterator[Json]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line:
                yield json.loads(line)


def release() -> str:
    """The value of the label that tells this release's build pods from those of others."""
    return owner(os.environ.get("NAMESPACE", ""), os.environ.get("HELM_RELEASE_NAME", ""))


def api() -> ApiClient:
    """The API server that the pod's service account or else the kubeconfig leads to.

    Raises kubernetes.config.ConfigException where there is neither.
    """
    login: Callable[[Any], str] = _login_of_service_account
    try:
        kubernetes.config.load_incluster_config()
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config()
        login = _login_of_kubeconfig
    configuration = client.CoreV1Api().api_client.configuration
    return ApiClient(configuration, partial(login, configuration))


def _login_of_kubeconfig(configuration: Any) -> str:  # noqa: ANN401 - each client version has its own class
    return str(configuration.auth_settings().get("BearerToken", {}).get("value") or "")


def _login_of_service_account(_configuration: Any) -> str:  # noqa: ANN401
    # Read anew each time: the kubelet replaces it about every hour, and client 9.0.1 would keep the first one.
    return f"Bearer {Path(SERVICE_TOKEN_FILENAME).read_text(encoding='ascii').strip()}"
