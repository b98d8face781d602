"""The programs that the containers of a build pod run, and the report that each program ends its log with.

The containers run at the same time, and each waits for the one before it. As init containers, one after the other, they
would make a build seconds slower: the kubelet checks once a second whether a container has ended, then starts the next.

A report carries a word that is in this pod alone, one for each container, so that no other text in the log can pass for
a report. Whoever reads it need not wait until the kubelet shows that the container has ended.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

from binderhub_service import Json

FETCH, BUILD, PUSH = "fetch", "builder", "push"
"""Names of the containers. `builder` is BinderHub's name."""
CONTAINERS = (FETCH, BUILD, PUSH)
FETCHED = "fetched"
"""`fetch` tells `builder` with a word of its own that it is done: some content providers let hosts name the files."""
_FILES = {FETCH: "fetch.py", BUILD: "build.py", PUSH: "push.py"}
_MODULES = {FETCH: ("shared",), BUILD: ("shared", "check_image"), PUSH: ("shared",)}
"""Modules of this package that a program imports, each after those that it imports itself."""
_LOADER = """import sys, types
for _name in ("binderhub_service", "binderhub_service.programs"):
    sys.modules[_name] = types.ModuleType(_name)
for _name, _text in {modules!r}:
    _module = sys.modules[_name] = types.ModuleType(_name)
    exec(compile(_text, _name, "exec"), _module.__dict__)
"""
"""Makes these modules known to Python, which finds no files of this package in the container."""


@cache
def _text(file: str) -> str:
    return (Path(__file__).parent / file).read_text(encoding="utf-8")


def command(container: str) -> list[str]:
    """Command of a container, without arguments.

    With -I, Python imports only from its own installation: not from the working directory, which becomes the
    repository, and not from where environment variables point. The modules that the program shares with others come
    with it.
    """
    modules = [(f"{__name__}.{name}", _text(f"{name}.py")) for name in _MODULES[container]]
    return ["python3", "-I", "-c", _LOADER.format(modules=modules) + _text(_FILES[container])]


def credential_helper() -> str:
    """Source of the program that docker asks for logins."""
    return _text("credential_helper.py")


def report_word(secret: str, container: str) -> str:
    """Word of a container's report. The word of one container does not reveal that of another."""
    return hashlib.sha256(f"{secret} {container}".encode()).hexdigest()[:32]


def read_report(line: str, word: str) -> Json | None:
    """The report in a line of a log, if it carries this word."""
    if word not in line:
        return None
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) and report.get("binderhub-service") == word else None
