"""Envelopes of every shape that the rules allow, and small ones for tests about other things."""

import uuid
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from shared.contracts.shape import Command, Event
from shared.messaging.envelope import Envelope
from tests.kit.virtual_time import EPOCH

_ids = st.uuids(version=4).map(lambda each: f"evt-{each}")
_tails = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=30)
_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def envelopes() -> st.SearchStrategy[Envelope]:
    fields = st.fixed_dictionaries(
        {
            "event_id": _ids,
            "event_type": st.from_regex(r"[A-Z][A-Za-z0-9]{2,79}", fullmatch=True),
            "tenant_id": st.from_regex(
                r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", fullmatch=True
            ).filter(str.isascii),
            "project_id": st.none() | _tails.map(lambda tail: f"proj-{tail}"),
            "module_id": st.none() | _tails.map(lambda tail: f"module-{tail}"),
            "trace_id": _tails.map(lambda tail: f"trace-{tail}"),
            "correlation_id": _tails.map(lambda tail: f"corr-{tail}"),
            "causation_id": st.none() | _ids,
            "occurred_at": st.floats(0, 10**10).map(
                lambda seconds: EPOCH + timedelta(seconds=seconds)
            ),
            "payload": st.dictionaries(_names, _json, max_size=4),
        }
    )
    return fields.map(lambda each: Envelope(**each))


class ThingCounted(Event):
    """An event that a decision of the tests publishes."""


class BindThing(Command):
    """A command that a decision of the tests sends."""


def counted(number: int) -> ThingCounted:
    return ThingCounted(aggregate_id="thing", revision=number)


def an_envelope(number: int = 1, event_type: str = "ThingHappened", **fields: Any) -> Envelope:
    """Return the *number*-th envelope of a test."""
    values: dict[str, Any] = {
        "event_id": f"evt-{uuid.UUID(int=number)}",
        "event_type": event_type,
        "tenant_id": "acme",
        "trace_id": "trace-1",
        "correlation_id": "corr-1",
        "occurred_at": EPOCH,
        "payload": {"aggregateId": "thing-1", "revision": number},
    }
    return Envelope(**{**values, **fields})
