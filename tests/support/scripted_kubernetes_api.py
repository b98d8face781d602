"""As much of a Kubernetes API as BinderHub's own executor and cleaner ask for, with a test in place of the cluster."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from support.binderhub import PATIENCE_SECONDS, until

NAMESPACE = "builds"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class Api:
    """What is answered: set by the test before, or fed while a request is open."""

    kubeconfig: Path
    requests: list[Request] = field(default_factory=list)
    listed: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Pods that a list gives, by its label selector."""
    create_status: int = 201
    watched: "queue.Queue[dict[str, Any] | None]" = field(default_factory=queue.Queue)
    """Events for the open watch; None ends it."""
    logged: "queue.Queue[str | None]" = field(default_factory=queue.Queue)
    """Lines of the open log; None ends it."""

    def asked(self, method: str, path: str = PODS) -> Request:
        """The first request of that kind, waited for."""
        return self._first(lambda one: (one.method, one.path) == (method, path), f"{method} {path}")

    def asked_to_watch(self) -> Request:
        """The first watch, waited for."""
        return self._first(lambda one: "watch" in one.query, "a watch")

    def _first(self, wanted: Callable[[Request], bool], what: str) -> Request:
        found: Request = until(lambda: next(filter(wanted, self.requests), None), what)
        return found

    def watch(self, kind: str, phase: str) -> None:
        """Let the open watch see the pod in that phase."""
        self.watched.put({"type": kind, "object": pod("build-x", phase)})

    def log(self, *lines: str) -> None:
        """Let the open log have these lines and end."""
        for line in (*lines, None):
            self.logged.put(line)


def pod(name: str, phase: str, started: str | None = None, **metadata: Any) -> dict[str, Any]:
    """A pod as the API gives it."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "resourceVersion": "7", **metadata},
        "spec": {"containers": [{"name": "builder", "image": "i"}], "nodeName": "node-1"},
        "status": {"phase": phase, **({"startTime": started} if started else {})},
    }


@contextmanager
def serving(folder: Path) -> Iterator[Api]:
    """The API on a port of the loopback, with a kubeconfig for it in `folder`."""
    api = Api(folder / "kubeconfig")
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a stream has to come in chunks, or the client waits for its end

        def do_GET(self) -> None:
            query = self._note(None)
            if self.path.split("?")[0].endswith("/log"):
                self._stream(f"{line}\n" for line in iter(lambda: _next(api.logged, ended), None))
            elif query.get("watch"):
                self._stream(json.dumps(event) + "\n" for event in iter(lambda: _next(api.watched, ended), None))
            else:
                self._json(200, {"kind": "PodList", "items": api.listed.get(query["labelSelector"], [])})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._note(body)
            self._json(api.create_status, body)

        def do_DELETE(self) -> None:
            self._note(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._json(200, {"kind": "Status"})

        def _note(self, body: Any) -> dict[str, str]:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            api.requests.append(Request(self.command, parts.path, query, body))
            return query

        def _json(self, status: int, answer: Any) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, chunks: Iterator[str]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in chunks:
                content = chunk.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_words: Any) -> None:
            """Say nothing: the requests are noted."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    config = {
        "clusters": [cluster],
        "contexts": [context],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    api.kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    try:
        yield api
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_SECONDS)


def _next(source: "queue.Queue[Any]", ended: threading.Event) -> Any:
    while not ended.is_set():
        try:
            return source.get(timeout=0.05)
        except queue.Empty:
            continue
    return None
