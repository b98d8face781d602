"""BinderHub for the contract tests: the stand-in, or the wheel that --binderhub-wheel names. Test ids say which."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from common import virtual_environment
from common.errors import UserError
from local_cluster import binderhub_wheel, go_tools
from support.binderhub import KUBERNETES_CLIENTS, Installed, Repository, Service, answers, free_port, running, until
from support.executor_setting import extra_config, namespace, proxy, server, setting  # noqa: F401 - fixtures


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "binderhub" in metafunc.fixturenames:
        given = metafunc.config.getoption("--binderhub-wheel")
        try:
            name = f"binderhub-{binderhub_wheel.check_wheel(given).version}" if given else "stand-in"
        except UserError as problem:
            raise pytest.UsageError(str(problem)) from problem
        metafunc.parametrize("binderhub", [given], ids=[name], indirect=True, scope="session")


@pytest.fixture(scope="session")
def kubernetes_client(request: pytest.FixtureRequest) -> str:
    """The version of the kubernetes client that BinderHub runs on; empty for that of its image."""
    return str(getattr(request, "param", None) or request.config.getoption("--kubernetes-client") or "")


@pytest.fixture(scope="session")
def binderhub(
    request: pytest.FixtureRequest, kubernetes_client: str, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    """The package under test, on the packages of BinderHub's image."""
    folder = tmp_path_factory.mktemp("binderhub")
    file = request.param or binderhub_wheel.build_standin(folder)
    info = binderhub_wheel.check_wheel(file)
    interpreter = request.config.getoption("--binderhub-python")
    python = (
        virtual_environment.make(binderhub_wheel.IMAGE / "requirements.lock", "binderhub", interpreter)
        / "bin"
        / "python"
    )
    packages = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    subprocess.run([*install, "--no-index", str(file)], check=True)
    if kubernetes_client:
        hashed = KUBERNETES_CLIENTS / f"kubernetes-{kubernetes_client}.txt"
        subprocess.run([*install, "--require-hashes", "--only-binary=:all:", "--requirement", hashed], check=True)
    return Installed(python, packages, info.version, info.is_standin)


@pytest.fixture(scope="session")
def service(binderhub: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One BinderHub that serves all tests which need no configuration of their own."""
    with running(binderhub, tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A Git repository behind smart HTTP."""
    folder = tmp_path_factory.mktemp("repositories")
    bare = folder / "First_Repo.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True)
    work = folder / "work"
    subprocess.run(["git", "clone", "--quiet", bare, work], check=True, capture_output=True)
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com"]
    subprocess.run(["git", "-C", work, *who, "commit", "--quiet", "--allow-empty", "-m", "First"], check=True)
    subprocess.run(["git", "-C", work, "tag", "v1/first"], check=True)
    subprocess.run(["git", "-C", work, "push", "--quiet", "--tags", "origin", "HEAD:main"], check=True)
    asked = subprocess.run(["git", "-C", work, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    address = f"127.0.0.1:{free_port()}"
    git_server = subprocess.Popen([go_tools.folder() / "gitserver", address, folder])
    try:
        until(lambda: answers(f"http://{address}/"), "the Git server")
        yield Repository(f"http://{address}/First_Repo.git", asked.stdout.strip())
    finally:
        git_server.terminate()
        git_server.wait()
