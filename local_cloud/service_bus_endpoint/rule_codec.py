"""Rules of subscriptions as clients send and read them.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response#rule-operations
"""

from collections.abc import Mapping
from typing import Any, Final

from proton import Described, ulong

from local_cloud.broker.rules import CorrelationFilter, Filter, Rule, SqlFilter
from local_cloud.service_bus_endpoint.conditions import NOT_IMPLEMENTED, AmqpRefused
from shared.kernel.errors import Invalid

_RULE: Final = ulong(0x13700000004)
_NO_ACTION: Final = ulong(0x13700000005)
_SQL: Final = ulong(0x1370000006)
_TRUE: Final = ulong(0x1370000007)
_FALSE: Final = ulong(0x1370000008)
_CORRELATION: Final = ulong(0x1370000009)
_CONSTANT: Final[Mapping[str, ulong]] = {"1=1": _TRUE, "1=0": _FALSE}
_SQL_VERSION: Final = 20
_NAME_MAX: Final = 50
_PARTS: Final[Mapping[str, str]] = {
    "correlation-id": "correlation_id",
    "message-id": "message_id",
    "to": "to",
    "reply-to": "reply_to",
    "label": "subject",
    "session-id": "session_id",
    "reply-to-session-id": "reply_to_session_id",
    "content-type": "content_type",
}
"""In the order in which a client reads them."""


def read_rule(name: Any, description: Any) -> Rule:
    """Return the rule that a client describes.

    Raises:
        Invalid: it is none.
        AmqpRefused: it has an action.
    """
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_MAX:
        raise Invalid(f"rule-name: expected 1 to {_NAME_MAX} characters")
    if not isinstance(description, dict):
        raise Invalid("rule-description: expected a map")
    action = description.get("sql-rule-action")
    if isinstance(action, dict) and action.get("expression"):
        raise AmqpRefused(NOT_IMPLEMENTED, "actions of rules are not served here", 501)
    return Rule(name, _filter(description))


def _filter(description: Mapping[str, Any]) -> Filter:
    sql = description.get("sql-filter")
    if isinstance(sql, dict):
        expression = sql.get("expression")
        if not isinstance(expression, str):
            raise Invalid("sql-filter: expected an expression")
        return SqlFilter(expression)
    correlation = description.get("correlation-filter")
    if not isinstance(correlation, dict):
        raise Invalid("rule-description: expected a sql-filter or a correlation-filter")
    parts = {ours: _text(correlation.get(theirs)) for theirs, ours in _PARTS.items()}
    properties = correlation.get("properties") or {}
    if not isinstance(properties, dict):
        raise Invalid("properties of a correlation-filter: expected a map")
    return CorrelationFilter(
        properties={str(key): _plain(value) for key, value in properties.items()}, **parts
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _plain(value: Any) -> Any:
    """Return a number, a truth value or a text, without its type of AMQP."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise Invalid("properties of a correlation-filter: expected texts, numbers and truth values")


def written_rule(rule: Rule) -> Described:
    """Return *rule* as a client reads it: filter, action, name."""
    return Described(_RULE, [_written(rule.filter), Described(_NO_ACTION, []), rule.name])


def _written(each: Filter) -> Described:
    if isinstance(each, SqlFilter):
        constant = _CONSTANT.get(each.expression)
        if constant is not None:
            return Described(constant, [])
        return Described(_SQL, [each.expression, _SQL_VERSION])
    if each == CorrelationFilter():
        return Described(_TRUE, [])
    values: list[Any] = [getattr(each, ours) for ours in _PARTS.values()]
    values.append(dict(each.properties))
    return Described(_CORRELATION, values)
