"""The provider `git`: any repository at an HTTP address, with limits, and with credentials for listed hosts only.

It replaces GitRepoProvider as the entry `git` of BinderHub.repo_providers, and uses its configuration.
"""

import asyncio
import contextlib
import os
import re
import signal
from typing import Any
from urllib.parse import unquote, urlsplit

from binderhub.repoproviders import GitRepoProvider
from traitlets import Float, List, Set, TraitError, Unicode, validate

from binderhub_service.repo_providers import git_address
from binderhub_service.repo_providers.lookup_limits import lookup_place
from binderhub_service.service_log import mask

MAX_OUTPUT = 64 * 1024
MAX_MEMORY_KIB = 1024 * 1024
"""Address space of `git ls-remote`: a compressed list of refs can expand to a thousand times its size."""
_GIT = f'ulimit -v {MAX_MEMORY_KIB} && exec git "$@"'

# As in BinderHub: a ref that looks like a commit is not looked up.
_COMMIT = re.compile("[0-9a-f]{40}")
_LISTED_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
# https://git-scm.com/docs/git-check-ref-format: no ref has these, and `git ls-remote` reads some of them as patterns.
_IN_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
_CREDENTIAL = "BINDERHUB_SERVICE_GIT_CREDENTIAL"
_KINDS = ("heads/", "tags/", "")
"""Branches before tags, as BinderHub finds them; without a kind, `pull/7/head` is the head of a pull request."""
_NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "LC_ALL": "C"}
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
            names = possible_names(self.unresolved_ref)
            if not names:
                return None
            async with lookup_place():
                listed = await self._ls_remote(names)
            commit = exact_match(listed, names)
            if not commit:
                return None
            if not _LISTED_COMMIT.fullmatch(commit):
                raise ValueError("The Git server answers with something that is not a commit.")
            found = commit
        self.resolved_ref = found
        return found

    async def _ls_remote(self, names: list[str]) -> str:
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
            *names,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self._login(), **_NO_QUESTIONS},
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

    def _login(self) -> dict[str, str]:
        """Variables that let git send the credentials to the repository's own host, and to no other host."""
        if not self.git_credentials:
            return {}
        url = urlsplit(self.repo)
        helper = f'!f() {{ test "$1" = get && printf "%s\\n" "${_CREDENTIAL}"; }}; f'
        return {
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": "",
            "GIT_CONFIG_KEY_1": f"credential.{url.scheme}://{url.netloc}.helper",
            "GIT_CONFIG_VALUE_1": helper,
            # Providers write the two characters \n where git expects a line break.
            _CREDENTIAL: self.git_credentials.replace("\\n", "\n").strip(),
        }

    def _options(self) -> list[str]:
        allowed = sorted(name for name in self.allowed_protocols if _PROTOCOL.fullmatch(name))
        protocols = [f"protocol.{name}.allow=always" for name in allowed]
        options = ["protocol.allow=never", *protocols, "http.followRedirects=initial"]
        return [word for option in options for word in ("-c", option)]


def possible_names(ref: str) -> list[str]:
    """The full names that `ref` can have, in the order in which they count; empty if no ref can be called that.

    `git ls-remote` alone lists all refs that end with the given words: `dev/main` as well as `main`.
    """
    if _IN_NO_REF.search(ref):
        return []
    return [ref] if ref == "HEAD" or ref.startswith("refs/") else [f"refs/{kind}{ref}" for kind in _KINDS]


def exact_match(listed: str, names: list[str]) -> str:
    """The commit of the first of these names in the output of `git ls-remote`; empty if it has none of them."""
    lines = [line.split("\t", 1) for line in listed.splitlines()]
    found = {line[1]: line[0] for line in lines if len(line) == 2}
    return next((found[name] for name in names if name in found), "")


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
