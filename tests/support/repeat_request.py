"""Asks for the same build every 0.2 s until its input ends, and prints what became of each request, as JSON.

    python3 knock.py URL

A program of its own, so that it can run on a node's network: there kube-proxy leads a Service's address to its pods, as
for any client in the cluster.
"""

import json
import sys
import threading

import httpx

EVERY_SECONDS = 0.2


def main() -> None:
    """Ask until the input ends, and wait for the last answers."""
    url, told, ended = sys.argv[1], list[str](), threading.Event()

    def ask() -> None:
        try:
            answer = httpx.get(url, headers={"Accept": "text/event-stream"}, timeout=30, trust_env=False)
            told.append("ready" if '"phase": "ready"' in answer.text else f"{answer.status_code}: {answer.text}")
        except httpx.HTTPError as refused:
            told.append(f"{type(refused).__name__}: {refused}")

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    asking = []
    while not ended.wait(EVERY_SECONDS):
        asking.append(threading.Thread(target=ask))
        asking[-1].start()
    for thread in asking:
        thread.join()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
