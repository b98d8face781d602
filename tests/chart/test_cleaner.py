"""The cleaner beside each daemon: its container, and its program with a `docker` of this test's own on PATH."""

import base64
import fcntl
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chart_values.rendering import Chart, Object, Objects
from common.errors import UserError
from common.paths import CHART

PROGRAM = CHART / "files" / "docker-api-cleaner.sh"

# What stands for the commands that see a daemon or a disk. Each image is a file named by its id, with its time and
# names in it, and takes ten percent of the disk. `sleep` is where the program is between two looks: there it is ended.
COMMANDS = {
    "docker": r"""
        [ "$1 $2" = "--host unix://$SOCKET" ] || { echo "another daemon: $*" >&2; exit 1; }
        shift 2
        echo "$*" >>"$STATE/asked"
        case "$1 $2" in
          "version ") [ ! -e "$STATE/silent" ] ;;
          "image ls") [ ! -e "$STATE/mute" ] && ls "$STATE/images" && ls "$STATE/images" ;;
          "image inspect") shift 4; for id in "$@"; do cat "$STATE/images/$id"; done ;;
          "image rm")
            if [ -e "$STATE/held/$4" ]; then echo "conflict: $4 is in use" >&2; exit 1; fi
            rm "$STATE/images/$4"
            if [ -e "$STATE/comes" ]; then
              flock -s "${SOCKET%/*}" sh -c 'touch "$STATE/came"; exec sleep-really 2' >/dev/null 2>&1 9>&- &
            fi
            ;;
          *) exit 1 ;;
        esac""",
    "df": r"""
        [ ! -e "$STATE/no-disk" ] || exit 1
        if [ "$(ls "$STATE/images" | wc -l)" = 5 ]; then
          while [ -e "$STATE/comes" ] && [ ! -e "$STATE/came" ]; do sleep-really 0.01; done
        fi
        echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
        echo "/dev/sda1 100 0 0 $((5 + 10 * $(ls "$STATE/images" | wc -l)))% $2" """,
    "du": r"""echo "$((50 + 100 * $(ls "$STATE/images" | wc -l)))	$2" """,
    "sleep": r"""echo "$1" >"$STATE/slept"; kill -TERM $PPID; exec sleep-really 0""",
    "sleep-really": r"""exec /bin/sleep "${1:-5}" """,
}


@dataclass
class Node:
    """A disk, a daemon and the directory of its socket, as the program sees them."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("bin", "images", "held", "run"):
            (self.folder / name).mkdir()
        for name, text in COMMANDS.items():
            program = self.folder / "bin" / name
            program.write_text(f"#!/bin/sh\n{text.strip()}\n")
            program.chmod(0o755)

    def image(self, name: str, hours_ago: float) -> None:
        """An image that was built so long ago."""
        built = time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime(time.time() - hours_ago * 3600))
        (self.folder / "images" / f"sha256:{name}").write_text(f'"{built}" sha256:{name}=r/{name}:1,r/{name}:2\n')

    def images(self) -> set[str]:
        return {file.name.removeprefix("sha256:") for file in (self.folder / "images").iterdir()}

    def mark(self, name: str) -> None:
        (self.folder / name).touch()

    @property
    def directory(self) -> Path:
        """Around the socket, where builds hold their lock."""
        return self.folder / "run"

    def look(self) -> list[str]:
        """One look of the program: what it logged, without the times."""
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "STATE": str(self.folder),
            "DATA": str(self.folder / "data"),
            "SOCKET": str(self.directory / "docker-api.sock"),
            "HIGH": "50",
            "LOW": "30",
            "KEEP_SECONDS": "7200",
            "INTERVAL": "300",
            "LIMIT_KIB": "0",
            **self.settings,
        }
        # Given as the chart gives it, not as a file.
        command = ["sh", "-c", PROGRAM.read_text()]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert (self.folder / "slept").read_text().strip() == environment["INTERVAL"]
        return [line.split(" ", 1)[1] for line in done.stdout.splitlines()]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A disk that is 65 % full, with images from 3 to 8 hours old."""
    found = Node(tmp_path)
    for hours in range(3, 9):
        found.image(f"h{hours}", hours)
    return found


def removed(lines: list[str]) -> list[str]:
    return [line.split(":")[1].split("=")[0] for line in lines if line.startswith("removed")]


def test_the_longest_unused_go_until_there_is_room(node: Node) -> None:
    lines = node.look()
    assert removed(lines) == ["h8", "h7", "h6", "h5"]
    assert lines[0] == "removed sha256:h8=r/h8:1,r/h8:2: 65 % were used, and less than 30 % is wanted"
    assert lines[-1] == "done: 65 % were used, now 25 % are"
    assert node.images() == {"h3", "h4"}


def test_the_cleaner_removes_nothing_while_there_is_space(node: Node) -> None:
    node.settings = {"HIGH": "65"}
    assert node.look() == ["nothing to do: 65 % used, and 65 % may be"]
    assert len(node.images()) == 6


def test_recently_built_images_stay(node: Node) -> None:
    node.settings = {"KEEP_SECONDS": str(6 * 3600 + 1800)}
    lines = node.look()
    assert removed(lines) == ["h8", "h7"]
    assert lines[-1].startswith("done: 65 % were used, now 45 % are; no image is left that was not built within")


def test_the_cleaner_removes_nothing_during_a_build(node: Node) -> None:
    build = os.open(node.directory, os.O_RDONLY)
    fcntl.flock(build, fcntl.LOCK_SH)
    try:
        assert node.look() == ["skipped: a build runs on this node; 65 % used, and 50 % may be"]
        assert len(node.images()) == 6
    finally:
        os.close(build)
    assert removed(node.look())


def test_a_build_that_comes_meanwhile_ends_the_cleaning(node: Node) -> None:
    node.mark("comes")
    lines = node.look()
    assert removed(lines) == ["h8"]
    assert lines[-1] == "skipped: a build runs on this node; 55 % used, and 50 % may be"


def test_a_daemon_that_does_not_answer_is_let_alone(node: Node) -> None:
    node.mark("silent")
    assert node.look() == ["skipped: the daemon does not answer"]


def test_a_daemon_that_does_not_tell_its_images_is_not_taken_for_one_without(node: Node) -> None:
    node.mark("mute")
    assert node.look() == ["skipped: the daemon does not tell its images"]


def test_a_disk_that_cannot_be_read_is_not_taken_for_a_full_one(node: Node) -> None:
    node.mark("no-disk")
    (line,) = node.look()
    assert line.startswith("skipped: nobody can tell how full the disk of ")
    assert len(node.images()) == 6


def test_an_image_that_the_daemon_keeps_does_not_hold_up_the_others(node: Node) -> None:
    node.mark("held/sha256:h8")
    lines = node.look()
    assert lines[0] == "kept sha256:h8=r/h8:1,r/h8:2: conflict: sha256:h8 is in use"
    assert removed(lines) == ["h7", "h6", "h5", "h4"]


def test_a_limit_takes_the_place_of_the_disk(node: Node) -> None:
    node.mark("no-disk")
    node.settings = {"LIMIT_KIB": "1000"}
    assert node.look()[-1] == "done: 65 % were used, now 25 % are"


def test_a_disk_that_others_filled_ends_without_images(node: Node) -> None:
    for name in node.images():
        (node.folder / "images" / f"sha256:{name}").unlink()
    node.settings = {"HIGH": "3", "LOW": "2"}
    (line,) = node.look()
    assert line == "done: 5 % were used, now 5 % are; no image is left that was not built within 7200 s"


# Its container


def cleaner(objects: Objects) -> Object:
    containers = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]["containers"]
    (found,) = [one for one in containers if one["name"] == "cleaner"]
    assert isinstance(found, dict)
    return found


def on(**cleaner: Any) -> dict[str, Any]:
    """Values with the cleaner."""
    return {"dockerApi": {"cleaner": {"enabled": True, **cleaner}}}


def environment(objects: Objects) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in cleaner(objects)["env"]}


def daemon_json(objects: Objects) -> Any:
    """The daemon's configuration."""
    (data,) = objects.one("Secret", "docker-api")["data"].values()
    return json.loads(base64.b64decode(data))


def test_the_cleaner_is_off_by_default(defaults: Objects) -> None:
    containers = defaults.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in containers] == ["docker-api"]
    assert ("Secret", "docker-api") not in defaults.names()


def test_the_cleaner_gets_its_values_the_disk_and_the_socket(chart: Chart) -> None:
    given = on(highPercent=70, lowPercent=40, keepHours=0.5, intervalSeconds=60, resources={"limits": {"cpu": "1"}})
    objects = chart.render(given)
    found = cleaner(objects)
    assert found["command"][:2] == ["sh", "-c"]
    assert found["command"][2].strip() == PROGRAM.read_text().strip()
    told = environment(objects)
    assert {
        "HIGH": "70",
        "LOW": "40",
        "KEEP_SECONDS": "1800",
        "INTERVAL": "60",
        "LIMIT_KIB": "0",
    }.items() <= told.items()
    assert found["resources"] == {"limits": {"cpu": "1"}}
    mounts = {mount["mountPath"]: mount["readOnly"] for mount in found["volumeMounts"]}
    assert mounts == {told["DATA"]: True, told["SOCKET"].rpartition("/")[0]: True}
    (daemon, _) = objects.one("DaemonSet", "docker-api")["spec"]["template"]["spec"]["containers"]
    assert f"--data-root={told['DATA']}" in daemon["args"]
    assert f"--host=unix://{told['SOCKET']}" in daemon["args"]
    assert found["image"] == daemon["image"]


def test_the_cleaner_can_only_read_the_disk(chart: Chart) -> None:
    context = cleaner(chart.render(on()))["securityContext"]
    assert "privileged" not in context
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]


def test_the_cleaner_acts_before_the_kubelet_does(chart: Chart) -> None:
    # --image-gc-high-threshold of the kubelet, at its default.
    assert int(environment(chart.render(on()))["HIGH"]) < 85
    with pytest.raises(UserError, match="highPercent"):
        chart.render(on(highPercent=85))


@pytest.mark.parametrize(
    ("size", "kib", "cache"),
    [("100Gi", "104857600", "10485760KB"), ("1.5Gi", "1572864", "157286KB"), ("2G", "1953125", "195312KB")],
)
def test_a_bounded_volume_is_what_it_takes_percent_of(chart: Chart, size: str, kib: str, cache: str) -> None:
    values = on()
    values["dockerApi"]["storage"] = {"emptyDir": {"sizeLimit": size}}
    objects = chart.render(values)
    assert environment(objects)["LIMIT_KIB"] == kib
    assert daemon_json(objects)["builder"]["gc"] == {"enabled": True, "defaultKeepStorage": cache}


@pytest.mark.parametrize(
    ("given", "cache_size", "has"),
    [
        ({}, "", {"builder": {"gc": {"enabled": True}}}),
        ({}, "20GB", {"builder": {"gc": {"enabled": True, "defaultKeepStorage": "20GB"}}}),
        ({"mtu": 1450}, "", {"mtu": 1450, "builder": {"gc": {"enabled": True}}}),
        (
            {"builder": {"entitlements": {"security-insecure": False}}},
            "",
            {"builder": {"entitlements": {"security-insecure": False}, "gc": {"enabled": True}}},
        ),
        ({"builder": {"gc": {"enabled": False}}}, "20GB", {"builder": {"gc": {"enabled": False}}}),
    ],
)
def test_the_daemon_bounds_its_cache_and_keeps_what_it_was_told(
    chart: Chart, given: dict[str, Any], cache_size: str, has: dict[str, Any]
) -> None:
    values = on(cacheSize=cache_size)
    if given:
        values["dockerApi"]["extraFiles"] = {"mine": {"mountPath": "/etc/docker/daemon.json", "data": given}}
    assert daemon_json(chart.render(values)) == has


def test_the_cleaner_and_the_registry_share_daemon_json(chart: Chart) -> None:
    objects = chart.render({**on(), "registry": {"server": "r:5000", "insecure": True}})
    assert daemon_json(objects) == {"insecure-registries": ["r:5000"], "builder": {"gc": {"enabled": True}}}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (on(highPercent=60, lowPercent=60), r"Set lowPercent lower"),
        ({**on(), "buildPods": {"executor": "upstream"}}, r"Leave one of the two out"),
        (
            {"dockerApi": {**on()["dockerApi"], "storage": {"emptyDir": {"sizeLimit": "9Pi"}}}},
            r"cannot read .* Write it as a number with Gi",
        ),
        (
            {
                "dockerApi": {
                    **on()["dockerApi"],
                    "extraFiles": {"mine": {"mountPath": "/etc/docker/daemon.json", "stringData": "{}"}},
                }
            },
            r"extraFiles\.mine gives as text",
        ),
        (on(cacheSize="much"), "cacheSize"),
        (on(keepHours=-1), "keepHours"),
    ],
)
def test_impossible_values_of_the_cleaner_are_refused(chart: Chart, values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        chart.render(values)
