import re
from collections import Counter

from shared.contracts.commands import COMMANDS
from shared.contracts.events import EVENTS
from shared.contracts.shape import Command, Event, ForeignEvent, Resource
from shared.contracts.values import Service
from tests.contracts.published import ANSWERS, BY_NAME, PAYLOADS, QUEUED, TYPES

VERBS = [
    "Adopt",
    "Advance",
    "Apply",
    "Bind",
    "Compare",
    "Confirm",
    "Decommission",
    "Deploy",
    "Evaluate",
    "Hold",
    "Move",
    "Promote",
    "Prove",
    "Provision",
    "Publish",
    "Record",
    "Relocate",
    "Remediate",
    "Repair",
    "Retire",
    "Roll",
    "Rollback",
    "Rotate",
    "Scale",
    "Unbind",
    "Update",
    "Watch",
    "Withdraw",
]
ENDINGS = [
    "Applied",
    "Bound",
    "Cancelled",
    "Changed",
    "Cleared",
    "Completed",
    "Decommissioned",
    "Detected",
    "Drained",
    "Expiring",
    "Failed",
    "Provisioned",
    "Published",
    "Raised",
    "Requested",
    "Resolved",
    "Restarted",
    "RolledBack",
    "Rotated",
    "Synced",
    "Updated",
]


def test_a_command_is_a_verb_and_a_noun() -> None:
    for name in COMMANDS:
        assert re.match(r"[A-Z][a-z]+", name)[0] in VERBS, name


def test_an_event_is_a_noun_and_what_happened_to_it() -> None:
    for name in EVENTS:
        assert name.endswith(tuple(ENDINGS)), name
        assert name not in ENDINGS, name


def test_a_message_is_registered_under_its_type_name() -> None:
    assert {*EVENTS, *COMMANDS} <= BY_NAME.keys()
    assert all(issubclass(payload, Event | ForeignEvent) for payload in PAYLOADS)
    assert all(issubclass(payload, Command) for payload in QUEUED)


def test_no_two_published_types_share_a_name() -> None:
    """The gateway joins the OpenAPI documents of every service by schema name."""
    twice = [name for name, count in Counter(kind.__name__ for kind in TYPES).items() if count > 1]

    assert twice == []


def test_field_names_are_camel_case_on_the_wire() -> None:
    for kind in TYPES:
        for name, field in kind.model_fields.items():
            assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", field.alias or name), f"{kind}.{name}"


def test_status_values_are_pascal_case() -> None:
    for kind in (*ANSWERS, *PAYLOADS):
        schema = kind.model_json_schema()
        status = schema["properties"].get("status", {})
        values = schema.get("$defs", {}).get(status.get("$ref", "").rsplit("/", 1)[-1], {})
        for value in values.get("enum", ()):
            assert re.fullmatch(r"(?:[A-Z][a-z]+)+", value), f"{kind.__name__}: {value}"


def test_an_event_carries_its_aggregate_and_revision() -> None:
    for payload in PAYLOADS:
        if issubclass(payload, Event):
            required = payload.model_json_schema()["required"]
            assert {"aggregateId", "revision"} <= set(required), payload.__name__


def test_there_are_nine_services_and_resources_are_tolerant() -> None:
    assert len(Service) == 9
    assert all(issubclass(kind, Resource) for kind in ANSWERS)
