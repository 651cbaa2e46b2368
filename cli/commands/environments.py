"""`env`: plan, create, list, show, update and delete environments."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from cli.client import Client, Response
from cli.environment_options import (
    VALUES,
    ContentOptions,
    NewEnvironment,
    require_environment,
    say_deleted,
    say_stage,
    say_where,
)
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import endpoint_of, find_environment
from cli.options import Commands, DryRun, EnvironmentArgument, Invocation, WaitOptions
from cli.output import Column, note, say
from cli.parameter_types import one_of, project_id
from cli.plans import print_refusals, require_plannable
from cli.tenant_bindings import BINDINGS
from cli.typed import typeable
from cli.watch_operation import wait_for_success

app = Commands(help="Environments: where releases run.")
_ROOT: Final = "/v1/runtime/environments"
_CONTRACT: Final = "shared.contracts.environments"
_UPDATABLE: Final = (
    "isolationModel", "computeTargets", "dataResources", "protected", "ttl", "tags", "admits",
)  # fmt: skip
"""The fields of an environment that its PUT accepts."""
_LEFT: Final = ("Decommissioning", "Decommissioned")
_SETTLED: Final = ("Provisioned", "Failed", "Decommissioned", "DecommissionFailed")
_FIXED: Final = ("name", "projectId", "stage", "region")
_COLUMNS: Final = (
    Column("NAME", "name"),
    Column("STAGE", "stage"),
    Column("STATUS", "status"),
    # What the last operation left: nobody looks after it, so a cluster that was lost shows nothing.
    Column("SINCE", "updatedAt"),
    Column("ENDPOINT", endpoint_of),
    Column("PROJECT", "projectId"),
    Column("ID", "environmentId"),
)
_PLAN_COLUMNS: Final = (
    Column("ACTION", "action"),
    Column("TYPE", "type"),
    Column("NAME", lambda resource: _urn_name(resource["urn"])),
    Column("AFTER", lambda resource: [_urn_name(urn) for urn in resource["dependsOn"]]),
    Column("CHANGED", "changed"),
)


@app.command()
def plan(new: NewEnvironment, content: ContentOptions, invocation: Invocation) -> None:
    """Show the plan of `create` with the same options; nothing is changed."""
    body = new.body(content) | {"dryRun": True}
    say_where(body)
    say_stage(body)
    _show_plan(invocation, invocation.client.write("POST", _ROOT, body).body)


@app.command()
def create(
    new: NewEnvironment, content: ContentOptions, waiting: WaitOptions, invocation: Invocation
) -> None:
    """Provision an environment; a repeat with the same content returns the same one."""
    body = new.body(content)
    say_where(body)
    say_deleted(body)
    say_stage(body)
    response = invocation.client.write("POST", _ROOT, body)
    if response.is_repeat:
        note(f"nothing differs: {new.name} is there already, and is {response.body['status']}")
    _finish(invocation, response, f"provisioning {new.name}", waiting)


@app.command("list")
def list_(
    invocation: Invocation,
    stage: Annotated[
        str | None, typer.Option(help="Only this stage.", **one_of(VALUES, "Stage"))
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only this status.", **one_of(_CONTRACT, "EnvironmentStatus"))
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Only this project.", parser=project_id, metavar="PROJECT")
    ] = None,
) -> None:
    """List the tenant's environments."""
    query = {"stage": stage, "status": status, "projectId": project}
    environments = list(invocation.client.list_all(_ROOT, query))
    empty = "no environments: `runtimectl env create test --wait`"
    invocation.show(environments, _COLUMNS, empty=empty)


@app.command("show")
def show_(environment: EnvironmentArgument, invocation: Invocation) -> None:
    """Show one environment."""
    document = find_environment(invocation.client, environment)
    invocation.show(document)
    if document.get("retained") and invocation.is_table:
        say(f"\n{typeable(_retained(document))}")


@app.command()
def update(
    environment: EnvironmentArgument,
    content: ContentOptions,
    waiting: WaitOptions,
    invocation: Invocation,
    dry_run: DryRun = False,
    remove_admit: Annotated[
        list[str] | None,
        typer.Option(
            help="A tenant that may not be bound to it any more; one that is bound stays bound.",
            metavar="TENANT",
        ),
    ] = None,
) -> None:
    """Change an environment; fields that are not given stay, and so does data.

    --data adds to the data that it has; only --remove-data deletes data, with its content.
    --admit adds to the tenants that may be bound to it.
    """
    current = find_environment(invocation.client, environment)
    body = {name: current[name] for name in _UPDATABLE if current.get(name) is not None}
    body |= _changes(content.body_over(current, remove_admit or ()), current)
    require_environment("EnvironmentChange", body, content)
    path = f"{_ROOT}/{current['environmentId']}"
    if not dry_run:
        say_deleted(body)
        response = invocation.client.write("PUT", path, body)
        _finish(invocation, response, f"updating {current['name']}", waiting)
        for tenant in _still_bound(invocation.client, current, remove_admit or ()):
            line = (
                f"runtimectl tenant unbind {current['name']} --tenant {tenant} --confirm {tenant}"
            )
            note(f"{tenant} is bound to it, and stays so; where it is not to: `{line}`")
        return
    _show_plan(invocation, invocation.client.write("PUT", path, body | {"dryRun": True}).body)


def _still_bound(
    client: Client, environment: Mapping[str, Any], tenants: Sequence[str]
) -> Iterator[str]:
    """Yield those of *tenants* that are bound to *environment*, as far as the caller may know."""
    query = {"environmentId": environment["environmentId"]}
    bindings = client.list_readable(BINDINGS, query) if tenants else None
    for binding in bindings or ():
        if binding["tenantId"] in tenants and binding["status"] != "Unbound":
            yield binding["tenantId"]


@app.command()
def delete(
    environment: EnvironmentArgument,
    waiting: WaitOptions,
    invocation: Invocation,
    confirm: Annotated[
        str | None, typer.Option(help="The name once more, where something would be lost.")
    ] = None,
    retain: Annotated[
        list[str] | None, typer.Option(help="A data resource that stays; may be repeated.")
    ] = None,
) -> None:
    """Decommission an environment, all its workloads, and its data that no --retain names.

    Prod, a protected one, and one with data or workloads need --confirm.
    """
    current = find_environment(invocation.client, environment)
    names = [resource["name"] for resource in current.get("dataResources") or ()]
    if current["status"] not in _LEFT:
        _require_known(current, names, retain or ())
        if confirm != current["name"]:
            _require_nothing_lost(invocation.client, current, retain or ())
    query = {"confirm": confirm, "retain": ",".join(retain) if retain else None}
    say_deleted({"deleteData": [name for name in names if name not in (retain or ())]})
    path = f"{_ROOT}/{current['environmentId']}"
    response = invocation.client.write("DELETE", path, query=query)
    _finish(invocation, response, f"decommissioning {current['name']}", waiting)


def _require_known(
    environment: Mapping[str, Any], names: Sequence[str], retain: Sequence[str]
) -> None:
    """Raise Failure where *retain* names data that *environment* does not have."""
    kept = [resource["name"] for resource in environment.get("retained") or ()]
    if unknown := [name for name in retain if name not in {*names, *kept}]:
        raise Failure(
            f"{environment['name']} has no data {unknown[0]}; it has {', '.join(names) or 'none'}",
            ExitCode.REFUSED,
            code="DataResourceUnknown",
        )


def _require_nothing_lost(
    client: Client, environment: Mapping[str, Any], retain: Sequence[str]
) -> None:
    """Raise Failure where deleting *environment* takes something away, and say what."""
    data = [each["name"] for each in environment.get("dataResources") or ()]
    query = {"environmentId": environment["environmentId"]}
    services = [
        each["moduleId"]
        for each in client.list_all("/v1/runtime/services", query)
        if each["status"] != "Retired"
    ]
    lost = [name for name in data if name not in retain]
    reasons = [
        "it is prod" if environment["stage"] == "prod" else "",
        "it is protected" if environment.get("protected") else "",
        f"what runs ends: {', '.join(services)}" if services else "",
        f"data goes with all content: {', '.join(lost)}" if lost else "",
    ]
    if why := "; ".join(filter(None, reasons)):
        name = environment["name"]
        keep = f", or keep data: `--retain {lost[0]}`" if lost else ""
        raise Failure(
            f"{name} is not deleted without its name: {why}",
            ExitCode.REFUSED,
            code="ConfirmationMissing",
            remedy=f"type the command again with `--confirm {name}`{keep}",
        )


def _finish(invocation: Invocation, response: Response, title: str, waiting: WaitOptions) -> None:
    """Show the environment of *response*, with --wait after its operation has succeeded."""
    environment: Mapping[str, Any] = response.body
    if response.operation is not None and waiting.wait:
        session, output = invocation.session, invocation.output
        wait_for_success(session, response.operation, title, waiting.timeout_s, output)
        environment = invocation.client.get(f"{_ROOT}/{environment['environmentId']}").body
    elif response.operation is not None and environment["status"] not in _SETTLED:
        note(f"{title} continues: `runtimectl operations show {response.operation} --wait`")
    if invocation.is_table:
        invocation.show([environment], _COLUMNS)
    else:
        invocation.show(environment)


def _retained(environment: Mapping[str, Any]) -> str:
    """Return which data an earlier deletion kept, and the commands for it."""
    kept = environment["retained"]
    names, first = ", ".join(resource["name"] for resource in kept), kept[0]
    verb = "create" if environment["status"] == "Decommissioned" else "update"
    line = f"runtimectl env {verb} {environment['name']}"
    return (
        f"kept with its content, and used by no release: {names}\n"
        f"use it again: `{line} --data {first['name']}={first['kind']}`\n"
        f"delete it:    `{line} --remove-data {first['name']}`"
    )


def _changes(wanted: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Return *wanted* without the fields that are fixed, which a file for `create` has too.

    Raises:
        Failure: one of them differs.
    """
    for name in _FIXED:
        if name in wanted and wanted[name] != current.get(name):
            raise Failure(
                f"{name} cannot change: expected {current.get(name)}, got {wanted[name]}",
                ExitCode.REFUSED,
                remedy="decommission it and create it again: "
                f"`runtimectl env delete {current['name']} --wait`",
            )
    return {name: value for name, value in wanted.items() if name not in _FIXED}


def _show_plan(invocation: Invocation, environment_plan: Mapping[str, Any]) -> None:
    refusals = environment_plan["refusals"]
    if invocation.is_table:
        invocation.show(environment_plan["resources"], _PLAN_COLUMNS, empty="nothing to do")
        print_refusals(refusals)
        cost, currency = environment_plan.get("monthlyCost"), environment_plan.get("currency")
        say(f"cost:    {'not known' if cost is None else f'{cost:.2f} {currency} a month'}")
        say(f"plan:    {environment_plan['planId'][:19]}…")
    else:
        invocation.show(environment_plan)
    require_plannable(refusals)


def _urn_name(urn: str) -> str:
    return urn.rpartition("::")[2]
