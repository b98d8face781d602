"""A registry over TLS that takes no image: it answers what is pushed with a status, or breaks the connection."""

import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme


@dataclass(frozen=True)
class Refusal:
    """How it refuses."""

    status: int
    """0 resets the connection in place of an answer."""
    body: str = ""
    """What comes with the status, as a registry's JSON or a proxy's HTML."""
    at_layer: bool = False
    """Only when the layer has come, and not when its upload begins."""

    @property
    def content_type(self) -> str:
        """What the body is called."""
        return "text/html" if self.body.startswith("<") else "application/json"


@dataclass
class Refusing:
    """What it answers, and what it was asked."""

    host: str
    """Its address and port."""
    authority: str
    """The certificate of the authority that signed its own, as PEM."""
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """By a word of the image's name."""
    uploads: list[str] = field(default_factory=list)
    """The paths of the uploads that were begun: for an image of one layer, one each time that the layer is tried."""

    def refusal(self, path: str) -> Refusal:
        """What is said to a push to this path."""
        return next(refusal for word, refusal in self.refusals.items() if word in path)

    def tries(self, word: str) -> int:
        """How often the layer of the image with this word in its name was tried."""
        return sum(word in path for path in self.uploads)


@contextlib.contextmanager
def refusing(address: str) -> Iterator[Refusing]:
    """Such a registry on a free port of `address`, for as long as the block runs."""
    authority = trustme.CA(organization_name="binderhub-service tests")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address).configure_cert(context)
    with _Server((address, 0), _Handler) as server:
        server.context = context
        server.told = Refusing(f"{address}:{server.server_port}", authority.cert_pem.bytes().decode())
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.told
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    context: ssl.SSLContext
    told: Refusing
    daemon_threads = True  # docker keeps connections open


class _Handler(BaseHTTPRequestHandler):
    """Of the registry's API what a push asks before it can be refused. It has nothing, and keeps nothing."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 20

    def setup(self) -> None:
        # Here, in the connection's own thread: a handshake that hangs must not keep others waiting.
        self.request.settimeout(self.timeout)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server closes only what was wrapped

    def do_GET(self) -> None:
        self._answer(Refusal(200 if self.path == "/v2/" else 404))

    def do_HEAD(self) -> None:
        self._answer(Refusal(404))

    def do_POST(self) -> None:
        self.server.told.uploads.append(self.path)
        refusal = self.server.told.refusal(self.path)
        self._answer(Refusal(202) if refusal.at_layer else refusal)

    def do_PATCH(self) -> None:
        refusal = self.server.told.refusal(self.path)
        if not refusal.status:
            self.rfile.read(1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            return
        if length := self.headers.get("Content-Length"):
            self.rfile.read(int(length))
        else:
            while size := int(self.rfile.readline(), 16):  # docker 26 sends a layer in chunks
                self.rfile.read(size + 2)
            self.rfile.readline()
        self._answer(refusal)

    do_PUT = do_PATCH  # noqa: N815 - docker 29 sends a layer in one piece

    def _answer(self, answer: Refusal) -> None:
        content = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(content)))
        if answer.status == 202:
            self.send_header("Location", f"{self.path}1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: what matters is in `uploads`."""
