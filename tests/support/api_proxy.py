"""Between BinderHub and the API server: plays the kubelet's logs, and breaks connections when a test wants it."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.api_server import TOKEN


@dataclass
class Log:
    """What one container has printed, each line with its time."""

    lines: list[bytes] = field(default_factory=list)
    over: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)
    readers: int = 0
    reads: int = 0

    def print(self, *lines: str | bytes) -> None:
        """Print these lines."""
        with self.changed:
            for line in lines:
                raw = line.encode() if isinstance(line, str) else line
                stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{len(self.lines) % 1000:03}Z"
                self.lines.append(stamp.encode() + b" " + raw + b"\n")
            self.changed.notify_all()

    def end(self) -> None:
        """Nothing more will come."""
        with self.changed:
            self.over = True
            self.changed.notify_all()


@dataclass
class Proxy:
    """The controls."""

    url: str = ""
    logs: dict[tuple[str, str], Log] = field(default_factory=dict)
    """By pod and container."""
    down: bool = False
    watches: list[str] = field(default_factory=list)
    """Paths of the watches that are open."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""
    expire: int = 0
    """So many of the next watches are told that their version is too old."""
    gone: int = 0
    """And so many are refused for that."""
    lose: str = ""
    """The next POST to a path with this end gets no answer."""
    twice: str = ""
    """The next POST to a path with this end comes a moment after another one of the same."""
    _open: set[socket.socket] = field(default_factory=set)

    def log(self, pod: str, container: str = "builder") -> Log:
        """The log of a container."""
        return self.logs.setdefault((pod, container), Log())

    def cut(self) -> None:
        """Break all open connections."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def readers(self) -> int:
        """How many log streams are open."""
        return sum(log.readers for log in self.logs.values())


@contextmanager
def between(upstream: str) -> Iterator[Proxy]:
    """A proxy for the API server at `upstream`, over plain HTTP on the loopback."""
    proxy = Proxy()
    host = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            proxy._open.add(self.connection)

        def finish(self) -> None:
            proxy._open.discard(self.connection)
            with suppress(OSError):
                super().finish()

        def _serve(self) -> None:
            path = self.path.partition("?")[0]
            proxy.asked.append((self.command, path))
            lost = self.command == "POST" and proxy.lose and path.endswith(proxy.lose)
            if lost:
                proxy.lose = ""
            if proxy.down or lost:
                self.close_connection = True
                return
            if path.endswith("/log"):
                self._log(path)
                return
            watch = "watch=true" in self.path
            if watch and proxy.expire:
                proxy.expire -= 1
                error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                self._chunks(iter([json.dumps({"type": "ERROR", "object": error}).encode() + b"\n"]))
                return
            if watch and proxy.gone:
                proxy.gone -= 1
                error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                self._whole(410, json.dumps(error).encode())
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            context = ssl._create_unverified_context()  # noqa: S323
            server = HTTPSConnection(host, context=context, timeout=120)
            try:
                headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
                if self.command == "POST" and proxy.twice and path.endswith(proxy.twice):
                    proxy.twice = ""
                    server.request(self.command, self.path, body, headers)
                    server.getresponse().read()
                server.request(self.command, self.path, body or None, headers)
                answer = server.getresponse()
                if watch and answer.status == 200:
                    upstream = server.sock
                    proxy.watches.append(path)
                    proxy._open.add(upstream)
                    try:
                        self._chunks(iter(lambda: answer.read1(65536), b""))
                    finally:
                        proxy._open.discard(upstream)
                        proxy.watches.remove(path)
                else:
                    self._whole(answer.status, answer.read())
            finally:
                server.close()

        do_GET = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815 - names of http.server

        def _log(self, path: str) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            log = proxy.log(path.split("/")[-2], query["container"])
            since = query.get("sinceTime", "")[:19].encode()
            log.reads += 1
            log.readers += 1
            try:
                self._chunks(self._lines(log, since))
            finally:
                log.readers -= 1

        def _lines(self, log: Log, since: bytes) -> Iterator[bytes]:
            number = 0
            while True:
                with log.changed:
                    while number >= len(log.lines) and not log.over:
                        log.changed.wait(0.1)
                        if self._gone():
                            return
                    fresh = log.lines[number:]
                    number = len(log.lines)
                    over = log.over
                yield b"".join(line for line in fresh if line[:19] >= since)
                if over:
                    return

        def _gone(self) -> bool:
            self.connection.setblocking(False)
            try:
                return not self.connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return False
            except OSError:
                return True
            finally:
                with suppress(OSError):
                    self.connection.setblocking(True)

        def _whole(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _chunks(self, chunks: Iterator[bytes]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with suppress(OSError):
                for chunk in chunks:
                    if chunk:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_request: Any) -> None:
            """A connection that was cut is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        proxy.cut()
        server.shutdown()
        server.server_close()
        thread.join(10)
        time.sleep(0)
