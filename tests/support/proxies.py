"""A real HTTP proxy on this machine, which knows the local cluster's hosts by name."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_cluster import layout
from support.binderhub import until

HOSTS = {"localhost": "127.0.0.1", layout.GIT_NAME: layout.GIT_ADDRESS, layout.REGISTRY_NAME: layout.REGISTRY_ADDRESS}
# In a mount namespace of its own the proxy has another /etc/hosts than this machine.
_WITH_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
_ACCESS = re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+ - (GET|POST|CONNECT) ([^:/ ]+:\d+)")


@dataclass(frozen=True)
class Proxy:
    """The proxy, and its log."""

    url: str
    log: Path

    def requests(self) -> set[tuple[str, str, str]]:
        """Client, method, and host with port, of the requests that have ended."""
        return {(found[1], found[2], found[3]) for found in _ACCESS.finditer(self.log.read_text())}


@contextmanager
def proxy(folder: Path, address: str = layout.GATEWAY) -> Iterator[Proxy]:
    """A proxy at this address of this machine, with its files in `folder`."""
    folder.mkdir()
    hosts, port, log = folder / "hosts", folder / "port", folder / "log"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in HOSTS.items()))
    log.touch()
    server = subprocess.Popen(
        [
            "unshare", "--mount", "sh", "-c", _WITH_HOSTS, "sh", hosts, sys.executable, "-m", "proxy",
            "--hostname", address, "--port", "0", "--port-file", port, "--log-file", log, "--num-workers", "1",
            "--num-acceptors", "1",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: port.exists() and port.read_text().strip() != "", "the proxy")
        yield Proxy(f"http://{address}:{port.read_text().strip()}", log)
    finally:
        server.terminate()
        server.wait()
