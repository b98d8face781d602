"""`/health`: whether the services that BinderHub counts on answer. Without a reachable Hub it is never healthy."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.log import app_log

from .base import BaseHandler
from .names import image_basename_and_tag
from .utils import KUBE_REQUEST_TIMEOUT

Check = Coroutine[Any, Any, dict[str, Any]]


class HealthHandler(BaseHandler):
    """Registry and Hub."""

    log_success_debug = True
    skip_check_request_ip = True

    def initialize(self, hub_url: str = "") -> None:
        """Remember where the Hub is."""
        super().initialize()
        self.hub_url = hub_url

    def get_checks(self) -> dict[str, Check]:
        """The checks by the name of what they ask."""
        checks = {"JupyterHub API": self._answers(self._ask_hub())}
        if self.settings["use_registry"]:
            checks = {"Docker registry": self._answers(self._ask_registry()), **checks}
        return checks

    async def get(self) -> None:
        """`{"ok": …, "checks": […]}`, with 503 when one of the checks that count fails."""
        checks = self.get_checks()
        results = [
            {"service": service, **result}
            for service, result in zip(checks, await asyncio.gather(*checks.values()), strict=True)
        ]
        healthy = all(result["ok"] for result in results if not result.get("_ignore_failure"))
        if not healthy:
            self.set_status(503)
        if self.request.method != "HEAD":
            self.write({"ok": healthy, "checks": results})

    head = get

    async def _answers(self, question: Coroutine[Any, Any, None]) -> dict[str, Any]:
        try:
            await question
        except Exception:
            app_log.exception("A health check failed")
            return {"ok": False}
        return {"ok": True}

    async def _ask_hub(self) -> None:
        await AsyncHTTPClient().fetch(self.hub_url + "hub/api/health", request_timeout=3)

    async def _ask_registry(self) -> None:
        name, tag = image_basename_and_tag(self.settings["image_prefix"] + "some-image-name:12345")
        await self.settings["registry"].get_image_manifest(name, tag)


class KubernetesHealthHandler(HealthHandler):
    """Registry, Hub, and the number of pods, which is information and never a failure."""

    def get_checks(self) -> dict[str, Check]:
        """The checks by the name of what they ask."""
        return {**super().get_checks(), "Pod quota": self._count_pods()}

    async def _count_pods(self) -> dict[str, Any]:
        users, builds = await asyncio.gather(
            self._count("app=jupyterhub,component=singleuser-server"), self._count("component=binderhub-build")
        )
        counts = {"total_pods": users + builds, "build_pods": builds, "user_pods": users, "quota": None}
        return {**counts, "ok": True, "_ignore_failure": True}

    async def _count(self, selector: str) -> int:
        builder = self.settings["example_builder"]
        listing = self.settings["executor"].submit(
            builder.api.list_namespaced_pod,
            builder.namespace,
            label_selector=selector,
            _preload_content=False,
            _request_timeout=KUBE_REQUEST_TIMEOUT,
        )
        response = await asyncio.wrap_future(listing)
        return len(json.loads(response.read())["items"])
