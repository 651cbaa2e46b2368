"""The page of health is held to its code: states, routes, messages."""

from pathlib import Path

import function_apps.health
from function_apps.health.model.status_hysteresis import TRANSITIONS
from function_apps.health.triggers import COMMANDS, EVENTS, ROUTES
from tests.kit.diagrams import arrows

README = Path(function_apps.health.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_diagram_is_the_table() -> None:
    table = {
        (source.value, target.value, look.value)
        for source, looks in TRANSITIONS.items()
        for look, target in looks.items()
    }

    assert arrows(README) == table


def test_every_route_event_and_command_is_named() -> None:
    names = [payload.__name__ for payload in (*EVENTS, *COMMANDS)]
    routes = [route.template.removeprefix("v1/runtime") for route in ROUTES]

    assert [each for each in (*names, *routes) if f"`{each}`" not in TEXT] == []
