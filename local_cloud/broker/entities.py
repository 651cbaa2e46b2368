"""The entities of the namespace: declared by the topology or created by a trigger, and stored."""

import difflib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from local_cloud.broker import message_store, rules
from local_cloud.broker.rules import CorrelationFilter, Rule
from local_cloud.broker.topology import (
    DEAD_LETTER_SUFFIX,
    NAME_MAX,
    Queue,
    QueueSettings,
    Subscription,
    Topology,
    entity_path,
)
from shared.kernel.errors import Invalid, NotFound
from shared.messaging.broker import OutgoingMessage
from shared.messaging.entity_path import split_path, subscription_path

QUEUE: Final = "queue"
TOPIC: Final = "topic"
SUBSCRIPTION: Final = "subscription"
_NAMES_MAX: Final = 12
"""In a refusal."""


@dataclass(frozen=True)
class StoredQueue:
    """A queue or a subscription, which both hold messages, under its number."""

    id: int
    path: str
    settings: QueueSettings
    rules: Sequence[Rule] | None
    """None: of a queue, which takes every message."""

    def accepts(self, message: OutgoingMessage) -> bool:
        return self.rules is None or any(rule.filter.matches(message) for rule in self.rules)


@dataclass
class Entities:
    """All entities by path; names are compared ignoring case."""

    queues: dict[str, StoredQueue] = field(default_factory=dict)
    """Queues and subscriptions."""
    topics: dict[str, dict[str, StoredQueue]] = field(default_factory=dict)
    """Subscriptions by path, by topic."""
    senders: dict[str, int] = field(default_factory=dict)
    """Numbers of queues and topics, which take messages, by path."""
    windows_s: dict[str, float | None] = field(default_factory=dict)
    """Those of duplicate detection, of queues and topics."""
    by_id: dict[int, StoredQueue] = field(default_factory=dict)

    def targets(self, entity: str) -> Sequence[StoredQueue]:
        """Return the queues and subscriptions of *entity*, filters not yet applied.

        Raises:
            NotFound: there is no such queue or topic.
        """
        path = entity_path(entity)
        if path in self.topics:
            return tuple(self.topics[path].values())
        if path in self.senders:
            return (self.queues[path],)
        raise NotFound(
            f"no queue or topic is called {entity[:80]!r}; {_near(path, self.senders)}. "
            "declare it in the file that --broker names, or give a function a trigger on it"
        )

    def sender(self, entity: str) -> int:
        """Return the number of the queue or topic *entity*. Raises NotFound."""
        self.targets(entity)
        return self.senders[entity_path(entity)]

    def number(self, path: str) -> int:
        """Return the number of a queue, a subscription, or its dead-letter sub-queue (negative).

        Raises:
            NotFound: there is no such entity.
        """
        wanted = entity_path(path)
        is_dead = wanted.endswith(DEAD_LETTER_SUFFIX)
        held = self.queues.get(wanted.removesuffix(DEAD_LETTER_SUFFIX))
        if held is None:
            raise NotFound(
                f"no queue or subscription is called {path[:160]!r}; "
                f"{_near(wanted, self.queues)}. declare it in the file that --broker names"
            )
        return -held.id if is_dead else held.id

    def sender_path(self, number: int) -> str:
        return next(path for path, known in self.senders.items() if known == number)

    def settings(self, number: int) -> QueueSettings:
        return self.by_id[abs(number)].settings

    def max_delivery_count(self, number: int) -> int | None:
        """Return None for a dead-letter sub-queue, which keeps messages however often they fail."""
        return self.settings(number).max_delivery_count if number > 0 else None

    def dead_letters_expired(self, number: int) -> bool:
        return self.settings(number).dead_letters_expired

    def put(self, number: int, path: str, kind: str, definition: str) -> None:
        """Take one stored entity into memory."""
        stored = json.loads(definition)
        if kind == TOPIC:
            self.topics.setdefault(path, {})
            self.senders[path] = number
            self.windows_s[path] = stored.get("duplicate_window_s")
            return
        settings = QueueSettings(**stored["settings"])
        if kind == QUEUE:
            held = StoredQueue(number, path, settings, None)
            self.senders[path] = number
            self.windows_s[path] = settings.duplicate_window_s
        else:
            rules = _rules(stored)
            held = StoredQueue(number, path, settings, rules)
            topic, _ = split_path(path)
            self.topics.setdefault(topic, {})[path] = held
        self.queues[path] = held
        self.by_id[number] = held


def _rules(stored: Mapping[str, Any]) -> Sequence[Rule]:
    if "rules" in stored:
        return [rules.loaded(rule) for rule in stored["rules"]]
    # A subscription of an earlier version.
    return Subscription("", [CorrelationFilter(**each) for each in stored["filters"]]).rules


Definition = tuple[str, str, str]
"""Path, kind, JSON."""


def definitions(topology: Topology) -> Iterator[Definition]:
    """Yield every entity of *topology* as it is stored."""
    for queue in topology.queues:
        yield define_queue(queue)
    for topic in topology.topics:
        yield define_topic(topic.name, topic.duplicate_window_s)
        for subscription in topic.subscriptions:
            yield define_subscription(topic.name, subscription)


def define_queue(queue: Queue) -> Definition:
    return entity_path(queue.name), QUEUE, _json(settings=asdict(queue.settings))


def define_topic(name: str, duplicate_window_s: float | None = None) -> Definition:
    return entity_path(name), TOPIC, _json(duplicate_window_s=duplicate_window_s)


def define_subscription(topic: str, subscription: Subscription) -> Definition:
    return (
        entity_path(subscription_path(topic, subscription.name)),
        SUBSCRIPTION,
        _json(
            settings=asdict(subscription.settings),
            rules=[rules.stored(rule) for rule in subscription.rules],
        ),
    )


def with_rules(held: StoredQueue, changed: Sequence[Rule]) -> Definition:
    """Return the subscription *held* with *changed* rules, which no declaration takes back."""
    stored = [rules.stored(rule) for rule in changed]
    settings = asdict(held.settings)
    return held.path, SUBSCRIPTION, _json(settings=settings, rules=stored, changed=True)


def _json(**parts: Any) -> str:
    return json.dumps(parts, separators=(",", ":"))


def save(connection: sqlite3.Connection, wanted: Sequence[Definition]) -> None:
    """Store *wanted*. An entity keeps its kind for life.

    Raises:
        Invalid: an entity of that name is of another kind.
    """
    present = {path: row for _, path, *row in message_store.load_entities(connection)}
    for path, kind, definition in wanted:
        known, earlier = present.get(path, (kind, "{}"))
        if known != kind:
            raise Invalid(f"{path} is a {known}, expected a {kind}: choose another name")
        message_store.save_entity(connection, path, kind, _declared(definition, earlier))


def _declared(definition: str, earlier: str) -> str:
    """Return *definition* with the rules of *earlier*, where a client has changed them."""
    stored = json.loads(earlier)
    if not stored.get("changed"):
        return definition
    return _json(**{**json.loads(definition), "rules": stored["rules"], "changed": True})


def load(connection: sqlite3.Connection) -> Entities:
    entities = Entities()
    for number, path, kind, definition in message_store.load_entities(connection):
        entities.put(number, path, kind, definition)
    return entities


def _near(path: str, known: Collection[str]) -> str:
    """Return the names in *known* that are like *path*, else all of a few."""
    if near := difflib.get_close_matches(path[:NAME_MAX], known):
        return f"of a like name: {', '.join(near)}"
    if len(known) > _NAMES_MAX:
        return f"none of {len(known)} has a like name"
    return f"there are: {', '.join(sorted(known)) or 'none'}"
