"""Addresses of Git repositories and the credentials for them: what is well-formed, and which host it names."""

import re
import sys
import unicodedata
from collections.abc import MutableMapping
from typing import Any

LOGIN_IN_ADDRESS = (
    "The repository's address has a login in it. Leave it out. If the repository is private, ask the administrator of "
    "this service to configure Git credentials."
)
MALFORMED_ADDRESS = (
    "The repository's address is malformed. Give it as https://HOST/PATH, without spaces, backslashes or a query."
)
MALFORMED_REF = "The ref begins with a hyphen, as options of Git do. Ask for a branch, a tag or a commit."

# https://git-scm.com/docs/git-credential#IOFMT
CREDENTIAL_KEYS = (
    "protocol",
    "host",
    "path",
    "username",
    "password",
    "password_expiry_utc",
    "oauth_refresh_token",
    "url",
    "authtype",
    "credential",
    "ephemeral",
    "continue",
    "quit",
)
MALFORMED_CREDENTIALS = (
    "{} is malformed. Write it as lines of git-credential, such as username=USER and password=TOKEN, with \\n between "
    "them."
)

TOKEN_VARIABLES = (
    "GITHUB_ACCESS_TOKEN",
    "GITHUB_CLIENT_ID",
    "GITHUB_CLIENT_SECRET",
    "GITLAB_ACCESS_TOKEN",
    "GITLAB_PRIVATE_TOKEN",
)
TOKEN_TRAITS = ("access_token", "private_token", "client_id", "client_secret")
"""Traits of BinderHub's providers, which it sends to the API of a host."""
MALFORMED_TOKEN = "{} has a space or a line break in it. Remove it, also at the end."  # noqa: S105 - a sentence

_TOKEN = re.compile(r"[\x21-\x7e]*")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)(.*)", re.IGNORECASE)
_SCP = re.compile(r"([^/@]+)@([^/-][^/]*?):")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_CREDENTIAL = re.compile(f"(?:{'|'.join(CREDENTIAL_KEYS)})=[^\\x00-\\x1f\\x7f]+")


def validated(url: str, ref: str) -> str:
    """The address, its scheme in lower case. Raises ValueError with a sentence that does not repeat any of it.

    Clients disagree on addresses with backslashes, tabs or percent signs before the path, so these are refused. A
    user's name is no login where the scheme is ssh, whose key belongs to the administrator. Neither address nor ref,
    user nor host begins as an option does: git and ssh may get each as an argument.
    """
    if ref.startswith("-"):
        raise ValueError(MALFORMED_REF)
    if url.startswith("-"):
        raise ValueError(MALFORMED_ADDRESS)
    found = _ADDRESS.fullmatch(url)
    if not found:
        scp = _SCP.match(url)
        if scp and ":" not in scp[1] and not _FORBIDDEN.search(url):
            return url
        raise ValueError(LOGIN_IN_ADDRESS if "@" in unicodedata.normalize("NFKC", url) else MALFORMED_ADDRESS)
    scheme, authority, path = found.groups()
    # NFKC, since clients turn characters such as U+FF20 into @.
    user, at, host = unicodedata.normalize("NFKC", authority).replace("%40", "@").rpartition("@")
    if at and (scheme.lower() not in ("ssh", "git+ssh", "ssh+git") or re.search("^-|[:%]", user)):
        raise ValueError(LOGIN_IN_ADDRESS)
    if not authority and scheme.lower() not in ("http", "https") and not _FORBIDDEN.search(url):
        return f"{scheme.lower()}://{path}"  # file:///…, where an administrator allows that
    place = _AUTHORITY.fullmatch(host)
    # Git adds to the address, so that no server would see the query as such. It may be a token.
    if "?" in path:
        raise ValueError(MALFORMED_ADDRESS)
    if not place or not _is_host(place[1]) or int(place[2] or 1) not in range(1, 65536) or _FORBIDDEN.search(url):
        raise ValueError(MALFORMED_ADDRESS if not at else LOGIN_IN_ADDRESS)
    return f"{scheme.lower()}://{authority}{path}"


def has_login(address: str) -> bool:
    """Whether the address of an archive has a login in it."""
    found = _ADDRESS.fullmatch(address)
    return "@" in unicodedata.normalize("NFKC", found[2] if found else address).replace("%40", "@")


def _is_host(host: str) -> bool:
    plain = all(character.isalnum() or character in "-._" for character in host)
    return host.startswith("[") or (plain and not host.startswith("-"))


def host(url: str) -> str:
    """Host and port as `url` has them, in lower case; empty where the host is not written in ASCII.

    Clients map other characters to ASCII each in their own way, so that a host that looks like a listed one may be
    another.
    """
    found = _ADDRESS.fullmatch(url)
    authority = found[2] if found else ""
    return authority.lower() if _HOST.fullmatch(authority) else ""


def is_secure(url: str) -> bool:
    """Whether the connection is encrypted."""
    return url.lower().startswith("https://")


def are_credentials(text: str) -> bool:
    r"""Whether `text` is a whole login as `git credential` reads it: lines of key=value, or with \n between them."""
    lines = [line for line in text.replace("\\n", "\n").split("\n") if line]
    keys = {line.partition("=")[0] for line in lines}
    # Without a password, git asks for one, and its complaint shows the user's name, which may be a token.
    return (keys >= {"username", "password"} or keys >= {"authtype", "credential"}) and all(
        _CREDENTIAL.fullmatch(line) for line in lines
    )


def strip_tokens(environ: MutableMapping[str, str]) -> None:
    """Remove white space around the tokens that BinderHub's providers read from variables.

    A file from which somebody makes a Secret often ends with a line break. tornado refuses to send such a token, and
    its error, which visitors see, has the token in it. Ends the process where a token has such a character inside.
    """
    for name in TOKEN_VARIABLES:
        if name in environ:
            environ[name] = environ[name].strip()
            if not _TOKEN.fullmatch(environ[name]):
                sys.exit(MALFORMED_TOKEN.format(f"The variable {name}"))


def refuse_malformed_credentials(c: Any) -> None:  # noqa: ANN401 - traitlets' Config
    """End the process with a sentence where git_credentials or a token of any provider are malformed.

    SystemExit, since traitlets logs any other error of a configuration file and goes on without the rest of the file.
    """
    for section in sorted(c):
        for trait in TOKEN_TRAITS:
            token = c[section].get(trait) if hasattr(c[section], "get") else None
            if token and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
                sys.exit(MALFORMED_TOKEN.format(f"config.{section}.{trait}"))
        given = c[section].get("git_credentials") if hasattr(c[section], "get") else None
        if given and not (isinstance(given, str) and are_credentials(given)):
            sys.exit(MALFORMED_CREDENTIALS.format(f"config.{section}.git_credentials"))
