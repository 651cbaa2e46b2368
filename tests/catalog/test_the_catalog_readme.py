"""The page of catalog is held to its code: events, routes, messages."""

from pathlib import Path

import function_apps.catalog
from function_apps.catalog.model.status import (
    ObservationExpired,
    Observed,
    Released,
    Removed,
    status_after,
)
from function_apps.catalog.triggers import COMMANDS, EVENTS, ROUTES

README = Path(function_apps.catalog.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_table_of_events_is_the_codes() -> None:
    events = (
        Released(),
        Observed(2, 2),
        Observed(1, 2),
        Observed(0, 2),
        ObservationExpired(),
        Removed(),
    )
    rows = [line.split("|") for line in TEXT.splitlines() if line.startswith("| `")]
    table = [(row[1].split("`")[1], row[2].strip()) for row in rows[: len(events)]]

    assert table == [(type(event).__name__, status_after(event).value) for event in events]


def test_every_route_event_and_command_is_named() -> None:
    names = [payload.__name__ for payload in (*EVENTS, *COMMANDS)]
    routes = [route.template.removeprefix("v1/runtime") for route in ROUTES]

    assert [each for each in (*names, *routes) if f"`{each}`" not in TEXT] == []
