"""A registry that serves an image very slowly: the build image, and one small layer more that no node has yet."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from local_cluster.layout import MIRROR
from local_cluster.registries import NODE_HOSTS, mirror_name

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@contextlib.contextmanager
def slow_image(image: str, address: str, seconds: float) -> Iterator[str]:
    """The name of such an image, made of `image`, which the lab's mirror has; its layer takes `seconds` to come."""
    name, _, tag = mirror_name(image).rpartition(":")
    mirror = f"http://{MIRROR}/v2/{name}"
    manifest = json.loads(_fetch(f"{mirror}/manifests/{tag}"))
    config = json.loads(_fetch(f"{mirror}/blobs/{manifest['config']['digest']}"))
    layer = _layer()
    config["rootfs"]["diff_ids"].append(_digest(layer))
    config.pop("history", None)  # it would have to name the new layer too
    blobs = {_digest(layer): layer, _digest(_json(config)): _json(config)}
    manifest["config"].update(digest=_digest(_json(config)), size=len(_json(config)))
    manifest["layers"].append({"mediaType": LAYER, "digest": _digest(layer), "size": len(layer)})
    with _Server((address, 0), _Handler) as server:
        server.mirror, server.blobs, server.slow, server.seconds = mirror, blobs, _digest(layer), seconds
        server.manifest, server.media_type = _json(manifest), manifest["mediaType"]
        host = f"{address}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            with _plain_http(host):
                yield f"{host}/slow:{tag}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _plain_http(host: str) -> Iterator[None]:
    """Tell the nodes' containerd, which reads this at every pull, that this registry speaks plain HTTP."""
    folder: Path = NODE_HOSTS / host
    folder.mkdir()
    try:
        (folder / "hosts.toml").write_text(f'server = "http://{host}"\n[host."http://{host}"]\n')
        yield
    finally:
        shutil.rmtree(folder)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    mirror: str
    blobs: dict[str, bytes]
    slow: str
    seconds: float
    manifest: bytes
    media_type: str


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, kind, what = self.path.partition("?")[0].rsplit("/", 2)
        if kind == "manifests":
            self._head(200, len(self.server.manifest), "Content-Type", self.server.media_type)
            self._body(self.server.manifest)
        elif what in self.server.blobs:
            blob = self.server.blobs[what]
            self._head(200, len(blob), "Content-Type", "application/octet-stream")
            if self.command == "GET" and what == self.server.slow:
                self._slowly(blob)
            else:
                self._body(blob)
        else:
            self._head(307, 0, "Location", f"{self.server.mirror}/blobs/{what}")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _head(self, status: int, length: int, name: str, value: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header(name, value)
        if self.path.rpartition("/")[0].endswith("manifests"):
            self.send_header("Docker-Content-Digest", _digest(self.server.manifest))
        self.end_headers()

    def _body(self, content: bytes) -> None:
        if self.command == "GET":
            self.wfile.write(content)

    def _slowly(self, blob: bytes) -> None:
        piece = len(blob) // 100 + 1
        for start in range(0, len(blob), piece):
            self.wfile.write(blob[start : start + piece])
            self.wfile.flush()
            time.sleep(self.server.seconds / 100)  # what is slow is the point of it

    def log_message(self, *_: object) -> None:
        """Nothing: a test has no use for it."""


def _fetch(url: str) -> bytes:
    answer = httpx.get(url, headers={"Accept": f"{MANIFEST}, {DOCKER_MANIFEST}"}, trust_env=False)
    return answer.raise_for_status().content


def _layer() -> bytes:
    content, file = os.urandom(64 << 10), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo("srv/slow")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
