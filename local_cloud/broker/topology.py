"""The declared queues, topics, subscriptions and filters of a namespace.

Defaults and bounds are Service Bus':
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas and
https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement.
No consumer of the platform may depend on sessions: they are for other applications.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from local_cloud.broker.rules import DEFAULT_RULE, CorrelationFilter, Filter, Rule
from shared.kernel.errors import Invalid
from shared.messaging.entity_path import subscription_path

LOCK_MAX_S: Final = 300.0
NAME_MAX: Final = 260
DELIVERY_COUNT_MAX: Final = 2000
_WINDOW_MIN_S: Final = 20.0
_WINDOW_MAX_S: Final = 7 * 24 * 3600.0
DEAD_LETTER_SUFFIX: Final = "/$deadletterqueue"
_SEGMENTS: Final = re.compile(r"[a-z0-9._-]+(/[a-z0-9._-]+)*", re.IGNORECASE)


def _check_window(window_s: float | None) -> None:
    if window_s is not None and not _WINDOW_MIN_S <= window_s <= _WINDOW_MAX_S:
        raise Invalid(
            f"duplicate_window_s is {window_s:g}, expected {_WINDOW_MIN_S:g} to {_WINDOW_MAX_S:g}"
        )


@dataclass(frozen=True)
class QueueSettings:
    """How a queue, or a subscription, hands out and gives up messages."""

    lock_s: float = 60.0
    max_delivery_count: int = 10
    time_to_live_s: float | None = None
    """Upper bound for each message's own; None: a message lives until it is settled."""
    dead_letters_expired: bool = False
    """False: an expired message is dropped, as in Service Bus unless asked otherwise."""
    requires_session: bool = False
    """Each message names a session, and a receiver has whole sessions."""
    duplicate_window_s: float | None = None
    """Of a queue: how long a message of an id that it has taken is dropped; None: it is not."""

    def __post_init__(self) -> None:
        if not 0 < self.lock_s <= LOCK_MAX_S:
            raise Invalid(f"lock_s is {self.lock_s}, expected above 0 and at most {LOCK_MAX_S:g}")
        _check_window(self.duplicate_window_s)
        if not 1 <= self.max_delivery_count <= DELIVERY_COUNT_MAX:
            raise Invalid(
                f"max_delivery_count is {self.max_delivery_count}, "
                f"expected 1 to {DELIVERY_COUNT_MAX}"
            )


EVERY_MESSAGE: Final = (CorrelationFilter(),)


@dataclass(frozen=True)
class Queue:
    name: str
    settings: QueueSettings = QueueSettings()


@dataclass(frozen=True)
class Subscription:
    """Takes one copy of each message that any of *filters* matches; without filters none."""

    name: str
    filters: Sequence[Filter] = EVERY_MESSAGE
    settings: QueueSettings = QueueSettings()
    rule_names: Sequence[str] = ()
    """Those of the filters; without them `$Default`, or `rule-1` and so on."""

    @property
    def rules(self) -> Sequence[Rule]:
        names = self.rule_names
        if not names:
            is_default = self.filters == EVERY_MESSAGE
            numbered = [f"rule-{number}" for number in range(1, len(self.filters) + 1)]
            names = [DEFAULT_RULE] if is_default else numbered
        return [Rule(name, each) for name, each in zip(names, self.filters, strict=True)]


@dataclass(frozen=True)
class Topic:
    name: str
    subscriptions: Sequence[Subscription] = ()
    duplicate_window_s: float | None = None
    """As of a queue."""

    def __post_init__(self) -> None:
        _check_window(self.duplicate_window_s)


@dataclass(frozen=True)
class Topology:
    """Everything declared. Names are unique over queues and topics, whatever their case."""

    topics: Sequence[Topic] = ()
    queues: Sequence[Queue] = ()

    def __post_init__(self) -> None:
        names = [entity_path(topic.name) for topic in self.topics]
        names += [entity_path(queue.name) for queue in self.queues]
        for topic in self.topics:
            names += [
                entity_path(subscription_path(topic.name, each.name))
                for each in topic.subscriptions
            ]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Invalid(f"entities declared twice: {', '.join(twice)}; expected each name once")
        for name in names:
            check_name(name)


def check_name(name: str) -> None:
    """Raise Invalid for a name that Service Bus gives no entity."""
    if not 0 < len(name) <= NAME_MAX or not _SEGMENTS.fullmatch(name):
        raise Invalid(
            f"entity name {name[:80]!r} has {len(name)} characters, expected 1 to {NAME_MAX}:"
            " letters, digits, . - _ and single slashes between them"
        )


def entity_path(name: str) -> str:
    """Return the form under which an entity is kept: Service Bus ignores the case of names."""
    return name.lower()
