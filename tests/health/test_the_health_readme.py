"""The page of health is held to its code: outcomes, routes, messages."""

from pathlib import Path

import function_apps.health
from function_apps.health.model.status_hysteresis import STATUS_OF
from function_apps.health.triggers import COMMANDS, EVENTS, ROUTES

README = Path(function_apps.health.__file__).parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_table_of_outcomes_is_the_codes() -> None:
    rows = [
        (f"| `{outcome.value}`: ", f" | {status.value} |") for outcome, status in STATUS_OF.items()
    ]
    lines = TEXT.splitlines()

    assert [
        row
        for row in rows
        if not any(line.startswith(row[0]) and line.endswith(row[1]) for line in lines)
    ] == []


def test_every_route_event_and_command_is_named() -> None:
    names = [payload.__name__ for payload in (*EVENTS, *COMMANDS)]
    routes = [route.template.removeprefix("v1/runtime") for route in ROUTES]

    assert [each for each in (*names, *routes) if f"`{each}`" not in TEXT] == []
