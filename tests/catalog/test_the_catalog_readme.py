"""The page of catalog is held to its code: states, routes, messages."""

from pathlib import Path

import function_apps.catalog
from function_apps.catalog.model.states import TRANSITIONS, Status
from function_apps.catalog.triggers import COMMANDS, EVENTS, ROUTES
from tests.kit.diagrams import arrows

README = Path(function_apps.catalog.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_every_state_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_the_diagram_is_the_table() -> None:
    table = {
        (source.value, target.value, event.__name__)
        for source, events in TRANSITIONS.items()
        for event, targets in events.items()
        for target in targets
        if source is not target
    }

    assert arrows(README) == table


def test_every_route_event_and_command_is_named() -> None:
    names = [payload.__name__ for payload in (*EVENTS, *COMMANDS)]
    routes = [route.template.removeprefix("v1/runtime") for route in ROUTES]

    assert [each for each in (*names, *routes) if f"`{each}`" not in TEXT] == []
