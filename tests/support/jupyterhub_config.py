"""Configuration of a JupyterHub that starts no servers and no proxy: it knows people, one service, and their tokens.

Environment: HUB is where it listens, SERVICE_TOKEN the token of the service `binder`, USER_TOKENS a JSON object from
tokens to the names of their users, ROLES the value of `c.JupyterHub.load_roles`, as JSON.
"""

import json
import os
from typing import TYPE_CHECKING, Any

from jupyterhub.proxy import Proxy

if TYPE_CHECKING:

    def get_config() -> Any:
        """The configuration that is being loaded; traitlets puts this function here."""


class NoProxy(Proxy):  # type: ignore[misc]
    """Routes lead nowhere: BinderHub is asked directly."""

    should_start = False

    async def add_route(self, routespec: str, target: str, data: Any) -> None:
        """Do nothing."""

    async def delete_route(self, routespec: str) -> None:
        """Do nothing."""

    async def get_all_routes(self) -> dict[str, Any]:
        """There are none."""
        return {}


tokens = json.loads(os.environ["USER_TOKENS"])

c = get_config()
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = set(tokens.values())
c.JupyterHub.hub_bind_url = os.environ["HUB"]
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.cookie_secret = os.urandom(32)
c.JupyterHub.services = [{"name": "binder", "api_token": os.environ["SERVICE_TOKEN"]}]
c.JupyterHub.load_roles = json.loads(os.environ["ROLES"])
c.JupyterHub.api_tokens = tokens
