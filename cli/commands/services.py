"""`status` and `history`: what runs, how it is, and what made it so."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import environment_named, labelled, labels, names_of
from cli.options import Output, State
from cli.output import Column, Format, clock_of, show
from cli.session import Session, one_of
from cli.state_folder import DEFAULT_STATE

_ROOT: Final = "/v1/runtime/services"
_ID: Final = re.compile(r"svc-[a-z2-7]{12}-[a-z2-7]{10}")
_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("ENVIRONMENT", "environment"),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("STATUS", "status"),
    Column("HEALTH", lambda it: it["health"].get("status", "Unknown")),
    Column("SINCE", lambda it: clock_of(it["health"].get("since"))),
    Column("READY", lambda it: f"{_ready(it)}/{it['replicas']}" if it["instances"] else None),
    Column("URL", "endpointUrl"),
    Column("ID", "serviceId"),
)
_HISTORY_COLUMNS: Final = (
    Column("FROM", lambda it: clock_of(it["validFrom"])),
    Column("UNTIL", lambda it: clock_of(it.get("validUntil"))),
    Column("VERSION", "version"),
    Column("REVISION", "releaseRevision"),
    Column("STATUS", "status"),
    Column("DIGEST", lambda it: f"{it['digest'][:19]}…" if it.get("digest") else None),
    Column("CAUSE", "why"),
)
Env = Annotated[str | None, typer.Option("--env", "-e", metavar="ENVIRONMENT", help="Only there.")]


def status(env: Env = None, state: State = DEFAULT_STATE, output: Output = Format.TABLE) -> None:
    """Show every service with its health."""
    client = Session(state).client
    where = environment_named(client, env)["environmentId"] if env else None
    names = names_of(client)
    found = [
        {
            **each,
            "environment": names.get(each["environmentId"], each["environmentId"]),
            "health": _health(client, each["serviceId"]),
        }
        for each in client.each(_ROOT, {"environmentId": where})
    ]
    show(found, output, _COLUMNS, empty="nothing runs yet: `runtimectl deploy --help`")


def history(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Its id, or a module with --env.")
    ],
    env: Env = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="ISO 8601: what was so then.")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", help="ISO 8601: as it was known then.")
    ] = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show what a service was, when, and what made it so."""
    client = Session(state).client
    identity = _identity(client, service, env)
    if as_of is not None or known_at is not None:
        query = {"asOf": as_of, "knownAt": known_at}
        show(client.get(f"{_ROOT}/{identity}", query).body, output)
        return
    found = client.get(f"{_ROOT}/{identity}/history").body["value"]
    if output is Format.TABLE:
        words = labels(client)
        found = [
            {**it, "why": labelled(f"{it['cause']['kind']} {it['cause']['id']}", words)}
            for it in found
        ]
    show(found, output, _HISTORY_COLUMNS, empty="nothing is recorded yet")


def _identity(client: Client, named: str, env: str | None) -> str:
    if _ID.fullmatch(named):
        return named
    where = environment_named(client, env)["environmentId"] if env else None
    found = list(client.each(_ROOT, {"moduleId": named, "environmentId": where}))
    fix = "see `runtimectl status`; where it runs in several environments, say --env"
    return str(one_of(found, "service", named, fix)["serviceId"])


def _health(client: Client, service: str) -> Mapping[str, Any]:
    """Return the health of *service*; one that health has not met yet has none."""
    try:
        found: Mapping[str, Any] = client.get(f"{_ROOT}/{service}/health").body
    except Failure as unmet:
        if unmet.exit_code is not ExitCode.NOT_FOUND:
            raise
        return {}
    return found


def _ready(service: Mapping[str, Any]) -> int:
    return sum(1 for instance in service["instances"] if instance["status"] == "Ready")
