"""`parked`: list, show and replay the messages that were refused, or that the broker gave up."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.fan_out import query_apps
from cli.options import Commands, Invocation
from cli.output import Column, format_time

app = Commands(help="Refused messages, dead letters: list (without a word after it), show, replay.")
EventId = Annotated[str, typer.Argument(metavar="EVENT", show_default=False)]
_DEAD_LETTER: Final = "dl-"
"""Their ids begin so; the broker kept them whole, so that unreadable ones are replayed too."""
_COLUMNS: Final = (
    Column("SINCE", lambda message: format_time(_since(message))),
    Column("APP", "app"),
    Column("PLACE", "place"),
    Column("TYPE", "eventType"),
    Column("CODE", "code"),
    Column("REASON", "reason"),
    Column("ID", "eventId"),
)


@app.callback(invoke_without_command=True)
def parked(
    ctx: typer.Context,
    invocation: Invocation,
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="Those without a readable tenant; for admins.")
    ] = False,
) -> None:
    """Refused messages and dead letters: without a word after it, the list over all apps."""
    if ctx.invoked_subcommand is not None:
        return
    messages = _messages(invocation.client, {"unreadable": "true" if unreadable else None})
    by_time = sorted(messages, key=_since)
    invocation.show(by_time, _COLUMNS, empty="nothing is parked")


@app.command("show")
def show_(event: EventId, invocation: Invocation) -> None:
    """Show one message whole, with every reason; of an unreadable one what is known."""
    client = invocation.client
    app_name = _app_of(client, event) or _app_of_unreadable(client, event)
    if app_name is None:
        raise _not_parked(event)
    invocation.show(client.get(f"/v1/platform/{app_name}/parked/{event}").body)


@app.command()
def replay(event: EventId, invocation: Invocation) -> None:
    """Handle one message again, after its reason was repaired."""
    client = invocation.client
    app_name = _app_of(client, event)
    unreadable_at = _app_of_unreadable(client, event) if app_name is None else None
    if unreadable_at is not None and not event.startswith(_DEAD_LETTER):
        raise Failure(
            f"message {event!r} is unreadable: its content was not kept, so it cannot be replayed",
            ExitCode.CONFLICT,
            remedy=f"its reason: `runtimectl parked show {event}`; send it again from its source",
        )
    app_name = app_name or unreadable_at
    if app_name is None:
        raise _not_parked(event)
    path = f"/v1/platform/{app_name}/parked/{event}/replay"
    invocation.show(client.write("POST", path).body)


def _messages(client: Client, query: Mapping[str, str | None]) -> Iterator[Mapping[str, Any]]:
    yield from query_apps(client, "parked", query)
    yield from query_apps(client, "parked", {**query, "deadLettered": "true"})


def _since(message: Mapping[str, Any]) -> str:
    """Return when *message* was parked; of a dead letter, when it was sent."""
    return str(message.get("parkedAt") or message["enqueuedAt"])


def _app_of(
    client: Client, event: str, query: Mapping[str, str | None] | None = None
) -> str | None:
    for message in _messages(client, query or {}):
        if message["eventId"] == event:
            return str(message["app"])
    return None


def _app_of_unreadable(client: Client, event: str) -> str | None:
    try:
        return _app_of(client, event, {"unreadable": "true"})
    except Failure as failure:
        if failure.exit_code is not ExitCode.REFUSED:
            raise
        return None  # for admins only: to others there is none


def _not_parked(event: str) -> Failure:
    return Failure(
        f"no message {event!r} is parked", ExitCode.NOT_FOUND, remedy="see `runtimectl parked`"
    )
