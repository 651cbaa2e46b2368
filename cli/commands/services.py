"""`status`, `history`, `live`: services with their health, and one in the past or just now."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Annotated, Any, Final

import typer

from cli.client import PAGE_SIZE, Client
from cli.deployment_selector import RUNNING
from cli.deployment_words import deployment_words
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import (
    environment_id,
    environment_names,
    id_labels,
    replace_ids,
    require_alone,
    with_environment,
)
from cli.options import EnvironmentFilter, Invocation
from cli.output import Column, format_digest, format_time, note
from cli.parameter_types import instant
from cli.public_ports import taken_ports
from cli.rollout_report import waiting_reason
from cli.session import only_match
from cli.traffic import not_ready_of
from cli.watch_rollout import ROOT
from shared.kernel.clock import isoformat

_ROOT: Final = "/v1/runtime/services"
_UNKNOWN: Final = "Unknown"
_HEARD_WITHIN: Final = timedelta(minutes=1)
_ASKED_MAX: Final = 10
"""Deployments on their way that are asked why they are not ready: each reads its surfaces."""
_SERVICE_ID: Final = re.compile(r"svc-[a-z2-7]{12}-[a-z2-7]{10}")


def _ready(service: Mapping[str, Any]) -> str | None:
    """Return how many instances of the release in force are ready; others are draining."""
    ready = sum(1 for instance in _in_force(service) if instance["status"] == "Ready")
    return f"{ready}/{service['replicas']}" if service["instances"] else None


def _restarts(service: Mapping[str, Any]) -> str | None:
    """Return how often the instances of the release in force restarted, and when they last did."""
    if not service["instances"]:
        return None
    restarted = [each for each in _in_force(service) if each.get("restarts")]
    if not restarted:
        return "0"
    # Not `startedAt`: of a pod that waits for its next start it is that of the pod.
    known = [each["restartedAt"] for each in restarted if each.get("restartedAt")]
    last = f" (last {format_time(max(known))})" if known else ""
    return f"{sum(each['restarts'] for each in restarted)}{last}"


def _reason(service: Mapping[str, Any]) -> str | None:
    """Return why instances of the release in force are not ready, on one line of the table."""
    return " ".join((_whole_reason(service) or "").split()) or None


def _whole_reason(service: Mapping[str, Any]) -> str | None:
    """Return why instances of the release in force are not ready, each reason once.

    Where they say none, why its health is not Healthy.
    """
    reasons = {each.get("reason") for each in _in_force(service)}
    if said := "; ".join(sorted(filter(None, reasons))):
        return said
    health = service["health"]
    is_unwell = health.get("status") in {"Degraded", "Unhealthy"}
    return health.get("reason") if is_unwell else service.get("reason")


def _in_force(service: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    revision = service.get("releaseRevision")
    return [each for each in service["instances"] if each["releaseRevision"] == revision]


def _status(service: Mapping[str, Any]) -> str:
    return _UNKNOWN if _is_outdated(service, "inventory") else str(service["status"])


def _health_status(service: Mapping[str, Any]) -> str:
    if _is_outdated(service, "health"):
        return _UNKNOWN
    return str(service["health"].get("status", _UNKNOWN))


def _is_outdated(service: Mapping[str, Any], part: str) -> bool:
    """Return whether inventory and health contradict each other, and *part* looked earlier."""
    health = service["health"]
    says_up = health.get("status") in {"Healthy", "Degraded"}
    says_down = health.get("status") == "Unhealthy"
    is_contradiction = (service["status"] == "Unavailable" and says_up) or (
        service["status"] == "Running" and says_down
    )
    observed = {
        "inventory": service.get("lastObservedAt") or "",
        "health": health.get("checkedAt") or "",
    }
    return is_contradiction and min(observed, key=lambda name: observed[name]) == part


_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("ENVIRONMENT", "environment"),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("STATUS", _status),
    Column("HEALTH", _health_status),
    Column("SINCE", lambda service: format_time(service["health"].get("since"))),
    Column("READY", _ready),
    Column("RESTARTS", _restarts),
    Column("REASON", _reason),
    Column("URL", "endpointUrl"),
    Column("ID", "serviceId"),
)
_HISTORY_COLUMNS: Final = (
    Column("FROM", lambda entry: format_time(entry["validFrom"])),
    Column("UNTIL", lambda entry: format_time(entry.get("validUntil"))),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("STATUS", "status"),
    Column("DIGEST", lambda entry: format_digest(entry.get("digest"))),
    Column("CAUSE", "causeLabel"),
)


_DIFFERS: Final = "(differs, not shown)"
"""Of what the release does not say so: it may be a secret."""
_LIVE_COLUMNS: Final = (
    Column("REVISION", "releaseRevision"),
    Column("PLANE", "plane"),
    Column("PROPERTY", "property"),
    Column("VALUE", "value"),
)


def status(invocation: Invocation, env: EnvironmentFilter = None) -> None:
    """Show every service with its health."""
    client = invocation.client
    names, environment = environment_names(client), environment_id(client, env)
    services = [
        with_environment(service, names) | {"health": health_of(client, service["serviceId"])}
        for service in client.list_all(_ROOT, {"environmentId": environment})
    ]
    newest: list[Mapping[str, Any]] = []
    first: list[dict[str, Any]] = []
    if invocation.is_table:
        newest = list(islice(client.list_all(ROOT, {"environmentId": environment}), PAGE_SIZE))
        just_now = isoformat(invocation.session.clock.now() - _HEARD_WITHIN)
        first = _first_releases(newest, services, names, just_now)
    shown = [*services, *first]
    invocation.show(shown, _COLUMNS, empty="nothing runs yet: `runtimectl deploy --help`")
    running = [each for each in newest if each["status"] in RUNNING]
    # The row of a first release has its deployment in the place of the service that is not yet.
    with_a_row = {each["serviceId"] for each in first}
    _say_on_their_way([each for each in running if each["deploymentId"] not in with_a_row], names)
    _say_not_ready(client, running)
    for taken in taken_ports(invocation.session):
        if environment is None or environment in taken:
            note(taken)


def _say_on_their_way(running: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Say of *running*, deployments that change what is shown, how far they are, oldest first."""
    for deployment in reversed(running[:_ASKED_MAX]):
        where = names.get(deployment["environmentId"], deployment["environmentId"])
        weight = f" at {deployment['weight']} %" if deployment.get("weight") else ""
        waits = waiting_reason(deployment)
        waiting = f", waits for {waits}" if waits else ""
        note(
            f"{deployment_words(deployment)} in {where} is on its way:"
            f" {deployment['status']}{weight}{waiting};"
            f" see it: `runtimectl deployment {deployment['deploymentId']}`"
        )


def _say_not_ready(client: Client, running: Sequence[Mapping[str, Any]]) -> None:
    """Say why new instances of *running*, deployments on their way, are not ready."""
    for deployment in running[:_ASKED_MAX]:
        try:
            body = client.get(f"{ROOT}/{deployment['deploymentId']}/traffic").body
        except Failure as failure:
            if failure.exit_code not in {ExitCode.NOT_FOUND, ExitCode.UNAVAILABLE}:
                raise
            continue  # the table of services was shown, and is right without it
        for reason in not_ready_of(body):
            note(f"{deployment['releaseRef']} is not ready: {reason}")
    if rest := running[_ASKED_MAX:]:
        note(
            f"{len(rest)} more are on their way; see one:"
            f" `runtimectl deployment {rest[0]['deploymentId']}`"
        )


def _first_releases(
    newest: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    just_now: str,
) -> list[dict[str, Any]]:
    """Return a row for each module whose first release is on its way: it is no service yet.

    So is one that has ended since *just_now*: catalog hears of it shortly after.
    """
    known = {(service["environmentId"], service["moduleId"]) for service in services}

    def is_unheard(deployment: Mapping[str, Any]) -> bool:
        return deployment["status"] == "Completed" and (deployment["endedAt"] or "") > just_now

    known |= {(each["environmentId"], name) for each in newest for name in each.get("remove", ())}
    return [
        {
            **component,
            "environment": names.get(deployment["environmentId"], deployment["environmentId"]),
            "status": deployment["status"],
            "health": {},
            "instances": [],
            "serviceId": deployment["deploymentId"],
            "reason": "catalog has not heard of it yet"
            if is_unheard(deployment)
            else waits and f"waits for {waits}",
        }
        for deployment in newest
        if deployment["status"] in RUNNING or is_unheard(deployment)
        for waits in [waiting_reason(deployment)]
        for component in deployment["components"]
        if (deployment["environmentId"], component["moduleId"]) not in known
    ]


def history(
    invocation: Invocation,
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Its id, or a module with --env.")
    ],
    env: EnvironmentFilter = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="Its state then.", parser=instant, metavar="TIME"),
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option("--known-at", help="As it was known then.", parser=instant, metavar="TIME"),
    ] = None,
) -> None:
    """Show the states of a service over time, each with its cause."""
    client = invocation.client
    path = f"{_ROOT}/{service_id(client, service, env)}"
    if as_of is not None or known_at is not None:
        invocation.show(client.get(path, {"asOf": as_of, "knownAt": known_at}).body)
        return
    entries = client.get(f"{path}/history").body["value"]
    if invocation.is_table:
        labels = id_labels(client)
        for entry in entries:
            cause = entry["cause"]
            entry["causeLabel"] = replace_ids(f"{cause['kind']} {cause['id']}", labels)
    invocation.show(entries, _HISTORY_COLUMNS, empty="nothing is recorded yet")


def live(
    invocation: Invocation,
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Its id, or a module with --env.")
    ],
    env: EnvironmentFilter = None,
) -> None:
    """Show what a service is on its surface just now, also what others have changed there."""
    client = invocation.client
    found = client.get(f"{_ROOT}/{service_id(client, service, env)}/live").body
    if not invocation.is_table:
        invocation.show(found)
        return
    rows = [
        {
            "releaseRevision": revision["releaseRevision"],
            "plane": plane,
            "property": path,
            "value": _DIFFERS if value == "another" else value,
        }
        for revision in found["revisions"]
        for plane, values in revision["properties"].items()
        for path, value in values.items()
    ]
    invocation.show(rows, _LIVE_COLUMNS, empty="its surface has nothing of it")
    if not all(revision["isWhole"] for revision in found["revisions"]):
        note("some of it is longer than an answer has, and was cut")


def service_id(client: Client, name: str, env: str | None) -> str:
    """Return the service id of an id, or of a module."""
    if _SERVICE_ID.fullmatch(name):
        return require_alone(name, env=env)
    query = {"moduleId": name, "environmentId": environment_id(client, env)}
    remedy = "see `runtimectl status`; if it runs in several environments, add --env"
    service = only_match(list(client.list_all(_ROOT, query)), "service", name, remedy)
    return str(service["serviceId"])


def health_of(client: Client, service: str) -> Mapping[str, Any]:
    """Return the health of *service*; empty while health does not know it yet."""
    try:
        health: Mapping[str, Any] = client.get(f"{_ROOT}/{service}/health").body
    except Failure as failure:
        if failure.exit_code is not ExitCode.NOT_FOUND:
            raise
        return {}
    return health
