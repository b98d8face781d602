"""The rows that both releases take several times, turn by turn, one after the other."""

from collections.abc import Callable

from common.progress import step

from benchmarking import manual_build
from benchmarking.measurements import order, spread
from benchmarking.rows import HAND, SERVICE, UPSTREAM
from benchmarking.setup import Bench

VIEWERS, AT_ONCE, REQUESTS = 50, 8, 50

Values = dict[str, list[float]]


def single(bench: Bench, pairs: int) -> dict[str, Values]:
    """One build on each side, and one by hand: the rows `single` and `overhead`."""
    taken: Values = {SERVICE: [], HAND: [], UPSTREAM: []}

    def once(side: str) -> float:
        url = bench.url("sleeps")
        if side == HAND:
            return manual_build.build(bench.ours, url, bench.image, f"{bench.target.registry}/{bench.name}-")
        return bench.releases[side].build(url)[0][0]

    turns(bench, pairs, "one build", taken, once)
    bench.builds += pairs
    overhead = {side: [a - b for a, b in zip(taken[side], taken[HAND], strict=True)] for side in (SERVICE, UPSTREAM)}
    return {"single": taken, "overhead": overhead}


def eight(bench: Bench, pairs: int) -> dict[str, Values]:
    """Eight builds at once."""
    taken: Values = {SERVICE: [], UPSTREAM: []}

    def once(side: str) -> float:
        return max(bench.releases[side].build(*[bench.url("sleeps") for _ in range(AT_ONCE)])[0])

    turns(bench, pairs, f"{AT_ONCE} builds at once", taken, once)
    bench.builds += pairs * AT_ONCE
    return {"eight": taken}


def cached(bench: Bench, pairs: int) -> dict[str, Values]:
    """An image that is in the registry already: of each turn the median, in milliseconds."""
    taken: Values = {SERVICE: [], UPSTREAM: []}
    url = bench.url("quick")
    for release in bench.releases.values():
        release.build(url)
        release.cached(url, REQUESTS)
    bench.builds += 1

    def once(side: str) -> float:
        return spread(bench.releases[side].cached(url, REQUESTS)).median

    turns(bench, pairs, f"{REQUESTS} requests for an image that is there", taken, once)
    return {"cached": taken}


def viewers(bench: Bench, pairs: int) -> dict[str, Values]:
    """Many requests for one build: the last one's end, and what BinderHub takes meanwhile."""
    taken: Values = {SERVICE: [], UPSTREAM: []}
    threads: Values = {SERVICE: [], UPSTREAM: []}
    memory: Values = {SERVICE: [], UPSTREAM: []}

    def once(side: str) -> float:
        seconds, process = bench.releases[side].build(*[bench.url("sleeps")] * VIEWERS)
        threads[side].append(process["threads"])
        memory[side].append(process["memory"])
        return max(seconds)

    turns(bench, pairs, f"{VIEWERS} viewers of one build", taken, once)
    bench.builds += pairs
    return {"viewers": taken, "viewers_threads": threads, "viewers_memory": memory}


def turns(bench: Bench, pairs: int, what: str, taken: Values, once: Callable[[str], float]) -> None:
    """Have each side of `taken` do `once` in each turn, when no build runs, and append what it took."""
    for turn in range(pairs):
        names = order(list(taken), turn)
        with step(f"{what}, turn {turn + 1} of {pairs}: {', '.join(names)}"):
            for name in names:
                bench.settle()
                taken[name].append(once(name))
