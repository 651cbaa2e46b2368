"""A topology from a file in the form of the Service Bus emulator's `Config.json`.

People who run the emulator have such a file already:
https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator.
Features that this broker lacks (forwarding, rule actions) are refused
with their path in the file, never ignored.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from local_cloud.broker.rules import CorrelationFilter, Filter, SqlFilter
from local_cloud.broker.topology import (
    EVERY_MESSAGE,
    Queue,
    QueueSettings,
    Subscription,
    Topic,
    Topology,
)
from shared.kernel.errors import Invalid

_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>[\d.]+)S)?)?"
)
_SETTINGS: Final = {
    "LockDuration", "MaxDeliveryCount", "DefaultMessageTimeToLive",
    "DeadLetteringOnMessageExpiration", "RequiresSession", "RequiresDuplicateDetection",
    "DuplicateDetectionHistoryTimeWindow",
}  # fmt: skip
_OFF_ONLY: Final = {"ForwardTo", "ForwardDeadLetteredMessagesTo"}
_WINDOW_S: Final = 600.0
"""Of duplicate detection, unless it is given."""
_FILTER_PARTS: Final = {
    "Label": "subject", "Subject": "subject", "CorrelationId": "correlation_id",
    "MessageId": "message_id", "ContentType": "content_type", "Properties": "properties",
    "To": "to", "ReplyTo": "reply_to", "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
}  # fmt: skip


def load_topology(path: Path) -> Topology:
    """Return what the file declares. Raises Invalid, naming the place in the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise Invalid(f"it is not JSON: {problem}") from problem
    if not isinstance(content, dict) or not isinstance(content.get("UserConfig", {}), dict):
        raise Invalid("UserConfig.Namespaces: expected a list with one namespace")
    return topology_of(content)


def topology_of(content: Mapping[str, Any]) -> Topology:
    """Return what *content*, the parsed file, declares. Raises Invalid."""
    namespaces = content.get("UserConfig", {}).get("Namespaces")
    if not isinstance(namespaces, list) or len(namespaces) != 1:
        raise Invalid("UserConfig.Namespaces: expected a list with one namespace")
    queues, topics = namespaces[0].get("Queues", []), namespaces[0].get("Topics", [])
    return Topology(
        topics=[_topic(topic, f"Topics[{index}]") for index, topic in enumerate(topics)],
        queues=[
            Queue(_name(queue, f"Queues[{index}]"), _settings(queue, f"Queues[{index}]"))
            for index, queue in enumerate(queues)
        ],
    )


def _topic(topic: Mapping[str, Any], path: str) -> Topic:
    own = _settings(topic, path)
    subscriptions = [
        _subscription(each, f"{path}.Subscriptions[{index}]", own.time_to_live_s)
        for index, each in enumerate(topic.get("Subscriptions", []))
    ]
    return Topic(_name(topic, path), subscriptions, own.duplicate_window_s)


def _subscription(
    subscription: Mapping[str, Any], path: str, topic_time_to_live_s: float | None
) -> Subscription:
    settings = _settings(subscription, path, topic_time_to_live_s)
    rules = subscription.get("Rules")
    if rules is None:
        return Subscription(_name(subscription, path), EVERY_MESSAGE, settings)
    names = [_name(rule, f"{path}.Rules[{index}]") for index, rule in enumerate(rules)]
    return Subscription(_name(subscription, path), list(_filters(rules, path)), settings, names)


def _name(entity: Mapping[str, Any], path: str) -> str:
    name = entity.get("Name")
    if not isinstance(name, str) or not name:
        raise Invalid(f"{path}.Name: expected a name, got {name!r}")
    return name


def _settings(
    entity: Mapping[str, Any], path: str, time_to_live_max_s: float | None = None
) -> QueueSettings:
    properties = entity.get("Properties", {})
    for key, value in properties.items():
        if key in _OFF_ONLY and value:
            raise Invalid(f"{path}.Properties.{key} is {value!r}: not served here, leave it out")
        if key not in _SETTINGS | _OFF_ONLY:
            known = ", ".join(sorted(_SETTINGS))
            raise Invalid(f"{path}.Properties.{key} is unknown; expected one of {known}")
    lives = _seconds(properties, "DefaultMessageTimeToLive", path)
    bounds = [bound for bound in (lives, time_to_live_max_s) if bound is not None]
    defaults = QueueSettings()
    return QueueSettings(
        _seconds(properties, "LockDuration", path) or defaults.lock_s,
        _count(properties.get("MaxDeliveryCount", defaults.max_delivery_count), path),
        min(bounds, default=None),
        bool(properties.get("DeadLetteringOnMessageExpiration", False)),
        bool(properties.get("RequiresSession", False)),
        _window_s(properties, path),
    )


def _window_s(properties: Mapping[str, Any], path: str) -> float | None:
    given_s = _seconds(properties, "DuplicateDetectionHistoryTimeWindow", path)
    return (given_s or _WINDOW_S) if properties.get("RequiresDuplicateDetection") else None


def _count(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"{path}.Properties.MaxDeliveryCount: expected a whole number, got {value!r}")
    return value


def _seconds(properties: Mapping[str, Any], key: str, path: str) -> float | None:
    text = properties.get(key)
    if text is None:
        return None
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    parts = {name: float(part) for name, part in match.groupdict().items() if part} if match else {}
    if not parts:
        raise Invalid(
            f"{path}.Properties.{key}: expected an ISO 8601 duration such as PT1M, got {text!r}"
        )
    return timedelta(**parts).total_seconds()


def _filters(rules: Sequence[Mapping[str, Any]], path: str) -> Iterator[Filter]:
    for index, rule in enumerate(rules):
        here = f"{path}.Rules[{index}].Properties"
        properties = rule.get("Properties", {})
        kind = properties.get("FilterType")
        if kind not in {"Correlation", "Sql"} or properties.get("Action"):
            raise Invalid(
                f"{here}: expected FilterType Correlation or Sql without an Action, got {kind!r}"
            )
        if kind == "Sql":
            yield _sql_filter(properties.get("SqlFilter", {}).get("SqlExpression"), here)
            continue
        given = properties.get("CorrelationFilter", {})
        unknown = sorted(set(given) - set(_FILTER_PARTS))
        if unknown:
            raise Invalid(
                f"{here}.CorrelationFilter.{unknown[0]}: not served here; "
                f"expected {', '.join(_FILTER_PARTS)}"
            )
        yield CorrelationFilter(**{_FILTER_PARTS[key]: value for key, value in given.items()})


def _sql_filter(expression: Any, here: str) -> SqlFilter:
    if not isinstance(expression, str):
        raise Invalid(f"{here}.SqlFilter.SqlExpression: expected a condition")
    try:
        return SqlFilter(expression)
    except Invalid as problem:
        raise Invalid(f"{here}.SqlFilter.SqlExpression: {problem}") from problem
