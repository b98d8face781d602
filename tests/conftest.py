"""The cluster that tests share, and the options that choose it."""

import signal
from collections.abc import Iterator

import pytest
from commands.test import OPTIONS
from demonstration import target
from demonstration.target import Target
from local_cluster import cluster as lab
from local_cluster.binderhub_wheel import check_wheel


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("binderhub-service")
    for name, how in OPTIONS.items():
        group.addoption(name, **how)


def pytest_configure() -> None:
    # What runs in the background (`&`, nohup) inherits that Ctrl-C is ignored, and tests interrupt what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> str:
    where = config.getoption("--context") or "the local cluster"
    wheel = config.getoption("--binderhub-wheel")
    return f"binderhub-service: on {where}, BinderHub is {wheel.name if wheel else 'the stand-in'}"


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a cluster, and say which tests one worker runs, one after the other.

    Tests that raise and remove the cluster themselves come last, and are for this machine's alone.
    """
    items.sort(key=lambda item: item.get_closest_marker("lifecycle") is not None)
    for item in items:
        folder, module = item.path.parent.name, item.path.stem
        if folder == "cluster":
            item.add_marker("cluster")
        elif item.get_closest_marker("together"):
            item.add_marker(pytest.mark.xdist_group(module))
        elif folder == "site":
            item.add_marker(pytest.mark.xdist_group(folder))  # one build of the site serves them all
    if config.getoption("--context"):
        reason = "it is about the local cluster, and --context names another"
        for item in items:
            if item.get_closest_marker("lifecycle") or item.get_closest_marker("local"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def lab_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves this machine with a cluster if it had one before the tests, and without if not."""
    was_there = lab.present()
    force = request.config.getoption("--force")
    yield
    if was_there:
        lab.up(request.config.getoption("--binderhub-wheel"), force=force)
    else:
        lab.down(force=force)


@pytest.fixture(scope="session")
def local_cluster(request: pytest.FixtureRequest, lab_afterwards: None) -> None:
    """The local cluster, running."""
    wheel = request.config.getoption("--binderhub-wheel")
    if wheel:
        check_wheel(wheel)
    lab.up(wheel, force=request.config.getoption("--force"))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Target:
    """The cluster that tests run on, with a registry that takes pushes."""
    option = request.config.getoption
    if option("--context"):
        if not option("--registry"):
            raise pytest.UsageError("With --context, name a registry to push to: --registry HOST/PATH.")
        return target.named(
            option("--context"), option("--registry"), option("--repository"), "HEAD", tuple(option("--values"))
        )
    request.getfixturevalue("local_cluster")
    return target.local(None, "HEAD")
