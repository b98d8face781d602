"""The application: its configuration, its pools of threads, its routes."""

import asyncio
import ipaddress
import logging
import os
import re
import secrets
from binascii import a2b_hex
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlparse

import kubernetes.client
import kubernetes.config
import tornado.ioloop
import tornado.log
import tornado.options
from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.web import Application as Routes
from traitlets import Bool, Bytes, Dict, Integer, Type, Unicode, Union, default, observe, validate
from traitlets.config import Application

from . import STAND_IN, __version__
from .base import RepoProvidersHandler, VersionHandler
from .build import BuildExecutor, KubernetesBuildExecutor, KubernetesCleaner
from .builder import BuildHandler
from .health import HealthHandler, KubernetesHealthHandler
from .log import log_request
from .metrics import MetricsHandler
from .ratelimit import RateLimiter
from .registry import DockerRegistry
from .repoproviders import GitHubRepoProvider, GitRepoProvider

# Settings that live on in BinderHub for old configurations, and the class that has them now under what name.
_MOVED = {
    "appendix": ("BuildExecutor", "appendix"),
    "push_secret": ("BuildExecutor", "push_secret"),
    "build_docker_host": ("KubernetesBuildExecutor", "docker_host"),
    "build_image": ("KubernetesBuildExecutor", "build_image"),
    "build_namespace": ("KubernetesBuildExecutor", "namespace"),
    "build_node_selector": ("KubernetesBuildExecutor", "node_selector"),
    "log_tail_lines": ("KubernetesBuildExecutor", "log_tail_lines"),
    "sticky_builds": ("KubernetesBuildExecutor", "sticky_builds"),
}


class BinderHub(Application):
    """BinderHub in api-only mode, as far as builds need it."""

    name = "binderhub"
    version = f"{__version__}. {STAND_IN}"
    description = STAND_IN
    aliases = {  # noqa: RUF012 - traitlets' way
        "log-level": "Application.log_level",
        "f": "BinderHub.config_file",
        "config": "BinderHub.config_file",
        "port": "BinderHub.port",
    }
    flags = {"debug": ({"BinderHub": {"debug": True}}, "Log everything.")}  # noqa: RUF012

    config_file = Unicode("binderhub_config.py", config=True, help="The configuration, a Python file.")
    port = Integer(8585, config=True, help="Where to listen.")
    base_url = Unicode("/", config=True, help="What all routes begin with.")
    debug = Bool(False, config=True, help="Log everything.")
    enable_api_only_mode = Bool(False, config=True, help="Allow build_only requests. There are no pages either way.")
    auth_enabled = Bool(False, config=True, help="Let only users of the Hub build.")
    hub_url = Unicode(config=True, help="The Hub's address.")
    hub_url_local = Unicode(config=True, help="The Hub's address from here; hub_url by default.")
    hub_api_token = Unicode(config=True, help="A token of the Hub; nothing here uses it.")
    cors_allow_origin = Unicode("", config=True, help="Origins whose pages may read the answers.")
    ban_networks = Dict(config=True, help="CIDR to the name of a network that is refused.")
    tornado_settings = Dict(config=True, help="Further settings of tornado, `headers` for one.")

    image_prefix = Unicode("", config=True, help="What names of images begin with: registry, project and more.")
    use_registry = Bool(True, config=True, help="Look for images in a registry, and push; else in the local daemon.")
    build_class = Type(KubernetesBuildExecutor, klass=BuildExecutor, config=True, help="What builds.")
    build_cleaner_class = Type(KubernetesCleaner, allow_none=True, config=True, help="What deletes old builds.")
    registry_class = Type(DockerRegistry, config=True, help="What looks for images.")
    health_handler_class = Type(HealthHandler, config=True, help="What answers /health.")
    repo_providers = Dict({"gh": GitHubRepoProvider, "git": GitRepoProvider}, config=True, help="Prefix to provider.")
    builder_required = Bool(True, config=True, help="Connect to Kubernetes at start, and clean up builds.")
    concurrent_build_limit = Integer(32, config=True, help="Builds at a time: half the threads of the build pool.")
    executor_threads = Integer(5, config=True, help="Threads for short calls that block.")
    build_cleanup_interval = Integer(60, config=True, help="Seconds between two runs of the cleaner.")
    build_token_check_origin = Bool(True, config=True, help="Refuse build tokens made for another origin.")
    build_token_expires_seconds = Integer(300, config=True, help="How long a build token is made to live.")
    build_token_secret = Union([Unicode(), Bytes()], config=True, help="Signs build tokens; hex or bytes.")

    appendix = Unicode(config=True, help="Moved to BuildExecutor.")
    push_secret = Unicode(allow_none=True, config=True, help="Moved to BuildExecutor.")
    build_docker_host = Unicode(config=True, help="Moved to KubernetesBuildExecutor.docker_host.")
    build_image = Unicode(config=True, help="Moved to KubernetesBuildExecutor.")
    build_namespace = Unicode(config=True, help="Moved to KubernetesBuildExecutor.namespace; still the cleaner's.")
    build_node_selector = Dict(config=True, help="Moved to KubernetesBuildExecutor.node_selector.")
    log_tail_lines = Integer(config=True, help="Moved to KubernetesBuildExecutor.")
    sticky_builds = Bool(config=True, help="Moved to KubernetesBuildExecutor.")

    @default("log_level")
    def _default_log_level(self) -> int:
        return logging.INFO

    @default("build_namespace")
    def _default_build_namespace(self) -> str:
        return os.environ.get("BUILD_NAMESPACE", "default")

    @default("health_handler_class")
    def _default_health_handler_class(self) -> type[HealthHandler]:
        return KubernetesHealthHandler if issubclass(self.build_class, KubernetesBuildExecutor) else HealthHandler

    @default("hub_url_local")
    def _default_hub_url_local(self) -> str:
        return self.hub_url

    @default("hub_api_token")
    def _default_hub_api_token(self) -> str:
        return os.environ.get("JUPYTERHUB_API_TOKEN", "")

    @default("build_token_secret")
    def _default_build_token_secret(self) -> bytes:
        given = os.environ.get("BINDERHUB_BUILD_TOKEN_SECRET")
        return a2b_hex(given) if given else secrets.token_bytes(32)

    @validate("build_token_secret")
    def _read_build_token_secret(self, proposal: Any) -> bytes:
        return a2b_hex(proposal.value) if isinstance(proposal.value, str) else proposal.value

    @validate("base_url")
    def _add_slashes(self, proposal: Any) -> str:
        return f"/{proposal.value.strip('/')}/".replace("//", "/")

    @validate("hub_url", "hub_url_local")
    def _add_slash(self, proposal: Any) -> str:
        return f"{proposal.value.rstrip('/')}/"

    @validate("ban_networks")
    def _read_networks(self, proposal: Any) -> dict[Any, str]:
        return {ipaddress.ip_network(cidr): name for cidr, name in proposal.value.items()}

    @observe(*_MOVED)
    def _pass_on(self, change: Any) -> None:
        owner, name = _MOVED[change.name]
        self.log.warning("BinderHub.%s is deprecated, use %s.%s", change.name, owner, name)
        self.config[owner][name] = change.new

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the options and the config file, connect, and make what the handlers share."""
        super().initialize(argv)
        self.load_config_file(self.config_file)
        if self.debug:
            self.log_level = logging.DEBUG
        tornado.options.options.logging = logging.getLevelName(int(self.log_level))
        tornado.log.enable_pretty_logging()
        self.log = tornado.log.app_log
        self.log.warning("%s", STAND_IN)
        if not self.enable_api_only_mode:
            self.log.warning("enable_api_only_mode is off: the stand-in has no pages, and refuses build_only requests")
        try:
            AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
        except ImportError as missing:
            self.log.warning("Could not load pycurl: %s", missing)
        if self.builder_required:
            try:
                kubernetes.config.load_incluster_config()
            except kubernetes.config.ConfigException:
                kubernetes.config.load_kube_config()
            self.kube_client = kubernetes.client.CoreV1Api()
        # A build takes two threads: one watches it, one reads its log.
        self.build_pool = ThreadPoolExecutor(self.concurrent_build_limit * 2)
        self.executor = ThreadPoolExecutor(self.executor_threads)
        self.tornado_app = Routes(self._routes(), **self._settings())

    def _settings(self) -> dict[str, Any]:
        settings = {
            **self.tornado_settings,
            "auth_enabled": self.auth_enabled,
            "ban_networks": self.ban_networks,
            "base_url": self.base_url,
            "build_class": self.build_class,
            "build_pool": self.build_pool,
            "build_token_check_origin": self.build_token_check_origin,
            "build_token_secret": self.build_token_secret,
            "cookie_secret": secrets.token_bytes(32),
            "debug": self.debug,
            "enable_api_only_mode": self.enable_api_only_mode,
            "example_builder": self.build_class(parent=self),
            "executor": self.executor,
            "image_prefix": self.image_prefix,
            "log_function": log_request,
            "rate_limiter": RateLimiter(parent=self),
            "registry": self.registry_class(parent=self) if self.use_registry else None,
            "repo_providers": self.repo_providers,
            "traitlets_config": self.config,
            "traitlets_parent": self,
            "use_registry": self.use_registry,
        }
        if self.cors_allow_origin:
            headers = {**settings.get("headers", {}), "Access-Control-Allow-Origin": self.cors_allow_origin}
            settings["headers"] = headers
        return settings

    def _routes(self) -> list[Any]:
        below = re.escape(self.base_url)
        routes: list[Any] = [
            (rf"{below}metrics", MetricsHandler),
            (rf"{below}versions", VersionHandler),
            (rf"{below}build/([^/]+)/(.+)", BuildHandler),
            (rf"{below}health", self.health_handler_class, {"hub_url": self.hub_url_local}),
            (rf"{below}api/repoproviders", RepoProvidersHandler),
        ]
        if self.auth_enabled:
            given = os.environ.get("JUPYTERHUB_OAUTH_CALLBACK_URL") or f"{self.base_url}oauth_callback"
            routes.append((re.escape(urlparse(given).path), HubOAuthCallbackHandler))
        return routes

    async def watch_builders(self) -> None:
        """Run the cleaner now and every build_cleanup_interval, each time a new one, in a thread; for ever."""
        while self.build_cleaner_class:
            cleaner = self.build_cleaner_class(kube=self.kube_client, namespace=self.build_namespace, parent=self)
            try:
                await asyncio.wrap_future(self.executor.submit(cleaner.cleanup))
            except Exception:
                self.log.exception("Failed to cleanup builders")
            await asyncio.sleep(self.build_cleanup_interval)

    def start(self) -> None:
        """Listen, clean, and serve until the process ends."""
        self.log.info("BinderHub (stand-in) starting on port %i", self.port)
        self.http_server = HTTPServer(self.tornado_app, xheaders=True)
        self.http_server.listen(self.port)
        if self.builder_required:
            self._cleaning = asyncio.ensure_future(self.watch_builders())
        tornado.ioloop.IOLoop.current().start()


main = BinderHub.launch_instance
