"""`operations`: long work as it goes, over all apps."""

from typing import Annotated, Final

import typer

from cli.fan_out import over_apps
from cli.options import WAIT_S, Output, State, Timeout
from cli.output import Column, Format, clock_of, show
from cli.session import Session
from cli.state_folder import DEFAULT_STATE
from cli.watch_operation import wait_for

app = typer.Typer(help="Long work: list (without a word after it), show, cancel.")
Identity = Annotated[str, typer.Argument(metavar="OPERATION", show_default=False)]
_COLUMNS: Final = (
    Column("BEGAN", lambda it: clock_of(it["createdAt"])),
    Column("KIND", "kind"),
    Column("STATUS", "status"),
    Column("%", "percent"),
    Column("STEP", lambda it: it["steps"][-1]["name"] if it["steps"] else None),
    Column("WAITS FOR", "waitingFor"),
    Column("WHO", "owner"),
    Column("ID", "operationId"),
)


@app.callback(invoke_without_command=True)
def operations(
    ctx: typer.Context,
    running: Annotated[bool, typer.Option("--running", help="Only what has not ended.")] = False,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 30,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Long work: without a word after it, the list over all apps, newest last."""
    if ctx.invoked_subcommand is not None:
        return
    found = list(over_apps(Session(state).client, "operations"))
    if running:
        found = [each for each in found if each["endedAt"] is None]
    found.sort(key=lambda each: each["createdAt"])
    show(found[-last:], output, _COLUMNS, empty="no operations yet")


@app.command("show")
def show_(
    operation: Identity,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    timeout: Timeout = WAIT_S,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Show one operation with its steps."""
    session = Session(state)
    if wait:
        wait_for(session, operation, operation, timeout, output)
    found = session.client.get(f"/v1/runtime/operations/{operation}").body
    show(found, output)


@app.command()
def cancel(
    operation: Identity, state: State = DEFAULT_STATE, output: Output = Format.TABLE
) -> None:
    """Ask an operation to stop at its next step."""
    path = f"/v1/runtime/operations/{operation}/cancel"
    show(Session(state).client.write("POST", path).body, output)
