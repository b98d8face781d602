"""Rules for the login of a registry: who may get it, and how a registry asks for it.

The registry's answer names its token server (the realm). The login is sent there only if configuration names that
server as well, so that neither the registry, nor anybody who answers in its place, can direct the login elsewhere.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TOKEN_SERVERS = {
    # https://docs.docker.com/reference/api/registry/auth/
    "docker.io": "auth.docker.io",
    "index.docker.io": "auth.docker.io",
    "registry-1.docker.io": "auth.docker.io",
    # https://github.com/deitch/docker_registry2/issues/14
    "registry.gitlab.com": "gitlab.com",
    # No page of DigitalOcean's says so; BuildKit's errors quote https://api.digitalocean.com/v2/registry/auth.
    "registry.digitalocean.com": "api.digitalocean.com",
}
"""Registries with a token server on another host. A registry that is missing here needs `registry.tokenHosts`."""

MAX_HEADER = 8192

_PORTS = {"http": 80, "https": 443}
_ADDRESS = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?((?:[/?][!-~]*)?)", re.IGNORECASE)
_PARAMETER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(.*)", re.DOTALL)
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]+|$)")


@dataclass(frozen=True)
class Address:
    """A URL that all clients parse alike: without login, spaces and backslashes, and ASCII only."""

    scheme: str
    host: str
    port: int
    url: str

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, for comparisons."""
        return self.host, self.port

    def __str__(self) -> str:
        """The host, with its port unless that is the scheme's default."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"


def address(url: str) -> Address | None:
    """Parse a URL; None if it is invalid, or clients might disagree on its host."""
    found = _ADDRESS.fullmatch(url)
    if not found or "\\" in url or "#" in url:
        return None
    scheme, host, port, _ = found.groups()
    number = int(port) if port else _PORTS[scheme.lower()]
    return Address(scheme.lower(), host.lower(), number, url) if 0 < number < 65536 else None


@dataclass(frozen=True)
class Challenge:
    """One entry of WWW-Authenticate."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges in these WWW-Authenticate headers, in order, without malformed ones.

    RFC 9110, 11.6.1: both the challenges of a header and the parameters of a challenge are separated by commas.
    """
    found: list[Challenge] = []
    for header in headers:
        if len(header) > MAX_HEADER:
            continue
        open_challenge: Challenge | None = None
        for item in _items(header):
            parameter = _PARAMETER.fullmatch(item)
            if parameter is None:
                scheme = _SCHEME.match(item)
                open_challenge = None
                if scheme:
                    open_challenge = Challenge(scheme[1].lower())
                    found.append(open_challenge)
                    parameter = _PARAMETER.fullmatch(item[scheme.end() :])
            if parameter and open_challenge:
                open_challenge.parameters.setdefault(parameter[1].lower(), _unquoted(parameter[2]))
    return found


def _items(header: str) -> list[str]:
    """Split a header at the commas outside quotes."""
    items, start, quoted, escaped = [], 0, False, False
    for position, character in enumerate(header):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character == ",":
            items.append(header[start:position])
            start = position + 1
    items.append(header[start:])
    return [item.strip() for item in items if item.strip()]


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def may_receive_login(realm: Address, registry: Address, token_url: str, token_hosts: Iterable[str]) -> bool:
    """Whether `realm`, which the registry's answer names, may get the login of `registry`."""
    if realm.scheme != "https" and registry.scheme != "http":
        return False
    if realm.place == registry.place:
        return True
    configured = address(token_url)
    if configured and realm.place == configured.place:
        return True
    known = TOKEN_SERVERS.get(registry.host) if registry.port == _PORTS["https"] else None
    return realm.place in {_place(host, realm.scheme) for host in (known, *token_hosts) if host}


def _place(host: str, scheme: str) -> tuple[str, int]:
    """Host and port of an administrator's `host` or `host:port`; the port is the scheme's by default."""
    parts = urlsplit(f"//{host.strip().lower()}")
    return f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or ""), parts.port or _PORTS[
        scheme
    ]
