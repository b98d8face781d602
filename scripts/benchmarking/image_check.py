"""What the check of an image (buildPods.checkImage) adds to a build."""

from common.progress import step

from benchmarking.comparison import turns
from benchmarking.release import Release
from benchmarking.result import ImageCheck
from benchmarking.rows import SERVICE
from benchmarking.setup import Bench

WITHOUT, WITH = "without the check", "with it"


def image_check(bench: Bench, pairs: int) -> ImageCheck:
    """Build images that hold a JupyterHub, with and without the check, turn by turn.

    The layers with the JupyterHub are cached before the first turn. Raises UserError where a build fails.
    """
    checked = Release(
        bench.target,
        bench.api,
        f"{bench.name}-checked",
        SERVICE,
        bench.node,
        {"buildPods": {"checkImage": {"enabled": True}}},
    )
    sides = {WITHOUT: bench.ours, WITH: checked}
    with step("installing a release that checks images; each builds an image with a JupyterHub"):
        checked.install()
        for release in sides.values():
            release.build(bench.url("hub"))
    taken: dict[str, list[float]] = {side: [] for side in sides}
    turns(bench, pairs, "one build", taken, lambda side: sides[side].build(bench.url("hub"))[0][0])
    bench.builds += pairs + 1
    return ImageCheck(taken[WITHOUT], taken[WITH])
