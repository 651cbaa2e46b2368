"""The platform's own namespace, from its registry of messages: what Pulumi declares in Azure.

Loaded only for folders that carry the platform's code; any other app's triggers create what they
listen to.
"""

from pathlib import Path
from typing import Final

from local_host.broker.topology import (
    CorrelationFilter,
    Queue,
    QueueSettings,
    Subscription,
    Topic,
    Topology,
)

MAX_DELIVERY_COUNT: Final = 20
"""A dispatcher retries inside the invocation first: twenty deliveries are minutes, not seconds."""
_EVENT_TYPE: Final = "cs-event-type"
_MARK: Final = Path("shared", "contracts", "events.py")


def is_platform(folder: Path) -> bool:
    return (folder / _MARK).exists()


def platform_topology() -> Topology:
    """Return both topics with a filtered subscription per consumer, and the command queues."""
    from shared.contracts.commands import command_queue  # noqa: PLC0415  a quarter of a second
    from shared.contracts.events import (  # noqa: PLC0415
        FACTORY_EVENTS,
        RUNTIME_EVENTS,
        subscription,
    )
    from shared.contracts.values import Service  # noqa: PLC0415

    settings = QueueSettings(max_delivery_count=MAX_DELIVERY_COUNT)
    topics = []
    for topic in (RUNTIME_EVENTS, FACTORY_EVENTS):
        subscriptions = [
            Subscription(
                str(service),
                [CorrelationFilter(properties={_EVENT_TYPE: name}) for name in types],
                settings,
            )
            for service in Service
            if (types := subscription(topic, service))
        ]
        topics.append(Topic(topic, subscriptions))
    queues = [Queue(command_queue(service), settings) for service in Service]
    return Topology(topics, queues)
