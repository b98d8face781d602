"""Pushes many small images through one daemon; runs in a pod with repo2docker's image. Standard library only.

Its argument is a JSON object: `prefix` of the images' names, `pushes` (how many), `at_once`, `patience` (seconds after
which a push counts as hung) and `most` (seconds for all). It prints a JSON object a line: of each push its `seconds`,
and `hung` or `failed` where it did not end well; the time that an image's build takes does not count.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LAYERS = 3
LAYER_BYTES = 256 * 1024
SHOWN = 300
"""Characters of docker's last words."""


def one(name: str, patience: float) -> dict[str, object]:
    """Build an image that no registry has, push it, and forget it."""
    with tempfile.TemporaryDirectory() as folder:
        for layer in range(LAYERS):
            (Path(folder) / str(layer)).write_bytes(os.urandom(LAYER_BYTES))
        copies = "".join(f"COPY {layer} /\n" for layer in range(LAYERS))
        (Path(folder) / "Dockerfile").write_text(f"FROM scratch\n{copies}")
        begin = time.monotonic()
        try:
            docker("buildx", "build", "--quiet", "--load", f"--tag={name}", folder, patience=patience)
            begin = time.monotonic()
            docker("push", "--quiet", name, patience=patience)
            return {"seconds": time.monotonic() - begin}
        except subprocess.TimeoutExpired as hung:
            return {"seconds": time.monotonic() - begin, "hung": " ".join(hung.cmd)}
        except subprocess.CalledProcessError as failed:
            return {"seconds": time.monotonic() - begin, "failed": failed.stderr.strip()[-SHOWN:]}
        finally:
            # An image may stay behind: a daemon that hangs removes none, and there is none where no build ended.
            with contextlib.suppress(subprocess.SubprocessError):
                docker("image", "rm", "--force", name, patience=patience)


def docker(*words: str, patience: float) -> None:
    """Run docker, for `patience` seconds at most."""
    subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=patience)


def main(job: dict[str, object]) -> None:
    """Print a line for each push; those that would begin after `most` seconds are left out."""
    end = time.monotonic() + float(str(job["most"]))
    patience = float(str(job["patience"]))

    def push(number: int) -> None:
        if time.monotonic() < end:
            print(json.dumps(one(f"{job['prefix']}{number}:1", patience)), flush=True)

    with ThreadPoolExecutor(int(str(job["at_once"]))) as pool:
        list(pool.map(push, range(int(str(job["pushes"])))))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
