"""From the path of a request to a repository and a commit: `git` for any URL, `gh` for GitHub's API."""

import asyncio
import json
import os
import re
import time
from typing import Any, ClassVar
from urllib.parse import unquote, urlparse

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from traitlets import List, Set, Unicode, default
from traitlets.config import LoggingConfigurable

_COMMIT = re.compile("[0-9a-f]{40}")
_SSH = re.compile(r"([\w\-]+@[\w\-.]+):(.+)")


class RepoProvider(LoggingConfigurable):
    """One request's repository and ref. Specs are matched against the patterns from their start, whatever the case."""

    name = Unicode(help="What people and metrics call the provider.")
    spec = Unicode(help="What follows the prefix in the path, still quoted.")
    allowed_specs: List[str] = List(config=True, help="When there are any, only specs that match one are built.")
    banned_specs: List[str] = List(config=True, help="Specs that match one are never built.")
    git_credentials = Unicode("", config=True, help="Handed to the build, in the format of git-credential.")
    unresolved_ref = Unicode(help="The ref as it was asked for.")
    display_config: ClassVar[dict[str, Any]] = {}

    def is_banned(self) -> bool:
        """Whether configuration forbids this spec."""

        def matches(patterns: list[str]) -> bool:
            return any(re.match(pattern, self.spec, re.IGNORECASE) for pattern in patterns)

        return matches(self.banned_specs) or bool(self.allowed_specs and not matches(self.allowed_specs))

    def get_repo_url(self) -> str:
        """What git can clone."""
        raise NotImplementedError

    def get_build_slug(self) -> str:
        """The text that names of images and pods are made from."""
        raise NotImplementedError

    async def get_resolved_ref(self) -> str | None:
        """The commit, or None when the repository has no such ref; raises when the repository cannot be asked."""
        raise NotImplementedError


class GitRepoProvider(RepoProvider):
    """`<quoted URL>/<ref>`."""

    name = Unicode("Git")
    display_config: ClassVar[dict[str, Any]] = {
        "displayName": "Git repository",
        "id": "git",
        "spec": {"validateRegex": r"[^/]+/.+"},
        "repo": {
            "label": "Arbitrary git repository URL",
            "placeholder": "example: http://git.example.com/repo",
            "urlEncode": True,
        },
        "ref": {"enabled": True, "default": "HEAD"},
    }
    allowed_protocols = Set(Unicode(), {"http", "https", "git", "ssh"}, config=True, help="Schemes a URL may have.")

    def __init__(self, **traits: Any) -> None:
        """Raise ValueError when the spec is not of the form, or its URL has a scheme that is not allowed."""
        super().__init__(**traits)
        quoted, ref = self.spec.split("/", 1)
        self.repo = unquote(quoted)
        ssh = _SSH.match(self.repo)
        if ssh:
            self.repo = f"ssh://{ssh[1]}/{ssh[2]}"
        scheme = urlparse(self.repo).scheme
        if scheme not in self.allowed_protocols:
            allowed = ", ".join(self.allowed_protocols)
            raise ValueError(f"Unsupported git url {self.repo}, protocol {scheme} not in {allowed}")
        self.unresolved_ref = unquote(ref)

    def get_repo_url(self) -> str:
        """The URL, unquoted."""
        return self.repo

    def get_build_slug(self) -> str:
        """The URL, unquoted."""
        return self.repo

    async def get_resolved_ref(self) -> str | None:
        """The ref itself when it begins as a commit does, which nobody checks; else what `git ls-remote` says.

        There is no time-out.
        """
        if _COMMIT.match(self.unresolved_ref):
            return self.unresolved_ref
        process = await asyncio.create_subprocess_exec(
            "git",
            "ls-remote",
            "--",
            self.repo,
            self.unresolved_ref,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        listed, errors = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"Unable to run git ls-remote to get the `resolved_ref`: {errors.decode()}")
        return listed.decode().split(None, 1)[0] if listed else None


class GitHubRepoProvider(RepoProvider):
    """`<owner>/<name>/<ref>` at GitHub, or at the `hostname` that is set."""

    name = Unicode("GitHub")
    display_config: ClassVar[dict[str, Any]] = {
        "displayName": "GitHub",
        "id": "gh",
        "spec": {"validateRegex": r"[^/]+/[^/]+/.+"},
        "detect": {"regex": "^(https?://github.com/)?(?<repo>.*[^/])/?"},
        "repo": {
            "label": "GitHub repository name or URL",
            "placeholder": "example: binder-examples/requirements or https://github.com/binder-examples/requirements",
            "urlEncode": False,
        },
        "ref": {"enabled": True, "default": "HEAD"},
    }
    hostname = Unicode("github.com", config=True, help="Where repositories are cloned from.")
    api_base_path = Unicode("https://api.{hostname}", config=True, help="Where refs are asked for.")
    access_token = Unicode(config=True, help="For the API and for cloning; $GITHUB_ACCESS_TOKEN by default.")

    @default("access_token")
    def _default_access_token(self) -> str:
        return os.environ.get("GITHUB_ACCESS_TOKEN", "")

    @default("git_credentials")
    def _default_git_credentials(self) -> str:
        return rf"username={self.access_token}\npassword=x-oauth-basic" if self.access_token else ""

    def __init__(self, **traits: Any) -> None:
        """Raise ValueError when the spec has not three parts."""
        super().__init__(**traits)
        parts = self.spec.split("/", 2)
        if len(parts) != 3:
            hint = f' Did you mean "{self.spec}/HEAD"?' if len(parts) == 2 else ""
            raise ValueError(f'Spec is not of the form "user/repo/ref", provided: "{self.spec}".{hint}')
        self.user, repo, self.unresolved_ref = parts
        self.repo = repo.removesuffix(".git")

    def get_repo_url(self) -> str:
        """The repository's address at the host, over HTTPS."""
        return f"https://{self.hostname}/{self.user}/{self.repo}"

    def get_build_slug(self) -> str:
        """Owner and name."""
        return f"{self.user}-{self.repo}"

    async def get_resolved_ref(self) -> str | None:
        """The commit that the API gives for the ref."""
        base = self.api_base_path.format(hostname=self.hostname)
        url = f"{base}/repos/{self.user}/{self.repo}/commits/{self.unresolved_ref}"
        headers = {"Authorization": f"token {self.access_token}"} if self.access_token else {}
        try:
            answer = await AsyncHTTPClient().fetch(HTTPRequest(url, headers=headers, user_agent="BinderHub"))
        except HTTPError as refused:
            if refused.code in (404, 422):
                return None
            headers = refused.response.headers if refused.response else {}
            if refused.code == 403 and headers.get("x-ratelimit-remaining") == "0":
                minutes = 5 * (1 + (int(headers["x-ratelimit-reset"]) - int(time.time())) // 60 // 5)
                raise ValueError(f"GitHub rate limit exceeded. Try again in {minutes} minutes.") from refused
            raise
        return json.loads(answer.body).get("sha")
