"""What git, registries and builds print when something fails, and the failure code of each."""

import re
from collections.abc import Iterable

_DISK_FULL = re.compile(r"No space left on device|no space left on device|[Dd]isk quota exceeded")
_LFS = (
    # The first is what the host says; git-lfs prints the second for each file, and Git adds more lines.
    re.compile(r"batch response: |LFS: |data quota"),
    re.compile(r"Smudge error|smudge filter lfs failed"),
)
_SUBMODULE = re.compile(
    r"clone of '(?P<url>[^']*)' into submodule path '(?P<cloned>[^']*)' failed"
    r"|submodule path '(?P<path>[^']*)'|path '(?P<unnamed>[^']*)' in \.gitmodules"
)
_OF_SUBMODULE = {"BHS103": "BHS110", "BHS104": "BHS110", "BHS106": "BHS110"}
"""Codes whose advice is about the repository itself, and the code for the same failure of a submodule."""
_GIT = (
    (
        "BHS106",
        r"Failed to check out ref|reference is not a tree|not our ref|couldn't find remote ref"
        r"|did not match any file|Could not parse object|unknown revision|bad object|did not contain [0-9a-f]{40}",
    ),
    (
        "BHS104",
        r"Authentication failed|could not read (?:Username|Password)|terminal prompts disabled|Access denied"
        r"|returned error: 40[134]|Permission denied \(publickey|[Rr]epository (?:'[^']*' )?not found"
        r"|does not appear to be a git repository",
    ),
    (
        "BHS107",
        r"SSL certificate (?:problem|verif)|SSL: (?:no alternative )?certificate subject name"
        r"|server (?:certificate )?verification failed|CERTIFICATE_VERIFY_FAILED",
    ),
    (
        "BHS105",
        r"Could not resolve host|Connection refused|[Tt]imed out|Failed to connect|Couldn't connect"
        r"|Network is unreachable|No route to host|returned error: (?:5\d\d|429)"
        r"|Empty reply from server|Connection reset|early EOF",
    ),
)
_GIT_REASON = re.compile(r"(?:fatal|error): ")

_WORD = re.compile(r"[^\s\"'\[\](){}<>,]+")
# The first that matches counts. Names of images and addresses are left out of the text before, because a visitor
# chooses them. A number alone proves nothing: versions and sizes contain numbers.
_PUSH = (
    ("BHS605", r"x509: |certificate signed by unknown authority|tls: failed to verify|HTTP response to HTTPS client"),
    ("BHS602", r"HTTP 413\b|\b413 [A-Z]|[Ee]ntity [Tt]oo [Ll]arge|\bsize invalid\b"),
    ("BHS603", r"HTTP 429\b|\b429 [A-Z]|(?i:too ?many ?requests|rate limit|rate exceeded)"),
    # Amazon ECR, Google Artifact Registry, Harbor, Azure, Quay.
    (
        "BHS610",
        r"(?i:immutab|cannot be overwritten|does not allow updating|tag \S+ already exists|TAG_?ALREADY_?EXISTS"
        r"|tag is locked)",
    ),
    (
        "BHS612",
        r"(?i:quota|storage (?:limit|space)|upper limit of|insufficient storage)|\b507 [A-Z]|HTTP 507\b"
        r"|\bno space left on device",
    ),
    (
        "BHS611",
        r"(?i:name[ _]unknown)|(?i:repository|project) \S{1,300} (?:does not exist|not found)"
        r"|(?i:repository) with name \S{1,300} does not exist",
    ),
    (
        "BHS601",
        r"HTTP 40[13]\b|\b40[13] (?:Unauthorized|Forbidden)|\bunauthorized\b|\bdenied\b|no basic auth credentials"
        r"|insufficient_scope|authentication required|authorization failed|status: 40[13]\b",
    ),
    (
        "BHS604",
        r"dial (?:tcp|udp)\b|no such host|connection refused|no route to host|network is unreachable"
        r"|server misbehaving|TLS handshake timeout",
    ),
    (
        "BHS607",
        r"HTTP 5\d\d\b|\b5\d\d [A-Z]|status(?: code)?:? 5\d\d|connection reset by peer|connection timed out|broken pipe"
        r"|\bEOF\b|use of closed (?:network )?connection|server closed idle connection|GOAWAY|i/o timeout"
        r"|http2: |stream error: |bad record MAC|transport connection broken|timeout awaiting response headers"
        r"|context deadline exceeded|Client\.Timeout",
    ),
)
_DAEMON_DISK_FULL = re.compile(r"/var/lib/(?:docker|containerd)/\S*: no space left on device")

# BuildKit: source/containerimage and util/resolver. The image's name has no spaces.
_BASE_IMAGE = re.compile(
    r"failed to resolve source metadata for (?P<image>\S{1,500}): (?P<reason>.*)"
    r"|(?P<copy>failed to (?:copy: |read expected number of bytes|authorize|fetch (?:anonymous|oauth) token).*)"
)
_BASE_IMAGE_CODES = (
    ("BHS112", re.compile(r"\b429\b|(?i:too ?many ?requests|rate limit)")),
    (
        "BHS111",
        re.compile(
            r"not found|denied|insufficient_scope|unauthorized|authorization failed|authentication required|forbidden"
            r"|\b40[134]\b|manifest unknown|no match for platform|invalid reference",
            re.IGNORECASE,
        ),
    ),
)

_KILLED = re.compile(
    # "Killed 12 mutants" is what a program counts.
    r"\bKilled\b(?! \d)|SIGKILL|\bsignal:? 9\b|\b[Ee]xit (?:code|status):? (?:137|-9)\b|\b(?:Error|errno) 137\b"
    r"|returned non-zero exit status 137|[Oo]ut of memory|oom[-_]kill|[Cc]annot allocate (?:memory|vector)"
    r"|[Uu]nable to allocate|\bMemoryError\b|std::bad_alloc"
    r"|heap out of memory|OutOfMemoryError"
)


def fetch_failure(lines: Iterable[str]) -> tuple[str, str]:
    """Code and detail of a fetch that failed, from its log. The detail is empty if no line says why.

    Lines that begin with `remote:` are the words of the repository's host, which knows nothing about this disk.
    """
    printed = list(lines)
    own = [line for line in printed if not line.lstrip().startswith("remote:")]
    if full := _first(own, _DISK_FULL):
        return "BHS707", full
    for of_lfs in _LFS:
        if reason := _first(own, of_lfs):
            return "BHS103", reason
    reason = _first(own, _GIT_REASON)
    for code, pattern in _GIT:
        if found := _first(printed, re.compile(pattern)):
            return _in_submodule(own, code, found)
    return _in_submodule(own, "BHS103", reason) if reason else ("BHS103", "")


def _in_submodule(lines: list[str], code: str, reason: str) -> tuple[str, str]:
    for line in lines:
        if code in _OF_SUBMODULE and (found := _SUBMODULE.search(line)):
            path = (found["cloned"] or found["path"] or found["unnamed"]).rpartition("/source/")[2]
            place = f"{path} ({found['url']})" if found["url"] else path
            return _OF_SUBMODULE[code], f"{place}: {reason}"
    return code, reason


def push_failure(error: str) -> str:
    """Code of a push that failed with this error of the daemon or the registry."""
    if _DAEMON_DISK_FULL.search(error):
        return "BHS504"
    text = without_names(error)
    return next((code for code, pattern in _PUSH if re.search(pattern, text)), "BHS606")


def without_names(error: str) -> str:
    """The text with NAME for each word with a slash: addresses, and names of images and files."""

    def replaced(found: re.Match[str]) -> str:
        word = found[0]
        if "/" not in word or word.startswith("i/o"):
            return word
        return "NAME:" if word.endswith(":") else "NAME"

    return _WORD.sub(replaced, error)


def base_image_failure(error: str) -> tuple[str, str] | None:
    """Code and detail of the engine's error, if it is about a base image."""
    found = _BASE_IMAGE.search(error)
    if not found:
        return None
    reason = found["reason"] or found["copy"]
    text = without_names(reason)
    code = next((code for code, pattern in _BASE_IMAGE_CODES if pattern.search(text)), "BHS113")
    return code, f"{found['image']}: {reason}" if found["image"] else reason


def memory_words(lines: Iterable[str]) -> str:
    """The first of a step's last lines that says that a process was killed or had no memory; empty if none does."""
    return _first(lines, _KILLED)


def _first(lines: Iterable[str], pattern: re.Pattern[str]) -> str:
    return next((line.strip() for line in lines if pattern.search(line)), "")
