"""Building the substitutes and putting them into the mirror, whose storage is kept in the cache."""

import contextlib
import fcntl
import hashlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError
from common.paths import SCRIPTS, cache
from common.progress import say, step
from common.time_estimate import Estimate

from local_cluster import go_tools, registries
from local_cluster.run import run
from local_cluster.substitute_images import Image

FOLDERS = SCRIPTS / "local_cluster" / "images"
LABEL = "binderhub-service.lab."

_PYTHON_VERSIONS = """
import importlib.metadata, sys
print(*[f"pypi:{name}={importlib.metadata.version(name)}" for name in sys.argv[1:]])
"""


def storage() -> Path:
    """The folder of the registry that holds the images, kept between clusters and clones."""
    return cache() / "mirror"


def keys(images: tuple[Image, ...]) -> dict[str, str]:
    """For each image's published name, the hash of all it is built from, its base included."""
    found: dict[str, str] = {}
    for image in images:
        digest = hashlib.sha256()
        for file in go_tools.sources(FOLDERS / image.folder):
            digest.update(f"{file.relative_to(FOLDERS)}\0".encode() + file.read_bytes())
        programs = [go_tools.module(folder).key for folder in image.go]
        digest.update(repr((image.substitutes, programs, image.depends)).encode())
        digest.update(found.get(image.base, "").encode())
        found[image.folder] = digest.hexdigest()[:16]
    return {image.substitutes: found[image.folder] for image in images}


def fill(images: tuple[Image, ...]) -> None:
    """Build those of `images` that the mirror does not hold as they are now, and push them into it.

    If another program has changed a file of a layer in the cache, such as a bundle of certificates, the cache is
    removed and all images are built again.
    """
    try:
        _fill(images)
    except UserError as failed:
        if "checksum failed" not in failed.what:
            raise
        say("Another program has changed a file of an image in the cache. Building all images again.")
        shutil.rmtree(cache() / "buildah")
        (storage() / "pushed.json").unlink(missing_ok=True)
        _fill(images)


def _fill(images: tuple[Image, ...]) -> None:
    wanted = keys(images)
    with (cache() / "mirror.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stale = [image for image in images if _pushed().get(image.substitutes) != wanted[image.substitutes]]
        if not stale:
            return
        say("Building the images that stand for the published ones, once")
        _buildah("rm", "--all")  # what an interrupted run left
        with _registry() as address:
            estimate = Estimate([image.seconds for image in stale])
            for number, image in enumerate(stale, start=1):
                with step(f"{image.folder}, for {image.substitutes} ({number} of {len(stale)})", estimate):
                    _build(image)
                    name = registries.mirror_name(image.substitutes)
                    _buildah(
                        "push", "--quiet", "--tls-verify=false", _local(image.folder), f"docker://{address}/{name}"
                    )
                _write_pushed({**_pushed(), image.substitutes: wanted[image.substitutes]})


def _build(image: Image) -> None:
    with tempfile.TemporaryDirectory(dir=cache(), prefix="image-") as name:
        context = Path(name) / image.folder
        shutil.copytree(FOLDERS / image.folder, context)
        image.prepare(context)
        _buildah(
            "build", "--quiet", "--isolation=chroot", "--layers", f"--build-arg=BASE={_local(image.base)}",
            f"--tag={_local(image.folder)}", str(context),
        )  # fmt: skip
    _label(image)


def _label(image: Image) -> None:
    """Say in the image's labels what it stands for and what is inside."""
    container = _buildah("from", "--pull-never", _local(image.folder)).strip()
    try:
        labels = {"substitutes": image.substitutes, "versions": _versions(image, container)}
        words = [f"--label={LABEL}{name}={value}" for name, value in labels.items()]
        _buildah("config", *words, container)
        _buildah("commit", "--quiet", container, _local(image.folder))
    finally:
        _buildah("rm", container)


def _versions(image: Image, container: str) -> str:
    """The versions of what matters inside, such as "debian:git=1:2.47.3-0 go:runc=v1.5.2 pypi:tornado=6.4.2"."""
    inside = ("run", "--isolation=chroot", container, "--")
    found = [f"go:{folder}={go_tools.module(folder).told}" for folder in image.go]
    if image.debian:
        asked = _buildah(*inside, "dpkg-query", "--show", "--showformat=debian:${Package}=${Version} ", *image.debian)
        found += asked.split()
    if image.python:
        found += _buildah(*inside, image.python_program, "-c", _PYTHON_VERSIONS, *image.python).split()
    return " ".join(found)


def _local(folder: str) -> str:
    return f"localhost/lab/{folder}" if folder else "scratch"


def _buildah(*arguments: str) -> str:
    root = cache() / "buildah"
    return run(
        "buildah", f"--root={root}/root", f"--runroot={root}/run", "--storage-driver=overlay", *arguments
    )  # not the machine's own store


@contextlib.contextmanager
def _registry() -> Iterator[str]:
    """A registry over `storage()` on loopback, for as long as images are pushed; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(registries.mirror_config(storage(), address, read_only=False))
        config.flush()
        server = subprocess.Popen(
            [str(go_tools.folder() / "registry"), "serve", config.name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _wait_for(address, server)
            yield address
        finally:
            server.terminate()
            server.communicate()


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/v2/", timeout=1):
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    server.kill()
    said = server.communicate()[1].decode(errors="replace")
    raise UserError(f"The registry for the images did not start:\n{said[-1000:]}", "Run this again.")


def _pushed() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((storage() / "pushed.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def _write_pushed(pushed: dict[str, str]) -> None:
    file = storage() / "pushed.json"
    file.with_suffix(".new").write_text(json.dumps(pushed, indent=1))
    file.with_suffix(".new").rename(file)
