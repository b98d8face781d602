"""Whether BinderHub's memory grows with many builds and many clients that disconnect."""

import time

from common.progress import step

from benchmarking.comparison import AT_ONCE
from benchmarking.result import Memory
from benchmarking.rows import BUILDS, HANG_UPS
from benchmarking.setup import Bench

CLIENTS = 50
QUIET_SECONDS = 30
"""What a client that left has held is free after so long."""


def memory(bench: Bench, idle: float) -> Memory:
    """Have our release build until it has done `BUILDS`, have `HANG_UPS` clients leave, and weigh it again.

    `idle` is what it weighed after its first few builds. Builds of other rows count.
    """
    with step(f"builds number {bench.builds + 1} to {BUILDS}, {AT_ONCE} at a time"):
        while bench.builds < BUILDS:
            more = min(AT_ONCE, BUILDS - bench.builds)
            bench.ours.build(*[bench.url("quick") for _ in range(more)])
            bench.builds += more
    with step(f"{HANG_UPS} clients that hang up, {CLIENTS} on a build"):
        for _ in range(HANG_UPS // CLIENTS):
            bench.ours.hang_up(bench.url("quick"), CLIENTS)
            bench.builds += 1
            bench.settle()
    with step(f"{QUIET_SECONDS} s of rest"):
        time.sleep(QUIET_SECONDS)
    return Memory(idle, bench.ours.memory(), bench.builds, HANG_UPS)
