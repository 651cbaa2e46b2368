"""`env`: plan, create, list, show, update and delete environments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.lookup import endpoint_of, environment_named
from cli.options import WAIT_S, EnvironmentArgument, Output, State, Timeout, Wait
from cli.output import Column, Format, note, show
from cli.session import Session
from cli.state_folder import DEFAULT_STATE
from cli.watch_operation import wait_for
from cli.yaml_files import load_yaml

app = typer.Typer(help="Environments: where releases run.", no_args_is_help=True)
_ROOT: Final = "/v1/runtime/environments"
DEFAULT_PROJECT: Final = "proj-default"
_COLUMNS: Final = (
    Column("NAME", "name"),
    Column("STAGE", "stage"),
    Column("STATUS", "status"),
    Column("ENDPOINT", endpoint_of),
    Column("PROJECT", "projectId"),
    Column("ID", "environmentId"),
)
_PLAN_COLUMNS: Final = (
    Column("ACTION", "action"),
    Column("TYPE", "type"),
    Column("NAME", lambda it: str(it["urn"]).rpartition("::")[2]),
    Column("AFTER", lambda it: [str(urn).rpartition("::")[2] for urn in it["dependsOn"]]),
    Column("CHANGED", "changed"),
)

Name = Annotated[str, typer.Argument(help="A slug that begins with a letter.", show_default=False)]
Stage = Annotated[str, typer.Option(help="dev, test, staging or prod.")]
Project = Annotated[str, typer.Option(help="proj-<slug>; with the name it is the key.")]
Region = Annotated[str, typer.Option(help="An Azure region, or local.")]
Isolation = Annotated[str | None, typer.Option(help="silo, pool or shared.")]
Data = Annotated[
    list[str] | None,
    typer.Option(help="A data resource as name=Kind, e.g. files=LocalFolder; may be repeated."),
]
Tag = Annotated[list[str] | None, typer.Option(help="name=value; may be repeated.")]
Protected = Annotated[
    bool | None, typer.Option("--protected/--unprotected", help="Deleting needs --confirm.")
]
File = Annotated[
    Path | None,
    typer.Option("-f", "--file", help="YAML with the whole request; options override it."),
]


@app.command()
def plan(
    name: Name,
    stage: Stage = "test",
    project: Project = DEFAULT_PROJECT,
    region: Region = "local",
    isolation: Isolation = None,
    data: Data = None,
    tag: Tag = None,
    protected: Protected = None,
    file: File = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show what `create` with the same options would do; nothing is changed."""
    body = _request(name, stage, project, region, file)
    body |= _content(isolation, data, tag, protected)
    found = Session(state).client.write("POST", _ROOT, body | {"dryRun": True}).body
    if output is not Format.TABLE:
        show(found, output)
        return
    show(found["resources"], output, _PLAN_COLUMNS, empty="nothing to do")
    for refusal in found["refusals"]:
        print(f"refused: {refusal['target']}: {refusal['message']} [{refusal['code']}]")
    cost = found.get("monthlyCost")
    amount = "not known" if cost is None else f"{cost:.2f} {found['currency']} a month"
    print(f"cost:    {amount}")
    print(f"plan:    {found['planId'][:19]}…")


@app.command()
def create(
    name: Name,
    stage: Stage = "test",
    project: Project = DEFAULT_PROJECT,
    region: Region = "local",
    isolation: Isolation = None,
    data: Data = None,
    tag: Tag = None,
    protected: Protected = None,
    file: File = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Provision an environment. Again with the same content: the same environment."""
    session = Session(state)
    body = _request(name, stage, project, region, file)
    body |= _content(isolation, data, tag, protected)
    reply = session.client.write("POST", _ROOT, body)
    _finish(session, reply.body, reply.operation, f"provisioning {name}", wait, timeout, output)


@app.command("list")
def list_(
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    status: Annotated[str | None, typer.Option(help="Only this status.")] = None,
    project: Annotated[str | None, typer.Option(help="Only this project.")] = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """List the tenant's environments."""
    query = {"stage": stage, "status": status, "projectId": project}
    found = list(Session(state).client.each(_ROOT, query))
    show(found, output, _COLUMNS, empty="no environments: `runtimectl env create test --wait`")


@app.command("show")
def show_(
    environment: EnvironmentArgument,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show one environment."""
    found = environment_named(Session(state).client, environment)
    show(found, output)


@app.command()
def update(
    environment: EnvironmentArgument,
    isolation: Isolation = None,
    data: Data = None,
    tag: Tag = None,
    protected: Protected = None,
    file: File = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only.")] = False,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Change an environment; what is not named stays as it is."""
    session = Session(state)
    found = environment_named(session.client, environment)
    fixed = (
        "isolationModel",
        "computeTargets",
        "dataResources",
        "protected",
        "ttl",
        "tags",
        "admits",
    )
    body = {name: found[name] for name in fixed if found.get(name) is not None}
    if file is not None:
        body |= load_yaml(file)
    body |= _content(isolation, data, tag, protected)
    path = f"{_ROOT}/{found['environmentId']}"
    if dry_run:
        planned = session.client.write("PUT", path, body | {"dryRun": True}).body
        form = None if output is not Format.TABLE else _PLAN_COLUMNS
        show(planned["resources"] if form else planned, output, form, empty="nothing to do")
        return
    reply = session.client.write("PUT", path, body)
    _finish(
        session, reply.body, reply.operation, f"updating {found['name']}", wait, timeout, output
    )


@app.command()
def delete(
    environment: EnvironmentArgument,
    confirm: Annotated[str | None, typer.Option(help="The name, for a protected one.")] = None,
    retain: Annotated[
        list[str] | None, typer.Option(help="A data resource that stays; may be repeated.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Decommission an environment with everything that runs in it."""
    session = Session(state)
    found = environment_named(session.client, environment)
    query = {"confirm": confirm, "retain": ",".join(retain) if retain else None}
    reply = session.client.write("DELETE", f"{_ROOT}/{found['environmentId']}", query=query)
    what = f"decommissioning {found['name']}"
    _finish(session, reply.body, reply.operation, what, wait, timeout, output)


def _finish(
    session: Session,
    environment: Mapping[str, Any],
    operation: str | None,
    what: str,
    wait: bool,
    timeout_s: float,
    output: Format,
) -> None:
    if wait and operation is not None:
        wait_for(session, operation, what, timeout_s, output)
        path = f"{_ROOT}/{environment['environmentId']}"
        environment = session.client.get(path).body
    elif operation is not None:
        note(f"{what} goes on: `runtimectl operations show {operation} --wait`")
    if output is not Format.TABLE:
        show(environment, output)
        return
    show([environment], output, _COLUMNS)


def _request(name: str, stage: str, project: str, region: str, file: Path | None) -> dict[str, Any]:
    given = {"name": name, "stage": stage, "projectId": project, "region": region}
    body = {"computeTargets": [{"kind": "LocalProcess"}]}
    return {**body, **given, **(load_yaml(file) if file is not None else {}), "name": name}


def _content(
    isolation: str | None,
    data: list[str] | None,
    tag: list[str] | None,
    protected: bool | None,
) -> dict[str, Any]:
    given = {
        "isolationModel": isolation,
        "dataResources": [
            {"name": name, "kind": kind}
            for name, kind in _parted(data, "data", "files=LocalFolder")
        ],
        "tags": dict(_parted(tag, "tag", "team=payments")),
        "protected": protected,
    }
    return {name: value for name, value in given.items() if value not in (None, [], {})}


def _parted(given: list[str] | None, option: str, example: str) -> list[tuple[str, str]]:
    found = [each.partition("=") for each in given or ()]
    for name, sign, _ in found:
        if not sign:
            raise Failure(
                f"--{option}: expected name=value, got {name!r}",
                ExitCode.USAGE,
                fix=f"write it like this: --{option} {example}",
            )
    return [(name, value) for name, _, value in found]
