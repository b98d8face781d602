"""Whom the tests' JupyterHub knows: ada may build, eve may not, and each has a token."""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

CONFIG = Path(__file__).parent / "jupyterhub_config.py"
SCOPE = "access:services!service=binder"


def _token() -> str:
    return secrets.token_hex(32)


@dataclass(frozen=True)
class People:
    """Tokens, made anew each time."""

    ada: str = field(default_factory=_token)
    eve: str = field(default_factory=_token)
    service: str = field(default_factory=_token)
    """That of the service `binder`."""

    def environment(self, address: str) -> dict[str, str]:
        """What jupyterhub_config.py reads, for a JupyterHub that listens at `address`."""
        return {
            "HUB": address,
            "SERVICE_TOKEN": self.service,
            "USER_TOKENS": json.dumps({self.ada: "ada", self.eve: "eve"}),
            "ROLES": json.dumps([{"name": "builders", "users": ["ada"], "scopes": [SCOPE]}]),
        }
