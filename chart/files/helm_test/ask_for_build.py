"""What `helm test` runs: asks BinderHub for a build, prints what it answers, and fails unless that is an image.

Environment: BINDERHUB is its URL up to the base path, REPOSITORY and REF are what is built, and
JUPYTERHUB_API_TOKEN is a token that may build, where one is needed.
"""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

SILENCE_SECONDS = 120.0
"""BinderHub sends a line every 25 s, if only to keep the connection."""
PATIENCE_SECONDS = 30.0
"""A network policy that lets this pod in takes hold some time after the pod has begun."""


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What would change the terminal that the log is read in; lines of builds hold what repositories print."""


def events(url: str, token: str) -> Iterator[dict[str, Any]]:
    """The events of a request, as they come; raises OSError when BinderHub is not reached, or refuses."""
    request = Request(url, headers={"Accept": "text/event-stream"})  # noqa: S310 - made below
    if token:
        request.add_header("Authorization", f"token {token}")
    with opened(request) as stream:
        for line in stream:
            if line.startswith(b"data:"):
                yield json.loads(line.removeprefix(b"data:"))


def opened(request: Request) -> Any:  # noqa: ANN401 - what urllib gives
    """The answer, as soon as there is one; raises OSError when that takes too long, and HTTPError for a refusal."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            # No proxy of the environment: BinderHub is in the cluster.
            return build_opener(ProxyHandler({})).open(request, timeout=SILENCE_SECONDS)
        except HTTPError:
            raise
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def printable(text: str) -> str:
    """The text without control sequences and characters, except tabs and line ends."""
    return _CONTROL.sub("", text)


def verdict(url: str, token: str) -> tuple[str, bool]:
    """Print the events; the sentence that ends them, and whether there is an image."""
    try:
        for event in events(url, token):
            phase = printable(str(event.get("phase") or ""))
            message = printable(str(event.get("message") or "")).rstrip("\n")
            if phase == "ready":
                return f"The test passed: {printable(str(event.get('imageName')))} is built.", True
            if phase == "failed":
                return f"The test failed. {message}", False
            if message:
                print(f"{phase}: {message}" if phase else message, flush=True)
    except HTTPError as error:
        need = " Give a token that may build in test.apiTokenSecret." if error.code in (401, 403) else ""
        return f"The test failed. BinderHub answered {error.code} {error.reason}.{need}", False
    except OSError as error:
        return f"The test failed. BinderHub could not be heard: {getattr(error, 'reason', error)}.", False
    return "The test failed. BinderHub ended the stream without an answer; ask again.", False


def main() -> int:
    """The exit code: 0 for an image."""
    repository, ref = os.environ["REPOSITORY"], os.environ["REF"]
    print(f"Asking for {repository} at {ref}", flush=True)
    path = f"build/git/{quote(repository, safe='')}/{quote(ref, safe='')}?build_only=true"
    sentence, passed = verdict(f"{os.environ['BINDERHUB']}/{path}", os.environ.get("JUPYTERHUB_API_TOKEN", ""))
    print(sentence)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
