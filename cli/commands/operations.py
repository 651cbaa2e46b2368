"""`operations`: list, show and cancel the operations of all apps."""

from typing import Annotated, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import query_apps
from cli.operation_subjects import with_subjects
from cli.options import Commands, Invocation, WaitOptions
from cli.output import Column, format_time, note
from cli.watch_operation import wait_for_end, wait_for_success

app = Commands(help="Long work: list (without a word after it), show, cancel.")
OperationId = Annotated[str, typer.Argument(metavar="OPERATION", show_default=False)]
_STEP_COLUMNS: Final = (
    Column("STEP", "name"),
    Column("STATE", "state"),
    Column("BEGAN", lambda step: format_time(step.get("startedAt"))),
    Column("ENDED", lambda step: format_time(step.get("endedAt"))),
    Column("MESSAGE", "message"),
)
_COLUMNS: Final = (
    Column("BEGAN", lambda operation: format_time(operation["createdAt"])),
    Column("KIND", "kind"),
    Column("ABOUT", "about"),
    Column("STATUS", "status"),
    Column("%", "percent"),
    Column("STEP", lambda operation: next((s["name"] for s in operation["steps"][-1:]), None)),
    Column("WAITS FOR", "waitingFor"),
    Column("WHO", "owner"),
    Column("ID", "operationId"),
)


@app.callback(invoke_without_command=True)
def operations(
    ctx: typer.Context,
    invocation: Invocation,
    running: Annotated[bool, typer.Option("--running", help="Only those in progress.")] = False,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 30,
) -> None:
    """Long work: without a word after it, the list over all apps, newest last."""
    if ctx.invoked_subcommand is not None:
        return
    selected = [
        operation
        for operation in query_apps(invocation.client, "operations")
        if not running or operation["endedAt"] is None
    ]
    selected.sort(key=lambda operation: str(operation["createdAt"]))
    shown = selected[-last:]
    if invocation.is_table:
        shown = with_subjects(invocation.client, shown)
    invocation.show(shown, _COLUMNS, empty="no operations yet")


@app.command("show")
def show_(operation: OperationId, invocation: Invocation, waiting: WaitOptions) -> None:
    """Show one operation with its steps."""
    if waiting.wait:
        session, output = invocation.session, invocation.output
        wait_for_success(session, operation, operation, waiting.timeout_s, output)
    body = invocation.client.get(f"/v1/runtime/operations/{operation}").body
    if not invocation.is_table:
        invocation.show(body)
        return
    invocation.show({name: value for name, value in body.items() if name != "steps"})
    if body["steps"]:
        invocation.show(body["steps"], _STEP_COLUMNS)


@app.command()
def cancel(operation: OperationId, invocation: Invocation, waiting: WaitOptions) -> None:
    """Ask an operation to stop at its next step; --wait until it has."""
    path = f"/v1/runtime/operations/{operation}/cancel"
    body = invocation.client.write("POST", path).body
    if waiting.wait:
        session, output = invocation.session, invocation.output
        body = wait_for_end(session, operation, waiting.timeout_s, output)
        if body["status"] != "Canceled":
            raise Failure(
                f"{operation} was not canceled: it has {body['status']}", ExitCode.ENDED_OTHERWISE
            )
    invocation.show(body)
    if not waiting.wait:
        note(f"next:  runtimectl operations show {operation} --wait")
    note("what it leads to, such as a release that is taken back: runtimectl operations --running")
