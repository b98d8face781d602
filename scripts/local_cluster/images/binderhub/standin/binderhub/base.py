"""What all handlers share: who asks, from where, and which provider is meant."""

import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlparse

import jwt
from jupyterhub.services.auth import HubOAuth, HubOAuthenticated
from tornado import web
from tornado.log import app_log

from . import STAND_IN, __version__
from .ratelimit import RateLimitExceeded
from .utils import ip_in_networks


class BaseHandler(HubOAuthenticated, web.RequestHandler):
    """A handler that knows banned networks, build tokens, the rate limit, and the Hub's users when auth is enabled."""

    skip_check_request_ip = False
    log_success_debug = False

    def initialize(self) -> None:
        """Take the Hub's settings from the environment where users must be known."""
        super().initialize()
        if self.settings["auth_enabled"]:
            self.hub_auth = HubOAuth.instance(config=self.settings["traitlets_config"])

    def prepare(self) -> Awaitable[None] | None:
        """Refuse addresses of banned networks before anything else."""
        super().prepare()
        banned = self.settings["ban_networks"]
        if banned and not self.skip_check_request_ip:
            network = ip_in_networks(self.request.remote_ip, banned)
            if network:
                app_log.warning("Blocking %s, of the banned network %s", self.request.remote_ip, network)
                raise web.HTTPError(403, f"Requests from {banned[network]} are not allowed")
        return None

    def set_default_headers(self) -> None:
        """The headers of `tornado_settings`, and the one that lets browsers send cache-control from elsewhere."""
        for header, value in self.settings.get("headers", {}).items():
            self.set_header(header, value)
        self.set_header("access-control-allow-headers", "cache-control")

    def get_current_user(self) -> Any:
        """The Hub's user, or `anonymous` when auth is not enabled."""
        return super().get_current_user() if self.settings["auth_enabled"] else "anonymous"

    def check_build_token(self, build_token: str | None, provider_spec: str) -> None:
        """Note whether the request has a build token; 403 when it has one that is not for it."""
        self.has_build_token = False
        if not build_token:
            return
        try:
            decoded = jwt.decode(
                build_token, key=self.settings["build_token_secret"], audience=provider_spec, algorithms=["HS256"]
            )
        except jwt.PyJWTError as wrong:
            app_log.error("Build token for %s is not valid: %s", provider_spec, wrong)
            raise web.HTTPError(403, "Invalid build token") from wrong
        origin = self.request.headers.get("origin")
        host = self.request.headers.get("host", "") if origin is None else urlparse(origin).netloc
        if decoded["origin"] != host:
            app_log.error("Build token for %s comes from another origin than %s", provider_spec, host)
            if self.settings["build_token_check_origin"]:
                raise web.HTTPError(403, "Invalid build token")
        self.has_build_token = True

    def check_rate_limit(self) -> None:
        """Count the request against its address, unless a user or a build token vouches for it; 429 when too many."""
        limiter = self.settings["rate_limiter"]
        known = self.settings["auth_enabled"] and self.current_user
        if limiter.limit == 0 or known or self.has_build_token:
            return
        try:
            window = limiter.increment(self.request.remote_ip)
        except RateLimitExceeded as exceeded:
            message = f"Rate limit exceeded. Try again in {limiter.period_seconds} seconds."
            raise web.HTTPError(429, message) from exceeded
        self.set_header("x-ratelimit-remaining", str(window["remaining"]))
        self.set_header("x-ratelimit-reset", str(window["reset"]))
        self.set_header("x-ratelimit-limit", str(limiter.limit))

    def get_spec_from_request(self, prefix: str) -> str:
        """What follows `prefix` in the path, still quoted: a quoted `/` is part of a repository's URL."""
        path: str = self.request.path
        return path[path.index(prefix) + len(prefix) + 1 :]

    def get_provider(self, provider_prefix: str, spec: str) -> Any:
        """The provider of that prefix for `spec`; raises what the provider raises when it cannot read the spec."""
        return self.settings["repo_providers"][provider_prefix](config=self.settings["traitlets_config"], spec=spec)

    def options(self, *_args: str) -> None:
        """Answer a browser's question before its request."""


class VersionHandler(BaseHandler):
    """`/versions`: the one answer that needs nothing else, hence the right probe."""

    log_success_debug = True
    skip_check_request_ip = True

    def set_default_headers(self) -> None:
        """Any page may ask."""
        self.set_header("Access-Control-Allow-Origin", "*")
        super().set_default_headers()

    async def get(self) -> None:
        """BinderHub's version, what builds, and that this is a stand-in."""
        info = self.settings["example_builder"].builder_info
        answer = {"builder_info": info, "binderhub": __version__, "stand_in": STAND_IN}
        if "build_image" in info:
            answer["builder"] = info["build_image"]
        self.set_header("Content-type", "application/json")
        self.write(json.dumps(answer))


class RepoProvidersHandler(BaseHandler):
    """`/api/repoproviders`: the providers, as a page would show them."""

    async def get(self) -> None:
        """A list with one object a provider."""
        self.set_header("Content-type", "application/json")
        self.write(json.dumps([provider.display_config for provider in self.settings["repo_providers"].values()]))
