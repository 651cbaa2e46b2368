"""`events`: what happened, over all apps, in order of time, with who and why."""

from typing import Annotated, Final

import typer

from cli.fan_out import over_apps
from cli.lookup import labelled, labels
from cli.options import Output, State
from cli.output import Column, Format, Row, clock_of, show
from cli.session import Session
from cli.state_folder import DEFAULT_STATE

_COLUMNS: Final = (
    Column("WHEN", lambda it: clock_of(it["occurredAt"])),
    Column("WHO", "actor"),
    Column("WHAT", "eventType"),
    Column("BY", "action"),
    Column("ABOUT", "about"),
    Column("CAUSE", "cause"),
)


def events(
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 50,
    about: Annotated[str | None, typer.Option(help="Only what names this id.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this event type.")] = None,
    since: Annotated[
        str | None, typer.Option(help="ISO 8601 instant: only what came later.")
    ] = None,
    observations: Annotated[
        bool,
        typer.Option("--observations/--no-observations", help="Also what timers saw."),
    ] = True,
    state: State = DEFAULT_STATE,
    output: Output = Format.TABLE,
) -> None:
    """The timeline over all apps: when, who, what, about what, and why."""
    session = Session(state)
    found = timeline(session)
    if about is not None:
        found = [it for it in found if about in {it.get("aggregateId"), it["target"]}]
    if type_ is not None:
        found = [it for it in found if it["eventType"] == type_]
    if since is not None:
        found = [it for it in found if it["occurredAt"] >= since]
    if not observations:
        found = [it for it in found if not it["cause"].startswith("timer ")]
    shown = found[-last:]
    if output is Format.TABLE:
        shown = _in_words(session, shown)
    show(shown, output, _COLUMNS, empty="nothing happened yet")


def _in_words(session: Session, found: list[Row]) -> list[Row]:
    """Return events with words where people would read ids; JSON and YAML keep the ids."""
    words = {**labels(session.client), **{it["eventId"]: it["eventType"] for it in found}}
    return [
        {
            **it,
            "about": labelled(it.get("aggregateId") or it["target"], words),
            "cause": labelled(it["cause"], words),
        }
        for it in found
    ]


def timeline(session: Session) -> list[Row]:
    """Return every event of the tenant, by time; equal times by app and number."""
    found = list(over_apps(session.client, "events"))
    return sorted(found, key=lambda it: (it["occurredAt"], it["app"], it["number"]))
