"""Watches the adoption of one version until every expected instance runs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli.client import Client, query_of
from cli.configuration_layers import ROOT, Head, Layer
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.not_expected import require_available, why_nobody
from cli.options import WAIT_S, Invocation
from cli.output import Column, format_time, note, say
from cli.parameter_types import seconds
from cli.progress_display import Line
from cli.watch_resource import watch_resource

Adoption = Mapping[str, Any]
_NAMED_MAX: Final = 5
PARKED: Final = "`runtimectl parked`"
"""Has the roll-outs of floating modules that were refused."""
_FOLLOWS: Final = "a live module has to ask for it itself (docs/how-to/change-configuration.md)"
COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("INSTANCE", "instance"),
    Column("VERSION", lambda instance: instance["version"] if instance["at"] else None),
    Column("BASIS", "basis"),
    Column("AT", lambda instance: format_time(instance["at"]) if instance["at"] else _SILENT),
)
_SILENT: Final = "has not asked"


@dataclass(frozen=True)
class AdoptionOptions:
    watch: Annotated[
        bool, typer.Option("--watch", help="Return when all run it, or when it has failed.")
    ] = False
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            help="Seconds that --watch waits at most.",
            parser=seconds,
            metavar="SECONDS",
        ),
    ] = WAIT_S


def read_adoption(client: Client, configuration_id: str) -> dict[str, Any]:
    """Return the adoption of a configuration with all its instances, page by page."""
    path = f"{ROOT}/{configuration_id}/adoption"
    page = client.get(path).body
    whole = {**page, "instances": [*page["instances"]], "nextLink": None}
    while next_link := page.get("nextLink"):
        page = client.get(path, query_of(next_link)).body
        whole["instances"] += page["instances"]
    return whole


def watch_adoption(invocation: Invocation, layer: Layer, head: Head, timeout_s: float) -> None:
    """Show who runs the version in force until all do.

    Raises:
        Failure: there is none, it was not adopted in time, another version took its place, or
            *timeout_s* passed.
    """
    if not head["version"]:
        raise Failure(
            f"nothing of {layer.label} is in force, only a draft",
            ExitCode.CONFLICT,
            remedy=f"put it in force: `runtimectl config publish {layer.options} --version N`",
        )
    number, client, identity = head["version"], invocation.client, head["configurationId"]
    again = f"runtimectl config adoption {layer.options} --watch"

    def is_over(seen: tuple[Head, Adoption]) -> bool:
        current, adoption = seen
        if current["version"] != number:
            raise Failure(
                f"version {current['version']} took the place of version {number}",
                ExitCode.ENDED_OTHERWISE,
                remedy=f"watch that one: `{again}`",
            )
        if current["status"] == "SyncFailed":
            raise _not_adopted(layer, adoption)
        # One that fell silent since is judged again, and ends it as SyncFailed.
        return bool(
            current["status"] == "Synced" and adoption["acknowledged"] == adoption["expected"]
        )

    _, adoption = watch_resource(
        invocation,
        lambda: (client.get(f"{ROOT}/{identity}").body, read_adoption(client, identity)),
        lambda seen: _lines(*seen),
        is_over,
        subject=f"version {number}",
        not_yet="is not adopted",
        again=again,
        timeout_s=timeout_s,
    )
    if not adoption["expected"]:
        require_available(client, layer, number)
        (say if invocation.is_table else note)(why_nobody(client, layer, number))


def _lines(current: Head, adoption: Adoption) -> list[Line]:
    if not adoption["expected"]:
        return []
    version = adoption["version"]
    is_adopted = current["status"] == "Synced" and adoption["acknowledged"] == adoption["expected"]
    sign = "✓" if is_adopted else "…"
    lines = [Line("count", f"{sign} {count_words(adoption)}", is_final=is_adopted)]
    lines += [
        Line(
            f"{each['moduleId']} {each['instance']}",
            f"… {each['moduleId']} {each['instance']} {_state(each)}",
            "yellow",
            is_final=False,
        )
        for each in adoption["instances"]
        if each["version"] != version and not is_adopted
    ]
    return lines


def _state(instance: Mapping[str, Any]) -> str:
    if not instance["at"]:
        return f"{_SILENT} for it"
    return f"runs version {instance['version'] or 'none'}"


def count_words(adoption: Mapping[str, Any]) -> str:
    """Return how many instances run the version in force, and how many have never asked for it."""
    words = (
        f"{adoption['acknowledged']} of {adoption['expected']} run version {adoption['version']}"
    )
    silent = sum(not each["at"] for each in adoption["instances"])
    return (
        f"{words}, {silent} {'has' if silent == 1 else 'have'} not asked for it"
        if silent
        else words
    )


def note_behind(adoption: Mapping[str, Any]) -> None:
    """Say where the reason is that not every instance runs the version in force."""
    is_silent = [not each["at"] for each in adoption["instances"]]
    if any(is_silent):
        note(_FOLLOWS)
    if adoption["acknowledged"] + sum(is_silent) < adoption["expected"]:
        note(f"where its roll-out was refused, that says why: {PARKED}")


def _not_adopted(layer: Layer, adoption: Mapping[str, Any]) -> Failure:
    version = adoption["version"]
    missing = [each for each in adoption["instances"] if each["version"] != version]
    silent = [each for each in missing if not each["at"]]
    behind = [each for each in missing if each["at"]]
    said, why = [], []
    if silent:
        said.append(f"{_names(silent)} did not ask for it")
        why.append(f"{_FOLLOWS}: see whether it does ({_logs(layer, silent)})")
    if behind or not silent:
        said.append(f"{_names(behind) or 'nobody'} does not run it")
        logs = _logs(layer, behind)
        why.append(f"see why it does not take it ({logs}; of a refused roll-out {PARKED})")
    return Failure(
        f"version {version} of {layer.label} is SyncFailed: {', and '.join(said)}",
        ExitCode.ENDED_OTHERWISE,
        code="NotAdopted",
        remedy=f"{', '.join(why)}, or go back: `runtimectl config rollback {layer.options}`",
    )


def _logs(layer: Layer, instances: Sequence[Mapping[str, Any]]) -> str:
    """Return the lines that show the logs of the modules of *instances*, a few of them."""
    modules = dict.fromkeys(each["moduleId"] for each in instances) or [layer.module or "<module>"]
    lines = [
        f"`runtimectl logs {module} --env {layer.environment or '<name>'}`"
        for module in [*modules][:_NAMED_MAX]
    ]
    return ", ".join(lines)


def _names(instances: Sequence[Mapping[str, Any]]) -> str:
    shown = ", ".join(each["instance"] for each in instances[:_NAMED_MAX])
    more = len(instances) - _NAMED_MAX
    return shown + (f" and {more} more" if more > 0 else "")
