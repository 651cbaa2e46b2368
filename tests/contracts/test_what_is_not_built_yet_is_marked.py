"""The table of events is the specification's; beside it stands what exists of it."""

import importlib
import re
from pathlib import Path
from typing import Final

import pytest

from shared.contracts.events import BUILT, EVENTS, UNHANDLED
from shared.contracts.values import Service

ROOT: Final = Path(__file__).resolve().parents[2]
APPS: Final = ROOT / "function_apps"
SERVICES: Final = sorted(BUILT)
_ALERTS: Final = {"RuntimeAlertRaised", "RuntimeAlertCleared"}
"""Built in `shared/contracts/alerts.py` for the services that say of what they are."""


def _handled(service: Service) -> set[str]:
    triggers = importlib.import_module(f"function_apps.{service}.triggers")
    return {payload.__name__ for payload in triggers.EVENTS}


def _published(service: Service) -> set[str]:
    source = "".join(path.read_text() for path in (APPS / service).rglob("*.py"))
    built = {name for name in EVENTS if re.search(rf"\b{name}(\(|\.model_validate\()", source)}
    return built | (_ALERTS if re.search(r"\b(alert|change)_event\(", source) else set())


def test_the_built_services_are_those_in_the_tree() -> None:
    assert {path.parent.name for path in APPS.glob("*/__init__.py")} == set(BUILT)


@pytest.mark.parametrize("service", SERVICES)
def test_a_built_service_handles_what_it_consumes_or_is_marked(service: Service) -> None:
    consumed = {event.name for event in EVENTS.values() if service in event.consumers}

    assert consumed - _handled(service) == UNHANDLED.get(service, frozenset())


@pytest.mark.parametrize("service", SERVICES)
def test_a_built_service_publishes_what_it_produces_or_is_marked(service: Service) -> None:
    produced = {event.name for event in EVENTS.values() if service in event.producers}

    assert produced - _published(service) == frozenset()


def test_the_limits_name_which_services_exist() -> None:
    text = (ROOT / "docs" / "limits.md").read_text()
    rows = dict(re.findall(r"^\| (built|not built yet) \| (.*) \|$", text, re.MULTILINE))

    assert set(rows["built"].split(", ")) == {each.public_name for each in BUILT}
    missing = {each.public_name for each in set(Service) - BUILT}
    assert set(rows["not built yet"].split(", ")) == (missing or {"none"})


@pytest.mark.parametrize("name", ["RuntimeTenantBound", "RuntimeAlertRaised"])
def test_the_limits_say_which_events_nobody_sends_or_takes(name: str) -> None:
    event = EVENTS[name]
    takers = {each for each in event.consumers & BUILT if name not in UNHANDLED[each]}
    is_whole = bool(event.producers & BUILT) and bool(takers)

    assert is_whole != (f"`{name}`" in (ROOT / "docs" / "limits.md").read_text())
