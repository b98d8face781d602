"""A Git server for one pod with repo2docker's image: every path is a repository that nobody has built before.

`/KIND/ANYTHING.git` has one commit with the Dockerfile of that kind, which differs for each ANYTHING: no image of it is
in a registry, and no step of it in a cache. The kinds are given as JSON. Standard library and git only.
"""

import gzip
import json
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PORT = 8080
PATH = re.compile(r"/(?P<kind>[a-z]+)/(?P<name>[a-z0-9-]+)\.git(?P<rest>/info/refs|/git-upload-pack)")

KINDS: dict[str, str] = {}
FOLDER = Path(tempfile.gettempdir()) / "repositories"
_making = threading.Lock()


def repository(kind: str, name: str) -> Path:
    """The folder of a bare repository, made if it is not there."""
    folder = FOLDER / f"{kind}-{name}.git"
    with _making:
        if not folder.exists():
            dockerfile = KINDS[kind].replace("NUMBER", name)
            commit = (
                "commit refs/heads/main\ncommitter Benchmark <benchmark@example.org> 0 +0000\ndata 1\n.\n"
                f"M 644 inline Dockerfile\ndata {len(dockerfile.encode())}\n{dockerfile}\n"
            )
            git("init", "--quiet", "--bare", "--initial-branch=main", str(folder))
            git("--git-dir", str(folder), "fast-import", "--quiet", given=commit.encode())
    return folder


def git(*arguments: str, given: bytes = b"") -> bytes:
    """What git prints."""
    return subprocess.run(["git", *arguments], input=given, stdout=subprocess.PIPE, check=True).stdout


class Handler(BaseHTTPRequestHandler):
    """Git's smart protocol over HTTP, for reading."""

    def do_GET(self) -> None:
        """List the branches."""
        self._answer("advertisement", b"# service=git-upload-pack\n", "--advertise-refs")

    def do_POST(self) -> None:
        """Send the requested objects as a pack."""
        given = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("result", gzip.decompress(given) if self.headers["Content-Encoding"] == "gzip" else given)

    def _answer(self, what: str, given: bytes, *options: str) -> None:
        path = PATH.fullmatch(urlsplit(self.path).path)
        if not path or path["kind"] not in KINDS:
            self.send_error(404)
            return
        folder = repository(path["kind"], path["name"])
        begin = b""
        if options:
            begin, given = b"%04x%s0000" % (len(given) + 4, given), b""
        body = begin + git("upload-pack", "--stateless-rpc", *options, str(folder), given=given)
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{what}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    KINDS.update(json.loads(sys.argv[1]))
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
