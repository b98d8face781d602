"""A docker credential helper: asks the container `push` for the login of a registry.

https://github.com/docker/docker-credential-helpers documents what such a program reads and prints.
"""

import socket
import sys

SOCKET = "/run/handover/login.sock"


def main(action: str) -> int:
    """Forward `get` and `list`, and print the answer. The exit code is 0 for an answer, and 1 for none."""
    if action not in ("get", "list"):
        return 1
    with socket.socket(socket.AF_UNIX) as push:
        push.connect(SOCKET)
        push.sendall(f"{action} {sys.stdin.readline().strip()}\n".encode())
        answer = b"".join(iter(lambda: push.recv(65536), b""))
    sys.stdout.buffer.write(answer or b"credentials not found in native keychain\n")
    return 0 if answer else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
