"""`parked`: messages that were refused, kept with their reason until somebody repairs it."""

from typing import Annotated, Final

import typer

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import over_apps
from cli.options import Output, State
from cli.output import Column, Format, clock_of, show
from cli.session import Session
from cli.state_folder import DEFAULT_STATE

app = typer.Typer(help="Refused messages: list (without a word after it), show, replay.")
Identity = Annotated[str, typer.Argument(metavar="EVENT", show_default=False)]
_COLUMNS: Final = (
    Column("PARKED", lambda it: clock_of(it["parkedAt"])),
    Column("APP", "app"),
    Column("TYPE", "eventType"),
    Column("CODE", "code"),
    Column("REASON", "reason"),
    Column("ID", "eventId"),
)


@app.callback(invoke_without_command=True)
def parked(
    ctx: typer.Context,
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="Those without a readable tenant; for admins.")
    ] = False,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """Refused messages: without a word after it, the list over all apps."""
    if ctx.invoked_subcommand is not None:
        return
    query = {"unreadable": "true" if unreadable else None}
    refused = over_apps(Session(state).client, "parked", query)
    found = sorted(refused, key=lambda it: it["parkedAt"])
    show(found, output, _COLUMNS, empty="nothing is parked")


@app.command("show")
def show_(event: Identity, state: State = DEFAULT_STATE, output: Output = Format.TABLE) -> None:
    """Show one message whole, with every reason."""
    session = Session(state)
    client = session.client
    show(client.get(f"/v1/platform/{_app_of(session, event)}/parked/{event}").body, output)


@app.command()
def replay(event: Identity, state: State = DEFAULT_STATE, output: Output = Format.TABLE) -> None:
    """Handle one message again, after its reason was repaired."""
    session = Session(state)
    path = f"/v1/platform/{_app_of(session, event)}/parked/{event}/replay"
    show(session.client.write("POST", path).body, output)


def _app_of(session: Session, event: str) -> str:
    for each in over_apps(session.client, "parked"):
        if each["eventId"] == event:
            return str(each["app"])
    raise Failure(
        f"no message {event!r} is parked", ExitCode.NOT_FOUND, fix="see `runtimectl parked`"
    )
