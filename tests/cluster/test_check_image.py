"""buildPods.checkImage, with a real JupyterHub in the images: what cannot start a server is not pushed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from local_cluster.layout import GATEWAY
from support import host_processes
from support.binderhub import until
from support.git_servers import GitServer, serving
from support.release import WAY_TO_THIS_MACHINE, Answer, Release

pytestmark = pytest.mark.local

VALUES = {**WAY_TO_THIS_MACHINE, "buildPods": {"checkImage": {"enabled": True, "timeoutSeconds": 20}}}

DEBIAN = """FROM docker.io/library/debian:trixie-slim
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 jovyan
"""
SERVER = "jupyterhub==5.5.0 jupyter-server==2.17.0"
BASE = f"""{DEBIAN}RUN python3 -m venv /opt/hub && /opt/hub/bin/pip install --no-cache-dir {SERVER}
ENV PATH=/opt/hub/bin:$PATH
WORKDIR /home/jovyan
"""
ENTRY = "RUN printf '#!/bin/sh\\n{script}\\n' > /entry && chmod 755 /entry\nENTRYPOINT [\"/entry\"]\n"

GOOD = {
    "as-root": "",
    "as-the-user": "USER jovyan\n",
    "another-user": "USER 4242\n",
    "with-a-command": 'CMD ["sleep", "1"]\n',
    "tini": 'RUN apt-get update && apt-get install --yes tini\nENTRYPOINT ["tini", "-g", "--"]\n',
    "an-entry-point": ENTRY.format(script='exec "$@"'),
    "an-entry-point-that-prepares": ENTRY.format(script='mkdir -p "$HOME/work" && export A=1 && exec "$@"'),
    "shell-form": 'SHELL ["/bin/bash", "-c"]\nRUN true\n',
    "quotes": 'ENTRYPOINT ["/usr/bin/env", "A=it\'s \\"quoted\\" <<EOF $HOME"]\n',
    "another-folder": "WORKDIR /srv\n",
    "a-folder-below-home": "WORKDIR /home/jovyan/project/deep\n",
    "files-in-home": "RUN echo text > /home/jovyan/notebook.ipynb\n",
    "a-volume": "VOLUME /home/jovyan\n",
    "a-health-check": "HEALTHCHECK CMD false\n",
    "a-stop-signal": "STOPSIGNAL SIGINT\n",
    "a-port": "EXPOSE 8888\n",
    "many-variables": "".join(f"ENV V{number}={number}\n" for number in range(50)),
    "labels": 'LABEL a="b c" d=e\n',
    "a-link": "RUN ln -s /opt/hub/bin/jupyterhub-singleuser /usr/local/bin/\nENV PATH=/usr/local/bin:/usr/bin:/bin\n",
    "a-wrapper": (
        "WORKDIR /usr/local/bin\n"
        "RUN printf '#!/bin/sh\\nexec /opt/hub/bin/jupyterhub-singleuser \"$@\"\\n' > jupyterhub-singleuser"
        " && chmod 755 jupyterhub-singleuser\nENV PATH=/usr/local/bin:/usr/bin:/bin\n"
    ),
}
MISSING = 'exec: "jupyterhub-singleuser": executable file not found'
ENDLESS = "sleep 61937"
BROKEN = {
    "no-server": ("RUN rm /opt/hub/bin/jupyterhub-singleuser\n", MISSING),
    "not-on-the-path": ("ENV PATH=/usr/bin:/bin\n", MISSING),
    "no-jupyter-server": (
        "RUN /opt/hub/bin/pip uninstall --yes jupyter-server\n",
        "Failed to import default single-user server",
    ),
    "a-package-is-missing": ("RUN /opt/hub/bin/pip uninstall --yes traitlets\n", "No module named 'traitlets'"),
    "for-root-only": ("RUN chmod 700 /opt/hub\n", "Permission denied"),
    "in-the-home-directory": (
        "RUN cp -r /opt/hub /home/jovyan/hub && sed -i s,/opt/hub,/home/jovyan/hub, /home/jovyan/hub/bin/jupyterhub*"
        " && rm -r /opt/hub\nENV PATH=/home/jovyan/hub/bin:/usr/bin:/bin\n",
        MISSING,
    ),
    "an-entry-point-that-is-not-there": ('ENTRYPOINT ["/none-such"]\n', 'exec: "/none-such"'),
    "an-entry-point-in-the-home-directory": (
        'RUN printf \'#!/bin/sh\\nexec "$@"\\n\' > start && chmod 755 start\nENTRYPOINT ["/home/jovyan/start"]\n',
        'exec: "/home/jovyan/start"',
    ),
    "an-entry-point-that-fails": (
        ENTRY.format(script="echo the licence is missing; exit 5"),
        "exit code 5.\nthe licence",
    ),
    "an-entry-point-that-never-ends": (ENTRY.format(script=ENDLESS), "did not end within 20 s"),
}


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with serving(tmp_path_factory.mktemp("images") / "git", GATEWAY, login=None) as served:
        yield served


def build(release: Release, git: GitServer, contents: dict[str, str]) -> dict[str, Answer]:
    """Build these Dockerfiles, of which each has a name, a few at a time."""
    for name, dockerfile in contents.items():
        git.repository(f"{name}.git", dockerfile=dockerfile)
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda name: release.answer(f"http://{git.host}/{name}.git"), contents)
        return dict(zip(contents, answers, strict=True))


def test_what_cannot_start_a_server_is_not_pushed_and_all_else_is(release: Release, git: GitServer) -> None:
    (base,) = build(release, git, {"base": BASE}).values()
    assert base.end["phase"] == "ready", base.end
    start = f"FROM {base.end['imageName']}\n"
    good = build(release, git, {name: start + more for name, more in GOOD.items()})
    assert {name: answer.end for name, answer in good.items() if answer.end["phase"] != "ready"} == {}
    assert all("Checking that the image can start a server" in answer.text("building") for answer in good.values())
    broken = build(release, git, {name: start + more for name, (more, _) in BROKEN.items()})
    for name, (_, why) in BROKEN.items():
        what = broken[name].failed("BHS114")
        assert why in what, name
        assert "RUN --mount" not in what, name
        assert not broken[name].text("pushing")
    until(lambda: not host_processes.step(*ENDLESS.split()), "the endless step to end")
