"""`events`: what happened, over all apps, in order of time, with who and why."""

from typing import Annotated, Final

import typer

from cli.apps import over_apps
from cli.options import Output, State
from cli.output import Column, Format, Row, clock_of, show
from cli.place import DEFAULT_STATE
from cli.session import Session

COLUMNS: Final = (
    Column("WHEN", lambda it: clock_of(it["occurredAt"])),
    Column("WHO", "actor"),
    Column("WHAT", "eventType"),
    Column("ABOUT", lambda it: it.get("aggregateId") or it["target"]),
    Column("CAUSE", "cause"),
)


def events(
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 50,
    about: Annotated[str | None, typer.Option(help="Only what names this id.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this event type.")] = None,
    since: Annotated[
        str | None, typer.Option(help="ISO 8601 instant: only what came later.")
    ] = None,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """The timeline over all apps: when, who, what, about what, and why."""
    found = timeline(Session(state))
    if about is not None:
        found = [it for it in found if about in {it.get("aggregateId"), it["target"]}]
    if type_ is not None:
        found = [it for it in found if it["eventType"] == type_]
    if since is not None:
        found = [it for it in found if it["occurredAt"] >= since]
    show(found[-last:], output, COLUMNS, empty="nothing happened yet")


def timeline(session: Session) -> list[Row]:
    """Return every event of the tenant, by time; equal times by app and number."""
    found = list(over_apps(session.client, "events"))
    return sorted(found, key=lambda it: (it["occurredAt"], it["app"], it["number"]))
