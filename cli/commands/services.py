"""`status` and `history`: the services with their health, and the history of one."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_id, environment_names, id_labels, replace_ids
from cli.options import EnvironmentFilter, Invocation
from cli.output import Column, format_digest, format_time
from cli.parameter_types import instant
from cli.session import only_match

_ROOT: Final = "/v1/runtime/services"
_SERVICE_ID: Final = re.compile(r"svc-[a-z2-7]{12}-[a-z2-7]{10}")


def _ready(service: Mapping[str, Any]) -> str | None:
    instances = service["instances"]
    ready = sum(1 for instance in instances if instance["status"] == "Ready")
    return f"{ready}/{service['replicas']}" if instances else None


_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("ENVIRONMENT", "environment"),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("STATUS", "status"),
    Column("HEALTH", lambda service: service["health"].get("status", "Unknown")),
    Column("SINCE", lambda service: format_time(service["health"].get("since"))),
    Column("READY", _ready),
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


def status(invocation: Invocation, env: EnvironmentFilter = None) -> None:
    """Show every service with its health."""
    client = invocation.client
    names = environment_names(client)
    services = [
        {
            **service,
            "environment": names.get(service["environmentId"], service["environmentId"]),
            "health": _health(client, service["serviceId"]),
        }
        for service in client.list_all(_ROOT, {"environmentId": environment_id(client, env)})
    ]
    invocation.show(services, _COLUMNS, empty="nothing runs yet: `runtimectl deploy --help`")


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
    path = f"{_ROOT}/{_service_id(client, service, env)}"
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


def _service_id(client: Client, name: str, env: str | None) -> str:
    """Return the service id of an id, or of a module."""
    if _SERVICE_ID.fullmatch(name):
        return name
    query = {"moduleId": name, "environmentId": environment_id(client, env)}
    remedy = "see `runtimectl status`; if it runs in several environments, add --env"
    service = only_match(list(client.list_all(_ROOT, query)), "service", name, remedy)
    return str(service["serviceId"])


def _health(client: Client, service: str) -> Mapping[str, Any]:
    """Return the health of *service*; empty while health does not know it yet."""
    try:
        health: Mapping[str, Any] = client.get(f"{_ROOT}/{service}/health").body
    except Failure as failure:
        if failure.exit_code is not ExitCode.NOT_FOUND:
            raise
        return {}
    return health
