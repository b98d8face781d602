"""Git over smart HTTP: with a login, an API, redirects or TLS, and with notes on what was asked and shown."""

import ssl
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

WHO = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")


@dataclass
class GitServer:
    """Bare repositories in a folder."""

    folder: Path
    login: str | None = ""
    """USER:PASSWORD that it wants; empty asks for a login and takes any, None for none."""
    host: str = ""
    redirects: dict[str, str] = field(default_factory=dict)
    """From the first part of a path to an address, for those who have shown the login."""
    api: dict[str, str] = field(default_factory=dict)
    """Answers of a provider's API, by path, for requests whose query or headers have `token`; others get a 401."""
    token: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path of each request, and all its header lines."""

    def logins(self) -> list[str]:
        """The logins that it was shown, as USER:PASSWORD."""
        heads = [line for _, lines in self.asked for line in lines.splitlines()]
        basic = [head.partition(" ")[2] for head in heads if head.lower().startswith("authorization: basic")]
        return [b64decode(head.rpartition(" ")[2]).decode() for head in basic]

    def repository(
        self,
        name: str,
        submodule: str = "",
        commit: str = "",
        dockerfile: str = "",
        files: dict[str, bytes] | None = None,
        branches: tuple[str, ...] = ("main",),
    ) -> str:
        """Make one with a single commit, whose name it returns; perhaps with `commit` of `submodule` in it."""
        bare, work = self.folder / name, self.folder / f"{name}.work"
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        _git("clone", "--quiet", str(bare), str(work))
        (work / "README").write_text(f"{name} of {self.host}\n")
        (work / "Dockerfile").write_text(dockerfile)
        for path, content in (files or {}).items():
            (work / path).write_bytes(content)
        if submodule:
            (work / ".gitmodules").write_text(f'[submodule "sub"]\n\tpath = sub\n\turl = "{submodule}"\n')
            _git("-C", str(work), "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
        _git("-C", str(work), "add", "README", "Dockerfile", *(files or ()), *([".gitmodules"] if submodule else []))
        _git("-C", str(work), *WHO, "commit", "--quiet", "-m", "First")
        _git("-C", str(work), "push", "--quiet", "origin", *(f"HEAD:refs/heads/{one}" for one in branches))
        return _git("-C", str(work), "rev-parse", "HEAD").strip()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def serving(
    folder: Path, address: str, login: str | None = "", context: ssl.SSLContext | None = None
) -> Iterator[GitServer]:
    """A server at this address of this machine, at a port of its own; over TLS with a context."""
    folder.mkdir()
    plays = GitServer(folder, login)
    backend = f"{_git('--exec-path').strip()}/git-http-backend"

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            plays.asked.append((self.path, str(self.headers)))
            path, _, query = self.path.partition("?")
            if path.startswith("/api/"):
                known = plays.token in f"{query}\n{self.headers}"
                answer = plays.api.get(path, "") if known else ""
                self.send_response(200 if answer else 404 if known else 401)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())
                return
            given = self.headers.get("Authorization", "")
            wanted = "Basic " + b64encode(plays.login.encode()).decode() if plays.login else given
            if plays.login is not None and (not given or given != wanted):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            first, _, rest = self.path.lstrip("/").partition("/")
            if first in plays.redirects:
                self.send_response(302)
                self.send_header("Location", f"{plays.redirects[first]}/{rest}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._backend()

        do_GET = do_POST = _serve  # noqa: N815 - names of http.server

        def _backend(self) -> None:
            parts = urlsplit(self.path)
            env = {
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = subprocess.run([backend], input=body, env=env, capture_output=True, check=True).stdout
            head, _, content = answer.partition(b"\r\n\r\n")
            lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(lines.pop("Status", "200").split()[0]))
            for name, value in lines.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            """Say nothing: the requests are noted."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        plays.host = f"{address}:{server.server_address[1]}"
        if context:
            # The handshake in the connection's own thread: one that hangs must not keep others waiting.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield plays
        server.shutdown()
