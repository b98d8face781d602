"""What the containers of a build pod run: the programs beside this file, and the line that each ends with.

They run at the same time, and each waits for the one before it. One after the other, as init containers, a build would
take seconds more: the kubelet looks once a second whether a container has ended, and then makes the next one.

A program's last line is a report. It carries a word that is in the pod alone, one for each container, so that no other
text in the log is taken for a report. Its reader need not wait until the kubelet shows that the container has ended.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

from binderhub_service import Json

FETCH, BUILD, PUSH = "fetch", "builder", "push"
"""The containers. `builder` has BinderHub's name."""
CONTAINERS = (FETCH, BUILD, PUSH)
FETCHED = "fetched"
"""What `fetch` tells `builder` has a word too: some content providers let a host name the files that it sends."""
_FILES = {FETCH: "fetch.py", BUILD: "build.py", PUSH: "push.py"}
_CREDENTIAL_HELPER = "credential_helper.py"


@cache
def _text(file: str) -> str:
    return (Path(__file__).parent / file).read_text(encoding="utf-8")


def command(container: str) -> list[str]:
    """The command of a container, without its arguments.

    With -I, Python imports from its own installation alone: not from the working directory, which becomes the
    repository, and not from where variables point.
    """
    return ["python3", "-I", "-c", _text(_FILES[container])]


def credential_helper() -> str:
    """The text of the program that docker asks for logins."""
    return _text(_CREDENTIAL_HELPER)


def word(secret: str, container: str) -> str:
    """The word of a container's report. From one, nobody can tell another."""
    return hashlib.sha256(f"{secret} {container}".encode()).hexdigest()[:32]


def read_report(line: str, expected: str) -> Json | None:
    """What a line reports, if it is a report with the expected word."""
    if expected not in line:
        return None
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and told.get("binderhub-service") == expected else None
