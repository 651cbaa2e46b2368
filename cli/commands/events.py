"""`events`: the events of all apps in order of time, with actor and cause."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from cli.client import Client
from cli.fan_out import newest_of_apps
from cli.lookup import environment_id, id_labels, replace_ids
from cli.options import EnvironmentFilter, Invocation
from cli.output import Column, Item, format_time, shown_actor
from cli.parameter_types import any_id, instant, one_of

_COLUMNS: Final = (
    Column("WHEN", lambda event: format_time(event["occurredAt"])),
    Column("WHO", shown_actor),
    Column("WHAT", "eventType"),
    Column("BY", "action"),
    Column("ABOUT", "about"),
    Column("CAUSE", "cause"),
)


def events(
    invocation: Invocation,
    last: Annotated[int, typer.Option(help="How many, newest last.", min=1)] = 50,
    about: Annotated[
        str | None, typer.Option(help="Only those with this id.", parser=any_id, metavar="ID")
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type", help="Only this event type.", **one_of("shared.contracts.events", "EVENTS")
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those since then.", parser=instant, metavar="TIME")
    ] = None,
    env: EnvironmentFilter = None,
    observations: Annotated[
        bool,
        typer.Option("--observations/--no-observations", help="Also those of timers."),
    ] = True,
) -> None:
    """The timeline over all apps: when, who, what, about what, and why."""
    place = _place_of(invocation.client, env)

    def is_asked(event: Item) -> bool:
        return (
            (about is None or about in _ids_of(event))
            and (type_ is None or event["eventType"] == type_)
            and (since is None or event["occurredAt"] >= since)
            and (place is None or any(map(place.search, _ids_of(event))))
            and (observations or not event["cause"].startswith("timer "))
        )

    timeline = newest_of_apps(invocation.client, "events", "occurredAt", is_asked, last)
    shown = _with_labels(invocation.client, timeline) if invocation.is_table else timeline
    invocation.show(shown, _COLUMNS, empty="nothing happened yet")


def _ids_of(event: Item) -> Sequence[str]:
    return [event.get("aggregateId") or "", event["target"]]


def _place_of(client: Client, environment: str | None) -> re.Pattern[str] | None:
    """Return what the ids of an environment, and of everything in it, have in common."""
    identity = environment_id(client, environment)
    return re.compile(rf"-{identity.removeprefix('env-')}(?:-|$)") if identity else None


def _with_labels(client: Client, timeline: Sequence[Item]) -> list[Item]:
    """Return the events with labels in place of ids."""
    types = {event["eventId"]: event["eventType"] for event in timeline}
    labels = {**id_labels(client), **types}
    return [
        {
            **event,
            "about": replace_ids(event.get("aggregateId") or event["target"], labels),
            "cause": replace_ids(event["cause"], labels),
        }
        for event in timeline
    ]
