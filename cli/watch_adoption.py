"""Watches the adoption of one version until every expected instance runs it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from cli.client import Client, query_of
from cli.configuration_layers import ROOT, Head, Layer
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.options import WAIT_S, Invocation
from cli.output import Column, format_time
from cli.parameter_types import seconds
from cli.progress_display import Line, open_display

_POLL_INTERVAL_S: Final = 0.5
_PINNED: Final = "a pinned module takes it with its next deployment"
PARKED: Final = "`runtimectl parked`"
"""Has the roll-outs of floating modules that were refused."""
_SERVICES: Final = "/v1/runtime/services"
COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("INSTANCE", "instance"),
    Column("VERSION", "version"),
    Column("BASIS", "basis"),
    Column("AT", lambda instance: format_time(instance["at"])),
)


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
    clock = invocation.session.clock
    until_s, number = clock.monotonic_s() + timeout_s, head["version"]
    again = f"`runtimectl config adoption {layer.options} --watch`"
    stream = sys.stdout if invocation.is_table else sys.stderr
    try:
        with open_display(clock, stream) as display:
            while True:
                current, adoption = _read(invocation, head)
                display.show(_lines(current, adoption))
                if current.get("version", number) != number:
                    raise Failure(
                        f"version {current['version']} took the place of version {number}",
                        ExitCode.ENDED_OTHERWISE,
                        remedy=f"watch that one: {again}",
                    )
                if current.get("status") == "Synced":
                    if not adoption["expected"]:
                        _require_available(invocation.client, layer, number)
                    return
                if current.get("status") == "SyncFailed":
                    raise _not_adopted(layer, adoption)
                if clock.monotonic_s() > until_s:
                    raise Failure(
                        f"version {number} is not adopted within {timeout_s:.0f} s",
                        ExitCode.STILL_RUNNING,
                        remedy=f"go on watching: {again}",
                    )
                pause(clock, _POLL_INTERVAL_S)
    except KeyboardInterrupt as interrupt:
        raise Failure(
            f"stopped watching version {number}", ExitCode.INTERRUPTED, remedy=f"go on: {again}"
        ) from interrupt


def _read(invocation: Invocation, head: Head) -> tuple[Head, Mapping[str, Any]]:
    """Return head and adoption; both empty while the host does not answer."""
    path = f"{ROOT}/{head['configurationId']}"
    try:
        client = invocation.client
        return client.get(path).body, read_adoption(client, head["configurationId"])
    except Failure as failure:
        if failure.exit_code is not ExitCode.UNAVAILABLE:
            raise
        return {}, {}


def _require_available(client: Client, layer: Layer, version: int) -> None:
    """Refuse to call a version adopted of whose module nothing is ready that could ask for it.

    Instances that do not ask are not expected to run it, so one in a crash loop is not.

    Raises:
        Failure: the module of *layer* is Unavailable.
    """
    query = {"environmentId": layer.environment_id, "moduleId": layer.module}
    services = client.list_readable(_SERVICES, query) if layer.module else None
    if any(service["status"] == "Unavailable" for service in services or ()):
        raise Failure(
            f"version {version} is in force, and no instance of {layer.module} is ready to run it",
            ExitCode.ENDED_OTHERWISE,
            code="NotAdopted",
            remedy=f"see why: `runtimectl logs {layer.module} --env {layer.environment}`",
        )


def _lines(current: Head, adoption: Mapping[str, Any]) -> list[Line]:
    if not current:
        return [Line("away", "the host does not answer; waiting for it", "yellow", is_final=False)]
    version = adoption["version"]
    is_synced = current["status"] == "Synced"
    if is_synced and not adoption["expected"]:
        return [Line("count", f"nothing that runs is to be given version {version}: {_PINNED}")]
    text = f"{adoption['acknowledged']} of {adoption['expected']} run version {version}"
    lines = [Line("count", f"{'✓' if is_synced else '…'} {text}", is_final=is_synced)]
    lines += [
        Line(
            f"{each['moduleId']} {each['instance']}",
            f"… {each['moduleId']} {each['instance']} runs version {each['version'] or 'none'}",
            "yellow",
            is_final=False,
        )
        for each in adoption["instances"]
        if each["version"] != version and not is_synced
    ]
    return lines


def _not_adopted(layer: Layer, adoption: Mapping[str, Any]) -> Failure:
    version = adoption["version"]
    missing = [each["instance"] for each in adoption["instances"] if each["version"] != version]
    names = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
    modules = [each["moduleId"] for each in adoption["instances"] if each["version"] != version]
    module = layer.module or next(iter(modules), "<module>")
    logs = f"runtimectl logs {module} --env {layer.environment or '<name>'}"
    return Failure(
        f"version {version} of {layer.label} is SyncFailed: {names or 'nobody'} does not run it",
        ExitCode.ENDED_OTHERWISE,
        code="NotAdopted",
        remedy=f"see why it does not take it (`{logs}`; of a refused roll-out {PARKED}), "
        f"or go back: `runtimectl config rollback {layer.options}`",
    )
