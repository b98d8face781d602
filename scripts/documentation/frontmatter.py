"""The settings of a page, in its front matter under `run`."""

from dataclasses import dataclass, replace

import yaml

from documentation.error import Complaint

DEFAULT_BUDGET_SECONDS = 600.0

# What Sphinx, its theme and MyST read there. A key that nobody reads is a typing mistake.
OTHERS = frozenset({"html_theme", "myst", "orphan", "sd_hide_title", "tocdepth"})


@dataclass(frozen=True)
class Settings:
    """How a page is run: seconds that the whole page may take, and whether it is given a cluster."""

    budget: float = DEFAULT_BUDGET_SECONDS
    cluster: bool = True
    before: tuple[str, ...] = ()
    """Blocks of other pages that run before the page's own, each as how-to/install.md#install."""
    afterwards: tuple[str, ...] = ()
    """Blocks of other pages that run after the page's own."""

    @property
    def borrowed(self) -> tuple[str, ...]:
        """All blocks of other pages."""
        return (*self.before, *self.afterwards)


def read_settings(page: str, text: str) -> tuple[Settings, list[Complaint]]:
    """The settings in this front matter, and a complaint for each key or value that means nothing."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        return Settings(), [
            Complaint(page, line + 2, f"The front matter is not YAML: {error.problem}. Correct this line.")
        ]
    if node is None:
        return Settings(), []
    if not isinstance(node, yaml.MappingNode):
        return Settings(), [Complaint(page, 2, "The front matter is no mapping. Write it as `key: value` lines.")]
    complaints: list[Complaint] = []
    settings = Settings()
    for key, value in node.value:
        if key.value == "run":
            settings, wrong = _run(page, value)
            complaints += wrong
        elif key.value not in OTHERS:
            admitted = ", ".join(sorted(OTHERS | {"run"}))
            complaints.append(
                Complaint(page, _line(key), f"`{key.value}` in the front matter is unknown. Write one of: {admitted}.")
            )
    return settings, complaints


def _run(page: str, node: yaml.Node) -> tuple[Settings, list[Complaint]]:
    if not isinstance(node, yaml.MappingNode):
        return Settings(), [
            Complaint(page, _line(node), "`run` is no mapping. Write `run:` with settings below, such as `budget: 60`.")
        ]
    settings, complaints = Settings(), []
    for key, value in node.value:
        match key.value, yaml.safe_load(yaml.serialize(value)):
            case "budget", int(seconds) if seconds > 0:
                settings = replace(settings, budget=float(seconds))
            case "cluster", bool(wanted):
                settings = replace(settings, cluster=wanted)
            case "before", [*names] if _are_strings(names):
                settings = replace(settings, before=tuple(names))
            case "afterwards", [*names] if _are_strings(names):
                settings = replace(settings, afterwards=tuple(names))
            case "before" | "afterwards" as where, _:
                what = f"`{where}` is no list of blocks. Write some, each as `how-to/install.md#install`."
                complaints.append(Complaint(page, _line(value), what))
            case "budget", other:
                what = f"`budget: {other}` is no number of seconds. Write a whole number above 0."
                complaints.append(Complaint(page, _line(value), what))
            case "cluster", other:
                complaints.append(Complaint(page, _line(value), f"`cluster: {other}` is neither true nor false."))
            case other, _:
                what = f"`{other}` under `run` is unknown. Write one of: afterwards, before, budget, cluster."
                complaints.append(Complaint(page, _line(key), what))
    return settings, complaints


def _are_strings(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 2  # counted from 0, below the first `---`
