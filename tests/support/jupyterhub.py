"""A real JupyterHub as a process on this machine's loopback."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.binderhub import PATIENCE_SECONDS, answers, free_port, until
from support.hub_users import CONFIG, People


@dataclass(frozen=True)
class Hub:
    """Where it is, and whom it knows."""

    api: str
    people: People

    def environment(self, **more: str) -> dict[str, str]:
        """What the service `binder` is told of it, its own name aside."""
        return {
            "JUPYTERHUB_API_URL": self.api,
            "JUPYTERHUB_API_TOKEN": self.people.service,
            "JUPYTERHUB_CLIENT_ID": "service-binder",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/binder/",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": "http://127.0.0.1/services/binder/oauth_callback",
            **more,
        }


@contextmanager
def running(python: Path, folder: Path) -> Iterator[Hub]:
    """A JupyterHub of this interpreter's packages, with its log in `folder`."""
    people, address = People(), f"http://127.0.0.1:{free_port()}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTERHUB_")}
    log = folder / "jupyterhub.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [python, "-m", "jupyterhub", f"--config={CONFIG}"],
            env={**inherited, **people.environment(address)},
            cwd=folder,
            stdout=output,
            stderr=output,
        )

    def listens() -> bool:
        assert server.poll() is None, f"JupyterHub ended:\n{log.read_text()}"
        return answers(f"{address}/hub/api/")

    try:
        until(listens, "JupyterHub to listen")
        yield Hub(f"{address}/hub/api", people)
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)
