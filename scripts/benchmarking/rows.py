"""What is measured, in the words of the table, and the bound that each row has."""

from dataclasses import dataclass

SERVICE, UPSTREAM, HAND = "service", "upstream", "hand"
"""The chart's own executor, upstream's class, and a pod made without BinderHub."""

CUT_SECONDS = 60
"""So long after a fault a stream is given up that has not ended."""


@dataclass(frozen=True)
class Row:
    """Something that both do several times."""

    title: str
    unit: str
    most: float | None = None
    """The bound of our median; without one the ratio has a bound."""
    ratio: float = 1
    """Of ours by theirs, at most: 1 is not slower."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, once on each side at the same time."""

    title: str
    since: str
    """What the seconds are counted from."""
    most: float
    """Seconds within which our stream has to end."""


ROWS = {
    "overhead": Row("A build's time beyond the same command in a pod made by hand", "s", most=0.5),
    "single": Row("One build, with a step of 2 s", "s"),
    "eight": Row("Eight of those at once, until the last has its image", "s"),
    # Nearly the same code answers on both sides, so that the ratio is 1 but for what disturbs the machine.
    "cached": Row("The image is in the registry already", "ms", ratio=1.02),
    "viewers": Row("Fifty viewers of one build, until the last has the end", "s"),
    "viewers_threads": Row("What BinderHub has meanwhile, at most", "threads"),
    "viewers_memory": Row("And what it has resident, at most", "MiB"),
}

FAULTS = {
    "step": Fault("A step of the Dockerfile fails", "the line that says so", 10),
    "pod": Fault("The build's pod is deleted", "the deletion", 10),
    "daemon": Fault("The docker-api pod is deleted during a build", "the deletion", 15),
    "refused": Fault("The registry refuses the push", "the line that says so", 10),
    "secret": Fault("The Secret for pushing is missing", "the request", 45),
    "registry": Fault("The registry's host is not known", "the line that says so", 10),
    "image": Fault("The build image is not there", "the request", 60),
    "node": Fault("No node fits, with 10 as startTimeoutSeconds", "the request", 20),
}

IMAGE_CHECK_SECONDS = 3
"""What the check of an image may add to a build whose layers are cached."""

MEMORY_RATIO = 1.1
"""By how much BinderHub's memory may have grown after all builds and hang-ups."""
BUILDS, HANG_UPS = 200, 500

PUSHES, PUSHES_AT_ONCE = 300, 4
PUSH_PATIENCE_SECONDS = 120
"""A push that takes longer hangs: the images have less than a megabyte."""
PUSHES_SECONDS = 1200
"""For all of them; those that would begin later are left out."""

CHOICES = ("overhead", "single", "eight", "cached", "viewers", "check", "faults", "memory")
"""What a whole run measures. Overhead and single come from the same builds."""
EXTRA = ("pushes",)
"""Further choices of `--only`. They are about the daemon, for when its version changes."""
