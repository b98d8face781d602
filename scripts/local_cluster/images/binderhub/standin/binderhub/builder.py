"""`/build`: from a request to an event stream that tells how its build goes."""

import asyncio
import json
import time
from concurrent.futures import Future
from http.client import responses
from typing import Any

import docker
from tornado.httpclient import HTTPClientError
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.log import app_log
from tornado.queues import Queue
from tornado.web import Finish, HTTPError, authenticated

from .base import BaseHandler
from .build import BuildExecutor, ProgressEvent
from .metrics import BUILD_COUNT, BUILD_TIME, BUILDS_INPROGRESS
from .names import build_name, image_basename_and_tag, image_name

Kind = ProgressEvent.Kind
Status = ProgressEvent.BuildStatus


class BuildHandler(BaseHandler):
    """One request. The answer is always 200 and an event stream; what goes wrong is an event too."""

    KEEPALIVE_INTERVAL = 25
    """Seconds between comments that keep proxies from closing a quiet stream."""

    build: BuildExecutor | None = None

    def set_default_headers(self) -> None:
        """The headers of an event stream."""
        super().set_default_headers()
        self.set_header("content-type", "text/event-stream")
        self.set_header("cache-control", "no-cache")

    async def prepare(self) -> None:
        """Refuse a client that does not say that it reads event streams; its Accept is split at `;` alone."""
        super().prepare()
        accepted = {part.strip().lower() for part in self.request.headers.get("Accept", "").split(";")}
        if "text/event-stream" not in accepted:
            raise HTTPError(400, "Missing Accept header: text/event-stream")

    def redirect(self, *_args: Any, **_options: Any) -> None:
        """Refuse: a client of an event stream cannot follow to a login page."""
        raise HTTPError(403)

    def send_error(self, status_code: int, **options: Any) -> None:
        """Tell what was raised as the last event."""
        raised = (options.get("exc_info") or (None, None))[1]
        message = ""
        if isinstance(raised, HTTPError) and raised.log_message:
            message = raised.log_message % raised.args
        message = message or responses.get(status_code, "Unknown HTTP Error")
        event = {"phase": "failed", "status_code": status_code, "message": f"{message}\n"}
        self.write(f"data: {json.dumps(event)}\n\n")
        self.finish()

    def on_finish(self) -> None:
        """Stop the keepalives and tell the build that nobody watches any more."""
        self._alive = False
        if self.build:
            self.build.stop()

    async def emit(self, event: dict[str, Any] | str) -> None:
        """Send one event; that the client is gone shows only here, and ends the request."""
        try:
            self.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
            await self.flush()
        except StreamClosedError as closed:
            app_log.warning("Stream closed while handling %s, ip=%s", self.request.path, self.request.remote_ip)
            raise Finish from closed

    async def fail(self, message: str) -> None:
        """Send a `failed` event."""
        await self.emit({"phase": "failed", "message": f"{message}\n"})

    async def keep_alive(self) -> None:
        """Send comments until the request is over."""
        self._alive = True
        while True:
            await asyncio.sleep(self.KEEPALIVE_INTERVAL)
            if not self._alive:
                return
            try:
                self.write(":keepalive\n\n")
                await self.flush()
            except (StreamClosedError, RuntimeError):
                return

    @authenticated
    async def get(self, provider_prefix: str, _unquoted_spec: str) -> None:
        """Answer from the registry, or build and tell how it goes."""
        spec = self.get_spec_from_request(f"/build/{provider_prefix}")
        self.check_build_token(self.get_argument("build_token", None), f"{provider_prefix}/{spec}")
        self.check_rate_limit()
        if provider_prefix not in self.settings["repo_providers"]:
            await self.fail(f"No provider found for prefix {provider_prefix}")
            return
        self._keepalives = asyncio.create_task(self.keep_alive())
        spec = spec.rstrip("/")
        found = await self._resolve(provider_prefix, spec)
        if not found:
            return
        provider, ref = found
        slug = provider.get_build_slug()
        self.image_name = image_name(self.settings["image_prefix"], slug, ref)
        image_found = await self._is_there(self.image_name)
        build_only = self._get_build_only()
        if image_found:
            found_event = {"phase": "ready", "message": "Done! Found built image\n"}
            if not build_only:
                found_event = {"phase": "built", "message": "Found built image, launching...\n"}
            await self.emit({**found_event, "imageName": self.image_name})
        else:
            build = await self._new_build(provider, build_name(slug, ref), ref)
            with BUILDS_INPROGRESS.track_inprogress():
                failed = await self._follow(build, build_only, {"provider": provider.name, "repo": build.repo_url})
            if failed and not build_only:
                await asyncio.sleep(60)  # a client that reconnects when the stream ends would build again
                return
        if not build_only:
            await self._launch()

    async def _resolve(self, prefix: str, spec: str) -> tuple[Any, str] | None:
        """The provider and the commit, or None after a `failed` event."""
        try:
            provider = self.get_provider(prefix, spec=spec)
        except Exception as wrong:
            app_log.exception("Failed to get provider for %s:%s", prefix, spec)
            await self.fail(str(wrong))
            return None
        if provider.is_banned():
            message = f"Sorry, {spec} is not allowed to launch. Please contact admins for more info!"
            await self.emit({"phase": "failed", "message": message})
            return None
        try:
            ref = await provider.get_resolved_ref()
        except Exception as wrong:
            await self.fail(f"Error resolving ref for {prefix}:{spec}: {wrong}")
            return None
        if ref is None:
            hint = "Double check your URL and that your repo is public."
            await self.fail(f"Could not resolve ref for {prefix}:{spec}. {hint}")
            return None
        return provider, ref

    async def _is_there(self, name: str) -> bool:
        """Whether the image exists; after three errors of the registry it is taken for missing."""
        if not self.settings["use_registry"]:
            try:
                docker.from_env(version="auto").images.get(name)
            except docker.errors.ImageNotFound:
                return False
            return True
        for _ in range(3):
            try:
                return bool(await self.settings["registry"].get_image_manifest(*image_basename_and_tag(name)))
            except HTTPClientError:
                app_log.exception("Failed to get image manifest for %s", name)
        return False

    def _get_build_only(self) -> bool:
        wanted = self.get_query_argument("build_only", "").lower() == "true"
        if wanted and not self.settings["enable_api_only_mode"]:
            message = "Building but not launching is not permitted when the API only mode was not enabled"
            raise HTTPError(400, f"{message} by setting `enable_api_only_mode` to True. ")
        return wanted

    async def _new_build(self, provider: Any, name: str, ref: str) -> BuildExecutor:
        build: BuildExecutor = self.settings["build_class"](
            parent=self.settings["traitlets_parent"],
            q=Queue(),
            name=name,
            repo_url=provider.get_repo_url(),
            ref=ref,
            image_name=self.image_name,
            git_credentials=provider.git_credentials,
        )
        if self.settings["use_registry"]:
            registry = self.settings["registry"]
            credentials = await registry.get_credentials(*image_basename_and_tag(self.image_name))
            if credentials:
                build.registry_credentials = credentials
        else:
            build.push_secret = ""
        self.build = build
        return build

    async def _follow(self, build: BuildExecutor, build_only: bool, labels: dict[str, str]) -> bool:
        """Run the build and emit what it reports until it is BUILT or one of its calls raises; whether it failed.

        FAILED ends nothing. What is still queued when a call raises is not sent.
        """
        done = failed = False
        started = time.perf_counter()

        def check_result(call: Future[None]) -> None:  # runs in the build's thread
            nonlocal done, failed
            if call.exception() is None:
                return
            app_log.error("Build task failed", exc_info=call.exception())
            done = failed = True
            message = "Unhandled error watching for build events. Please try again.\n"
            # Also wakes the loop below, which may sleep on an empty queue.
            build.progress(Kind.LOG_MESSAGE, json.dumps({"phase": Status.FAILED.value, "message": message}))

        def count(status: str) -> None:
            BUILD_TIME.labels(status=status).observe(time.perf_counter() - started)
            BUILD_COUNT.labels(status=status, **labels).inc()

        pool = self.settings["build_pool"]
        submitted = pool.submit(build.submit)
        submitted.add_done_callback(check_result)
        IOLoop.current().add_callback(lambda: submitted)
        await self.emit({"phase": "waiting", "message": "Waiting for build to start...\n"})
        logs = None
        while not done:
            progress = await build.q.get()
            event: dict[str, Any] | str
            if progress.kind == Kind.LOG_MESSAGE:
                event = line = progress.payload
                if json.loads(line).get("phase") in ("failure", "failed"):
                    failed = True
                    count("failure")
            elif progress.payload == Status.PENDING:
                continue
            elif progress.payload == Status.RUNNING:
                if logs is None:
                    logs = pool.submit(build.stream_logs)
                    logs.add_done_callback(check_result)
                continue
            elif progress.payload == Status.BUILT:
                done = True
                count("success")
                phase, message = (
                    ("ready", "Done! Image built\n") if build_only else ("built", "Built image, launching...\n")
                )
                event = {"phase": phase, "message": message, "imageName": self.image_name}
            else:
                event = {"phase": progress.payload.value}
            await self.emit(event)
        return failed

    async def _launch(self) -> None:
        await self.emit({"phase": "launching", "message": "Launching server...\n"})
        raise HTTPError(500, "This stand-in for BinderHub launches nothing: ask with build_only=true")
