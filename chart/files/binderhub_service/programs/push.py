"""The program of the container `push`: pushes the image that `builder` has built. Only this container has the login.

Its source is an argument of `python3 -I -c`; see fetch.py. The repository is not mounted here. The program uses the
daemon's API, whose answers have the registry's error and the digest in separate fields. It ends with a report that
BinderHub trusts because of its word. Until then, it gives docker in `builder` the logins that base images need.

Its argument is a JSON object: see manifests.py.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

from binderhub_service.programs.shared import (
    DAEMON_LOST,
    TICK_SECONDS,
    DaemonConnection,
    end_when_silent,
    ended,
    hold_images,
    report,
    say,
)

PROGRESS_SECONDS = 5.0
DOCKER_HUB = "https://index.docker.io/v1/"
TOKEN_USER = "<token>"  # noqa: S105 - docker's user name for identity tokens
QUIET = ("Preparing", "Waiting", "Unavailable")
_EXPIRED = re.compile(r"\bunauthorized\b|\b401\b|\bexpired\b", re.IGNORECASE)
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})\b")

Json = dict[str, Any]


class Logins:
    """The logins in a docker config, found as docker finds them."""

    def __init__(self, config: Json) -> None:
        """`config` is the content of a config.json."""
        self._auths: Json = config.get("auths") or {}
        self._helpers: dict[str, str] = config.get("credHelpers") or {}
        self._store = str(config.get("credsStore") or "")

    def get(self, server: str) -> tuple[str, str] | None:
        """User and secret for a registry, or None. The user is `<token>` if the secret is an identity token."""
        helper = self._helpers.get(hostname(server), self._store)
        if helper:
            return self._ask(helper, server)
        entry = self._auths.get(server) or {hostname(key): one for key, one in self._auths.items()}.get(
            hostname(server)
        )
        if not entry:
            return None
        if entry.get("identitytoken"):
            return TOKEN_USER, str(entry["identitytoken"])
        if entry.get("auth"):
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return user, password.strip("\x00")
        return (str(entry["username"]), str(entry.get("password", ""))) if entry.get("username") else None

    def users(self) -> dict[str, str]:
        """The user for each registry with a login in the config itself."""
        found = {server: self.get(server) for server in self._auths}
        return {server: login[0] for server, login in found.items() if login}

    def _ask(self, helper: str, server: str) -> tuple[str, str] | None:
        command = [f"docker-credential-{helper}", "get"]
        done = subprocess.run(command, input=server, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        found = json.loads(done.stdout)
        return str(found["Username"]), str(found["Secret"])


def hostname(server: str) -> str:
    """Host and port of a registry, as ConvertToHostname in docker/cli, cli/config/credentials, finds them."""
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]


def registry_of(image: str) -> str:
    """Key of an image's registry in a docker config."""
    first, _, rest = image.partition("/")
    if (
        not rest
        or not ("." in first or ":" in first or first == "localhost")
        or first in ("docker.io", "index.docker.io")
    ):
        return DOCKER_HUB
    return first


def read_logins(folder: Path) -> Logins:
    """The logins in the mounted Secret: a docker config, or one login for this build."""
    single = folder / "registry-credentials"
    if single.exists():
        given = json.loads(single.read_text(encoding="utf-8"))
        auth = base64.b64encode(f"{given['username']}:{given['password']}".encode()).decode()
        return Logins({"auths": {str(given["registry"]): {"auth": auth}}})
    config = folder / "config.json"
    return Logins(json.loads(config.read_text(encoding="utf-8")) if config.exists() else {})


def answer_logins(path: Path, logins: Logins) -> None:
    """Serve credential helpers on a unix socket, from a thread, until this process ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.new")
    listening.listen()
    Path(f"{path}.new").rename(path)  # nobody finds it before it listens

    def serve() -> None:
        while True:
            asked, _ = listening.accept()
            with asked:
                asked.settimeout(10)
                try:
                    action, _, server = asked.makefile(encoding="utf-8").readline(4096).strip().partition(" ")
                    asked.sendall(answer(logins, action, server))
                except (OSError, ValueError):
                    continue  # without an answer, docker continues without a login

    threading.Thread(target=serve, daemon=True).start()


def answer(logins: Logins, action: str, server: str) -> bytes:
    """What a credential helper prints; empty if there is no login, or for any other action."""
    if action == "list":
        return json.dumps(logins.users()).encode()
    login = logins.get(server) if action == "get" else None
    if not login:
        return b""
    return json.dumps({"ServerURL": server, "Username": login[0], "Secret": login[1]}).encode()


class Refused(Exception):  # noqa: N818 - the registry's answer, or the daemon's
    """The daemon answered that the push failed, with the registry's error or its own."""

    def __init__(self, error: str, login_was_accepted: bool = False) -> None:
        """`login_was_accepted` says that the registry accepted the login at first."""
        super().__init__(error)
        self.login_was_accepted = login_was_accepted


def wait_for_image(handover: Path) -> bool:
    """Wait until the image is built. False if `builder` has ended without it."""
    while not (handover / "built").exists():
        if ended(handover / "building") and not (handover / "built").exists():
            return False
        time.sleep(TICK_SECONDS)
    return True


def push(path: str, image: str, logins: Logins) -> str:
    """Push, print the progress, and return the digest that the daemon reports; empty if it reports none.

    Raises Refused, and OSError or HTTPException if the daemon does not complete its answer.
    """
    name, _, tag = image.rpartition(":")
    login = logins.get(registry_of(image))
    auth: Json = {"serveraddress": registry_of(image)}
    if login:
        auth |= {"identitytoken": login[1]} if login[0] == TOKEN_USER else {"username": login[0], "password": login[1]}
    headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}
    connection = DaemonConnection(path)
    # Without a version in the path, the daemon uses its own.
    connection.request("POST", f"/images/{quote(name, safe='/:')}/push?tag={quote(tag)}", headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        raise Refused(error_of(response.read(65536)))
    return follow(lines_of(response))


def lines_of(response: HTTPResponse) -> Iterator[bytes]:
    """The lines of an answer. Raises HTTPException if it is incomplete; its own `readline` would not."""
    rest = b""
    while piece := response.read1(65536):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line.strip())
    if rest.strip():
        yield rest


def error_of(body: bytes) -> str:
    """The daemon's message in the body of an HTTP error."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")


def follow(lines: Iterator[bytes]) -> str:
    """Print the lines of a push, each state of a layer once, and return the digest.

    Raises Refused for an error, and ValueError for a line that is not of a push.
    """
    digest, printed_at = "", time.monotonic()
    states: dict[str, str] = {}
    for line in lines:
        event, error, aux = read_event(line)
        if event.get("error") or error:
            raise Refused(str(error.get("message") or event.get("error")), any(map(is_accepted, states.values())))
        digest = str(aux.get("Digest") or "") or digest
        status, layer = str(event.get("status") or ""), str(event.get("id") or "")
        if found := _DIGEST.search(status):
            digest = digest or found[1]
        if not status or (layer and status in QUIET):
            continue
        if states.get(layer) != status or not layer:
            states[layer] = status
            say(f"{layer}: {status}" if layer else status, "pushing")
        elif time.monotonic() - printed_at > PROGRESS_SECONDS:
            printed_at = time.monotonic()
            say(f"{layer}: {status} {event.get('progress') or ''}".rstrip(), "pushing")
    return digest


def is_accepted(status: str) -> bool:
    """Whether a layer's status says that the registry has accepted the login."""
    return status in ("Pushing", "Pushed", "Layer already exists") or status.startswith("Mounted from ")


def read_event(line: bytes) -> tuple[Json, Json, Json]:
    """A line of a push, with its parts `errorDetail` and `aux`. Raises ValueError if it is not one."""
    try:
        event = json.loads(line)
    except RecursionError as deep:
        raise ValueError("a line is nested too deeply") from deep
    if isinstance(event, dict):
        error, aux = event.get("errorDetail") or {}, event.get("aux") or {}
        if isinstance(error, dict) and isinstance(aux, dict):
            return event, error, aux
    raise ValueError(f"a line is not one of a push: {line[:200]!r}")


def push_with_new_token(path: str, image: str, logins: Logins) -> str:
    """Push, and once more if the registry's token has expired meanwhile. Returns and raises what `push` does.

    The daemon asks for a new token with each push, and layers that the registry has are not sent again.
    """
    try:
        return push(path, image, logins)
    except Refused as refused:
        if not (refused.login_was_accepted and _EXPIRED.search(str(refused))):
            raise
        say(f"The registry no longer accepts the token of this push, trying once more: {refused}", "pushing")
    return push(path, image, logins)


def main(settings: Json) -> int:
    """Push once the image is built. The exit code is 0 if the registry accepted it."""
    handover, word, path = Path(settings["handover"]), settings["word"], settings["socket"]
    logins = read_logins(Path(settings["logins"]))
    answer_logins(handover / "login.sock", logins)
    # Locked from the start, so that the cleaner cannot remove the image between the build and the push.
    hold_images(path)
    if not wait_for_image(handover):
        return 1
    threading.Thread(target=end_when_silent, args=(word, path, settings["silence"], lambda: True), daemon=True).start()
    try:
        digest = push_with_new_token(path, settings["image"], logins)
    except Refused as refused:
        say(str(refused), "pushing")
        report(word, error=str(refused)[:4096])
        return 1
    except (OSError, HTTPException, ValueError) as broken:
        say(f"The daemon did not finish the push: {broken}", "pushing")
        report(word, lost=str(broken)[:4096])
        return DAEMON_LOST
    report(word, digest=digest)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
