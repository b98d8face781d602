"""The real registry, of CNCF's distribution, over plain HTTP: with a login of its own, or tokens from elsewhere."""

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import bcrypt
import httpx
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from local_cluster import go_tools
from support.binderhub import answers, free_port, until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "robot", "open sesame"
ISSUER, SERVICE, KEY_ID = "issuer.example", "registry.example", "key-1"


@dataclass(frozen=True)
class Registry:
    """A registry over plain HTTP."""

    host: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    def push(self, image: str, tag: str, kind: str) -> None:
        """Put an image there that has nothing in it."""
        with httpx.Client(base_url=f"{self.url}/v2/{image}/", auth=(USER, PASSWORD)) as client:
            where = client.post("blobs/uploads/").raise_for_status().headers["Location"]
            digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
            client.put(httpx.URL(where).copy_merge_params({"digest": digest}), content=b"{}").raise_for_status()
            config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
            content = json.dumps(manifest).encode()
            if kind == INDEX:
                inner = f"sha256:{hashlib.sha256(content).hexdigest()}"
                client.put(f"manifests/{inner}", content=content, headers={"Content-Type": MANIFEST}).raise_for_status()
                listed = [{"mediaType": MANIFEST, "digest": inner, "size": len(content)}]
                content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
            client.put(f"manifests/{tag}", content=content, headers={"Content-Type": kind}).raise_for_status()


@contextmanager
def serving(folder: Path, storage: Path, auth: dict[str, Any], address: str = "127.0.0.1") -> Iterator[Registry]:
    """A registry with its files in `folder` and its images in `storage`; `auth` is that of its configuration."""
    host = f"{address}:{free_port(address)}"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": host},
        "auth": auth,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [go_tools.folder() / "registry", "serve", folder / "config.yaml"], stdout=log, stderr=log
        )
    try:
        until(lambda: answers(f"http://{host}/v2/"), "the registry")
        yield Registry(host)
    finally:
        server.terminate()
        server.wait()


def htpasswd(folder: Path) -> dict[str, Any]:
    """The configuration of a login of its own."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    return {"htpasswd": {"realm": "r", "path": str(folder / "htpasswd")}}


@dataclass
class Tokens:
    """A token server as in distribution's specification of token authentication: it signs what one may do."""

    url: str = ""
    asked: list[tuple[dict[str, list[str]], str]] = field(default_factory=list)
    """Query and Authorization of each request."""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def token(self, scopes: list[str]) -> str:
        """A token for these scopes, good for a minute."""
        now = int(time.time())
        access = [dict(zip(("type", "name", "actions"), scope.split(":"), strict=True)) for scope in scopes]
        granted = [{**one, "actions": one["actions"].split(",")} for one in access]
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "iat": now, "nbf": now, "exp": now + 60, "jti": "1"}
        head = {"typ": "JWT", "alg": "RS256", "kid": KEY_ID}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, {**claims, "access": granted}))
        return f"{text}.{_encoded(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def auth(self, folder: Path) -> dict[str, Any]:
        """The configuration of a registry that takes its tokens."""
        numbers = self.key.public_key().public_numbers()
        size = (self.key.key_size + 7) // 8
        public = {"n": _encoded(numbers.n.to_bytes(size)), "e": _encoded(numbers.e.to_bytes(3))}
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, **public}
        (folder / "jwks.json").write_text(json.dumps({"keys": [key]}))
        options = {"realm": self.url, "service": SERVICE, "issuer": ISSUER, "jwks": str(folder / "jwks.json")}
        return {"token": options}


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def token_server() -> Iterator[Tokens]:
    """One on the loopback: whoever has the login may do what they ask for, and others nothing."""
    tokens = Tokens()
    login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query, given = parse_qs(urlsplit(self.path).query), self.headers.get("Authorization", "")
            tokens.asked.append((query, given))
            if given not in ("", login):
                self.send_error(401)
                return
            content = json.dumps({"token": tokens.token(query.get("scope", []) if given else [])}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: Any) -> None:
            """Say nothing: the requests are noted."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        tokens.url = f"http://127.0.0.1:{server.server_address[1]}/token"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tokens
        server.shutdown()
