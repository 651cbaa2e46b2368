"""The page of environments is held to its code: states, routes, messages."""

from pathlib import Path

import function_apps.environments
from function_apps.environments.model.lifecycle import TRANSITIONS
from function_apps.environments.triggers import COMMANDS, EVENTS, ROUTES

README = Path(function_apps.environments.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_diagram_is_the_table() -> None:
    assert TRANSITIONS.diagram() in TEXT


def test_every_route_event_and_command_is_named() -> None:
    names = [payload.__name__ for payload in (*EVENTS, *COMMANDS)]
    routes = [route.template.removeprefix("v1/runtime") for route in ROUTES]

    assert [each for each in (*names, *routes) if f"`{each}`" not in TEXT] == []
