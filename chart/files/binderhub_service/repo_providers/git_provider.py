"""The provider `git`: any repository at an HTTP address, with limits, and with credentials for listed hosts only.

It replaces GitRepoProvider as the entry `git` of BinderHub.repo_providers, and uses its configuration.
"""

import asyncio
import contextlib
import os
import re
import signal
from typing import Any
from urllib.parse import unquote

from binderhub.repoproviders import GitRepoProvider
from traitlets import Float, List, Set, TraitError, Unicode, validate

from binderhub_service.repo_providers import git_address
from binderhub_service.repo_providers.lookups import lookup_place
from binderhub_service.service_log import mask

MAX_OUTPUT = 64 * 1024
MAX_MEMORY_KIB = 1024 * 1024
"""Address space of `git ls-remote`: a compressed list of refs can expand to a thousand times its size."""
_GIT = f'ulimit -v {MAX_MEMORY_KIB} && exec git "$@"'

# As in BinderHub: a ref that looks like a commit is not looked up.
_COMMIT = re.compile("[0-9a-f]{40}")
_PROTOCOL = re.compile(r"[a-z0-9+-]+")


class ServiceGitRepoProvider(GitRepoProvider):
    """Refuses logins in addresses, limits `git ls-remote`, and gives git_credentials only to their hosts."""

    # Attributes of BinderHub's class.
    repo: str
    unresolved_ref: str
    resolved_ref: str
    git_credentials: str

    allowed_protocols = Set(
        Unicode(), default_value={"http", "https"}, config=True, help="Protocols that an address may have."
    )
    credential_hosts = List(
        Unicode(),
        config=True,
        help="""
        Hosts that git_credentials are for, each with its port where the address has one.

        They are given to builds of repositories on these hosts only, and only over https unless the entry begins with
        http://. Names that are not ASCII have to be written as the DNS has them (xn--…).
        """,
    )
    ls_remote_timeout = Float(30.0, config=True, help="Seconds that `git ls-remote` may take.")

    @validate("credential_hosts")
    def _check_credential_hosts(self, proposal: Any) -> Any:  # noqa: ANN401 - traitlets'
        for entry in proposal.value:
            if not git_address.host(_address(entry)):
                raise TraitError(
                    "An entry of credential_hosts is no host. Write it as git.example.org, or with a port."
                )
        return proposal.value

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - BinderHub's signature
        """Raise ValueError, with a sentence for the visitor, where the spec's address cannot be built."""
        quoted, slash, ref = str(kwargs.get("spec", "")).partition("/")
        if not slash or not ref:
            raise ValueError("The request names no ref. Ask for git/QUOTED_URL/REF, for example git/…/HEAD.")
        address = git_address.validated(unquote(quoted), ref)
        try:
            super().__init__(*args, **kwargs)
        except TraitError:
            raise
        except ValueError:
            allowed = ", ".join(sorted(self.allowed_protocols))
            raise ValueError(
                f"The repository's protocol is not allowed. Use an address with one of: {allowed}."
            ) from None
        if "://" in address:
            self.repo = address
        if self.git_credentials and not self._may_have_credentials():
            self.git_credentials = ""

    def _may_have_credentials(self) -> bool:
        """Whether git_credentials are for the repository's host."""
        if not git_address.are_credentials(self.git_credentials):
            self.log.error("No Git credentials are used: %s", _malformed("git_credentials"))
            return False
        host = git_address.host(self.repo)
        return bool(host) and any(
            host == git_address.host(_address(entry))
            and (git_address.is_secure(self.repo) or entry.lower().startswith("http://"))
            for entry in self.credential_hosts
        )

    async def get_resolved_ref(self) -> str | None:
        """The commit of the ref, or None if there is no such ref. Raises if the repository cannot be read."""
        if hasattr(self, "resolved_ref"):
            return self.resolved_ref
        found = self.unresolved_ref
        if not _COMMIT.fullmatch(found):
            async with lookup_place():
                listed = await self._ls_remote()
            if not listed:
                return None
            found = listed.split(None, 1)[0]
            if not _COMMIT.fullmatch(found):
                raise ValueError("The Git server answers with something that is not a commit.")
        self.resolved_ref = found
        return found

    async def _ls_remote(self) -> str:
        """The beginning of the output of `git ls-remote`. Raises RuntimeError, with a sentence for the visitor."""
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            _GIT,
            "git",
            *self._options(),
            "ls-remote",
            "--",
            self.repo,
            self.unresolved_ref,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "LC_ALL": "C"},
            # A group of its own: git's helpers end with it.
            start_new_session=True,
        )
        try:
            listed, errors, code = await asyncio.wait_for(
                asyncio.gather(_beginning(process.stdout), _beginning(process.stderr), process.wait()),
                self.ls_remote_timeout,
            )
        except BaseException as ended:
            await _end(process)
            if isinstance(ended, TimeoutError):
                raise RuntimeError(
                    f"The repository's host did not answer within {self.ls_remote_timeout:g} s. Try again later."
                ) from None
            raise
        if code:
            raise RuntimeError(f"The repository cannot be read: {_reason(errors)}")
        return listed

    def _options(self) -> list[str]:
        allowed = sorted(name for name in self.allowed_protocols if _PROTOCOL.fullmatch(name))
        protocols = [f"protocol.{name}.allow=always" for name in allowed]
        options = ["protocol.allow=never", *protocols, "http.followRedirects=initial"]
        return [word for option in options for word in ("-c", option)]


async def _beginning(stream: asyncio.StreamReader | None) -> str:
    """The first bytes of the stream, read to its end."""
    kept = b""
    while stream and (piece := await stream.read(MAX_OUTPUT)):
        kept += piece[: MAX_OUTPUT - len(kept)]
    return kept.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _reason(errors: str) -> str:
    """Git's last complaint, as one short line of printable characters."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    line = (fatal[:1] or lines[-1:] or ["git gives no reason"])[0]
    printable = "".join(character if character.isprintable() else " " for character in line)
    if "Out of memory" in printable:
        return "its list of refs is too long."
    if "could not read Username" in printable or "could not read Password" in printable:
        return f"it does not exist, or it is private ({mask(printable)[:300]})."
    return f"{mask(printable)[:300].rstrip('.')}."


def _address(entry: str) -> str:
    return entry if "://" in entry else f"https://{entry}"


def _malformed(name: str) -> str:
    return git_address.MALFORMED_CREDENTIALS.format(name)
