"""The rules of a subscription: a name, and a filter that says which messages it takes.

https://learn.microsoft.com/azure/service-bus-messaging/topic-filters
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final

from local_cloud.broker.sql_expressions import Condition, condition
from shared.messaging.broker import OutgoingMessage

DEFAULT_RULE: Final = "$Default"
RULES_MAX: Final = 2000
"""Of one topic in Service Bus; here of one subscription."""


@dataclass(frozen=True)
class CorrelationFilter:
    """Matches when every part that is given is equal, upper and lower case apart.

    A filter that gives nothing matches every message.
    """

    subject: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    content_type: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    to: str | None = None
    reply_to: str | None = None
    session_id: str | None = None
    reply_to_session_id: str | None = None

    def matches(self, message: OutgoingMessage) -> bool:
        for name, wanted in self._given:
            if wanted != getattr(message, name, ""):
                return False
        actual = message.application_properties
        for name, wanted in self.properties.items():
            if name not in actual or not _is_same(actual[name], wanted):
                return False
        return True

    @cached_property
    def _given(self) -> Sequence[tuple[str, str]]:
        """The parts that are given: a topic asks its filters for each message."""
        parts = ((name, getattr(self, name)) for name in _PARTS)
        return [(name, wanted) for name, wanted in parts if wanted is not None]


_PARTS: Final = (
    "subject", "correlation_id", "message_id", "content_type", "to", "reply_to", "session_id",
    "reply_to_session_id",
)  # fmt: skip


def _is_same(left: Any, right: Any) -> bool:
    """Return whether both are equal; to Python alone, True is 1."""
    return bool(left == right) and isinstance(left, bool) is isinstance(right, bool)


@dataclass(frozen=True)
class SqlFilter:
    """Matches when the condition is true of the message, not when it is unknown.

    Raises Invalid where it is no condition.
    """

    expression: str
    _condition: Condition = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_condition", condition(self.expression))

    def matches(self, message: OutgoingMessage) -> bool:
        return self._condition(message) is True


Filter = CorrelationFilter | SqlFilter


@dataclass(frozen=True)
class Rule:
    name: str
    filter: Filter


def stored(rule: Rule) -> dict[str, Any]:
    """Return *rule* as JSON has it."""
    if isinstance(rule.filter, SqlFilter):
        return {"name": rule.name, "sql": rule.filter.expression}
    return {"name": rule.name, "correlation": asdict(rule.filter)}


def loaded(rule: Mapping[str, Any]) -> Rule:
    """Return the rule that `stored` was given."""
    if "sql" in rule:
        return Rule(rule["name"], SqlFilter(rule["sql"]))
    return Rule(rule["name"], CorrelationFilter(**rule["correlation"]))
