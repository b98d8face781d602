#!/usr/bin/env python3
"""scripts/build-image: ask a BinderHub for the image of a Git repository. It needs this file and Python alone."""

import argparse
import http.client
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

Event = dict[str, Any]

READY, FAILED, UNREACHABLE = 0, 1, 3
"""Exit codes; 2 is for wrong options, and 130 for Ctrl-C."""
SILENCE_SECONDS = 90.0
"""BinderHub sends a comment every 25 s. A connection that is silent for longer is dead."""
LONGEST_PAUSE_SECONDS = 30.0
PROVIDERS = ("git", "gh", "gl")
_PASSING = (502, 503, 504)
"""Status codes of a proxy whose service is being replaced."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would send the token to another host."""

    def redirect_request(self, *_arguments: object) -> None:
        """None makes the redirect an HTTPError."""


class Broken(Exception):  # noqa: N818 - a state of the network
    """The stream ended before its build; asking again attaches to the build."""


def parser(prog: str) -> argparse.ArgumentParser:
    """The options; `prog` is how the script was called."""
    options = argparse.ArgumentParser(
        prog=prog,
        description="Ask a BinderHub to build the image of a Git repository, show the progress, and print the image's "
        "name. If the connection breaks, ask again: the build continues meanwhile.",
        epilog="The exit code is 0 if the image is ready, 1 if the build failed, 2 for wrong options, 3 if the service "
        "cannot be reached, and 130 after Ctrl-C. The image's name is the only line on standard output.",
    )
    options.add_argument("repository", help="address of a Git repository; with gh OWNER/NAME, with gl GROUP/NAME")
    options.add_argument("--ref", default="HEAD", help="branch, tag or commit (default: the default branch)")
    options.add_argument(
        "--provider", choices=PROVIDERS, default="git", help="how BinderHub finds the repository (default: %(default)s)"
    )
    options.add_argument(
        "--service-url",
        default=os.environ.get("BINDERHUB_URL", ""),
        metavar="URL",
        help="address of BinderHub, such as https://hub.example.org/services/binder (default: $BINDERHUB_URL)",
    )
    options.add_argument(
        "--token-env",
        default="JUPYTERHUB_API_TOKEN",
        metavar="NAME",
        help="environment variable with a token of the JupyterHub, if builds need one (default: %(default)s)",
    )
    options.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long the service may be unreachable (default: %(default)g)",
    )
    options.add_argument("--quiet", action="store_true", help="do not show the progress")
    options.add_argument("--json", action="store_true", help="print the last event instead of the image's name")
    return options


def address(service: str, provider: str, repository: str, ref: str) -> str:
    """The URL that asks for an image, and launches nothing."""
    spec = quote(repository, safe="/" if provider == "gh" else "")
    return f"{service.rstrip('/')}/build/{provider}/{spec}/{quote(ref, safe='')}?build_only=true"


def events(url: str, token: str) -> Iterator[Event]:
    """The events of one request. Raises Broken if the service or a proxy cuts the stream, or cannot be reached."""
    headers = {"Accept": "text/event-stream"} | ({"Authorization": f"token {token}"} if token else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - `run` admits http and https alone
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SILENCE_SECONDS) as response:
            yield from _events(response)
    except urllib.error.HTTPError as refused:
        if refused.code in _PASSING:
            raise Broken(f"HTTP {refused.code}") from refused
        found = list(_events(refused))
        yield from found or [{"phase": "failed", "message": f"{url} answers HTTP {refused.code} {refused.reason}\n"}]
    except (OSError, http.client.HTTPException) as broken:  # URLError and time-outs are OSErrors
        raise Broken(str(getattr(broken, "reason", broken))) from broken


def _events(lines: Any) -> Iterator[Event]:  # noqa: ANN401 - whatever gives lines of bytes
    for line in lines:
        if line.startswith(b"data:"):
            try:
                event = json.loads(line.removeprefix(b"data:"))
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


class Log:
    """Shows the lines of a build once, although the service sends them all again after a reconnect."""

    def __init__(self, show: Callable[[str], None]) -> None:
        """`show` gets each new line."""
        self._show = show
        self._seen: list[int] = []
        self._position = 0

    def reconnect(self) -> None:
        """The next events are those from the build's beginning."""
        self._position = 0

    def add(self, event: Event) -> None:
        """Show what is new of an event."""
        message = str(event.get("message") or "")
        if event.get("phase") in ("waiting", "failed", "ready") or not message:
            self._print(event, message)
            return
        if self._position < len(self._seen) and self._seen[self._position] == hash(message):
            self._position += 1
            return
        del self._seen[self._position :]  # another build, from here on
        self._seen.append(hash(message))
        self._position += 1
        self._print(event, message)

    def _print(self, event: Event, message: str) -> None:
        for line in message.splitlines():
            # Text from a repository: it could move the cursor of a terminal, or change its title.
            shown = "".join(letter if letter.isprintable() or letter == "\t" else " " for letter in line)
            if shown.strip():
                self._show(f"{event.get('phase', '')!s:<9} {shown}")


def build(url: str, token: str, patience: float, log: Log, say: Callable[[str], None]) -> Event | None:
    """The event that ends the build: `ready` or `failed`. None if the service was unreachable for too long.

    `patience` is in seconds.
    """
    pause, last_heard = 1.0, time.monotonic()
    while True:
        try:
            for event in events(url, token):
                pause, last_heard = 1.0, time.monotonic()
                log.add(event)
                if event.get("phase") in ("ready", "failed"):
                    return event
            raise Broken("the stream ended before the build")
        except Broken as broken:
            if time.monotonic() - last_heard + pause > patience:
                say(f"The service was unreachable for {patience:g} s: {broken}. Check --service-url, and ask again.")
                return None
            say(f"Asking again in {pause:g} s, the build continues meanwhile: {broken}")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        log.reconnect()


def run(prog: str) -> int:
    """Read the options, build, print, and return the exit code. `prog` is how the script was called."""
    given = parser(prog)
    options = given.parse_args()
    if not options.service_url.startswith(("http://", "https://")):
        given.error("Name the address of BinderHub with --service-url or $BINDERHUB_URL. It begins with https://.")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        url = address(options.service_url, options.provider, options.repository, options.ref)
        token = os.environ.get(options.token_env, "").strip()
        log = Log((lambda _line: None) if options.quiet else say)
        end = build(url, token, options.patience, log, say)
    except KeyboardInterrupt:
        say("Interrupted. A build that has begun continues; run the same command again to attach to it.")
        return 130
    if end is None:
        return UNREACHABLE
    if options.json:
        print(json.dumps(end))
    elif end["phase"] == "ready":
        print(end.get("imageName", ""))
    if end["phase"] == "failed":
        message = str(end.get("message") or "").strip()
        if not message or options.quiet:
            say(message or "The build failed, and the service gives no reason. See BinderHub's log.")
    return READY if end["phase"] == "ready" else FAILED


if __name__ == "__main__":
    sys.exit(run("build_image.py"))
