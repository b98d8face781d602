"""The Kubernetes API as plain JSON.

Images bring versions of the kubernetes client whose methods take different arguments. Of all of them only the
configuration is used here (address, certificates, the kubeconfig's token), so that the version does not matter.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818 - the API server's answer, not a defect
    """The API server answered, and it was no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """`status` is HTTP's; `reason` and `message` are of the Status object, where there was one."""
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Unreachable(Exception):  # noqa: N818 - a state of the network, not a defect
    """The API server did not answer, or stopped in the middle."""


class Api:
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
                raise Unreachable(f"{method} {path}: the answer is no JSON") from cut
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
            raise Unreachable(f"{method} {path}: {broken}") from broken
        finally:
            if response is not None:
                # A stream that was left early cannot serve another request; a whole answer can.
                if getattr(response, "_fp", None) is not None and not response.closed:
                    response.close()
                response.release_conn()


def _refused(status: int, body: bytes) -> Refused:
    try:
        told = json.loads(body)
        return Refused(status, str(told.get("reason", "")), str(told.get("message", "")))
    except (ValueError, AttributeError):
        return Refused(status, "", body.decode("utf-8", "replace")[:500].strip())
