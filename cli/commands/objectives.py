"""`slo`: the objective of a service, how fast its error budget burns, and raised alerts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.commands.services import health_of, service_id
from cli.lookup import environment_id, environment_names, with_environment
from cli.options import Commands, EnvironmentFilter, Invocation
from cli.output import Column, format_time, note
from cli.parameter_types import one_of
from cli.tenant_bindings import BINDINGS, proofs_line
from cli.yaml_files import load_yaml

app = Commands(help="Objectives of services: how many of their events are to be good.")
_SERVICES: Final = "/v1/runtime/services"
_CONTRACT: Final = "shared.contracts.health"
ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="Its id, or a module with --env.")
]
_RATE_COLUMNS: Final = (
    Column("OVER", "longWindow"),
    Column("BURNS", lambda burn: _rate(burn.get("long"))),
    Column("AND OVER", "shortWindow"),
    Column("BURNS NOW", lambda burn: _rate(burn.get("short"))),
)
_BURN_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("ENVIRONMENT", "environment"),
    Column("SLI", "sli"),
    *_RATE_COLUMNS,
)
_ALERTING_APPS: Final = ("deployments", "secret-bindings", "scaling", "drift")
_OF_A_BINDING: Final = ("bindingId", "environmentId", "tenantId", "ownerTenantId")
_ALERT_COLUMNS: Final = (
    Column("MODULE", "moduleId"),
    Column("TENANT", "tenantId"),
    Column("ENVIRONMENT", "environment"),
    Column("ABOUT", "about"),
    Column("ALERT", "alert"),
    Column("SEVERITY", "severity"),
    Column("SINCE", lambda alert: format_time(alert["raisedAt"])),
    Column("EXPLAINS", lambda alert: ", ".join(alert["explains"]) or None),
)


@app.command("set")
def set_(
    service: ServiceArgument,
    sli: Annotated[
        str,
        typer.Option(help="What is counted.", **one_of(_CONTRACT, "Sli")),
    ],
    objective: Annotated[
        float, typer.Option(help="The part that is to be good, such as 0.999.", min=0.5, max=1.0)
    ],
    invocation: Invocation,
    window: Annotated[str, typer.Option(help="The period of the budget.")] = "P30D",
    min_samples: Annotated[
        int | None, typer.Option(help="A window with fewer events is not measured.", min=1)
    ] = None,
    latency_ms_max: Annotated[
        float | None, typer.Option(help="With --sli latency: slower is bad.")
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            help="YAML with source and queries, where a provider measures it (docs/metrics.md).",
            metavar="FILE",
        ),
    ] = None,
    env: EnvironmentFilter = None,
) -> None:
    """Set the objective of a service."""
    fields = {
        "sli": sli,
        "objective": objective,
        "window": window,
        "minSamples": min_samples,
        "latencyMsMax": latency_ms_max,
        "metrics": load_yaml(metrics, begins="begin with `source: prometheus`")
        if metrics
        else None,
    }
    body = {name: value for name, value in fields.items() if value is not None}
    client = invocation.client
    path = f"{_SERVICES}/{service_id(client, service, env)}/slo"
    invocation.show(client.write("PUT", path, body).body)


@app.command()
def get(service: ServiceArgument, invocation: Invocation, env: EnvironmentFilter = None) -> None:
    """Show the objective of a service and its burn rates."""
    client = invocation.client
    body = client.get(f"{_SERVICES}/{service_id(client, service, env)}/slo").body
    burns = body.get("burn") if invocation.is_table else None
    if not burns:
        invocation.show(body)
        return
    invocation.show({name: value for name, value in body.items() if name != "burn"})
    invocation.show(burns, _RATE_COLUMNS)


@app.command()
def delete(service: ServiceArgument, invocation: Invocation, env: EnvironmentFilter = None) -> None:
    """Delete the objective of a service, and with it the alerts of its burn rates."""
    client = invocation.client
    path = f"{_SERVICES}/{service_id(client, service, env)}/slo"
    invocation.show(client.write("DELETE", path).body)


@app.command()
def burn(invocation: Invocation, env: EnvironmentFilter = None) -> None:
    """List how fast each service burns its error budget: 1 uses it up at the end of its period.

    Where windows had too few events there is no rate, and no alert looks at them.
    """
    rows = [
        {**service, **each}
        for service, health in _healths(invocation.client, env)
        for each in (*health.get("sloBurn", ()), *health.get("sloUnmeasured", ()))
    ]
    empty = "no service has an objective: `runtimectl slo set --help`"
    invocation.show(rows, _BURN_COLUMNS, empty=empty)


@app.command()
def alerts(invocation: Invocation, env: EnvironmentFilter = None) -> None:
    """List the raised alerts of all apps; of a service with those whose failure it explains."""
    client = invocation.client
    healths = _healths(client, env)
    explains: dict[str, list[str]] = {}
    for service, health in healths:
        if cause := health.get("rootCause"):
            explains.setdefault(cause["serviceId"], []).append(service["moduleId"])
    rows = [
        {**service, **each, "explains": explains.get(service["serviceId"], [])}
        for service, health in healths
        for each in health.get("alerts", ())
    ]
    query = {"environmentId": environment_id(client, env)}
    bindings = client.list_readable(BINDINGS, query)
    breaches = list(_breaches(bindings or (), environment_names(client)))
    of_apps, unread = _alerts_of_apps(client, query, environment_names(client))
    rows += [*breaches, *of_apps]
    empty = "no alert is raised" + (" of what you may read" if unread or bindings is None else "")
    invocation.show(rows, _ALERT_COLUMNS, empty=empty)
    if bindings is None:
        note("alerts of isolation are not shown: you may not read bindings of tenants")
    if unread:
        of = ", ".join(unread)
        note(f"alerts of {of} are not shown: it does not run, or you may not read them")
    for alert in dict.fromkeys(str(row["alert"]) for row in rows):
        note(f"what it asks for: `runtimectl explain {alert}`")
    for line in dict.fromkeys(proofs_line(each) for each in breaches):
        note(f"next:  {line}")


def _alerts_of_apps(
    client: Client, query: Mapping[str, str | None], names: Mapping[str, str]
) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """Return the raised alerts that are of no health and no isolation, and who did not answer."""
    found = {
        app: client.list_readable(f"/v1/platform/{app}/alerts", query) for app in _ALERTING_APPS
    }
    rows = [
        {**with_environment(alert, names), "explains": []}
        for alerts in found.values()
        for alert in alerts or ()
    ]
    return rows, [app for app, alerts in found.items() if alerts is None]


def _breaches(
    bindings: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the alert of each layer of isolation that was breached and has not passed since."""
    for binding in bindings:
        for proof in binding["proofs"]:
            if proof.get("raisedAt") is not None:
                alert = {"alert": "IsolationBreached", "severity": "Critical", "explains": []}
                whose = {name: binding[name] for name in _OF_A_BINDING}
                layer = proof["layer"]
                shown = {"layer": layer, "about": layer, "raisedAt": proof["raisedAt"]}
                yield with_environment({**whose, **alert, **shown}, names)


def _rate(burn: float | None) -> str:
    return "too few events" if burn is None else f"{burn:.2f}"


def _healths(client: Client, env: str | None) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return each service, with the name of its environment, and its health."""
    names = environment_names(client)
    query = {"environmentId": environment_id(client, env)}
    return [
        (
            with_environment(service, names),
            health_of(client, service["serviceId"]),
        )
        for service in client.list_all(_SERVICES, query)
    ]
