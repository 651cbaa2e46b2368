"""The platform's own queues, topics and subscriptions, as `shared.contracts` names them.

A host that runs the services gives this to `HostSettings.cloud`; `tools/azure_template.py` prints
the same for Azure. Other apps need none: their triggers create what they listen to.
"""

from collections.abc import Collection, Iterator
from typing import Final

from local_cloud.broker.rules import CorrelationFilter
from local_cloud.broker.topology import (
    Queue,
    QueueSettings,
    Subscription,
    Topic,
    Topology,
)
from shared.contracts.entities import FACTORY_EVENTS, RUNTIME_EVENTS, command_queue
from shared.contracts.events import subscription
from shared.contracts.values import Service
from shared.messaging.envelope import TYPE_PROPERTY

SETTINGS: Final = QueueSettings(max_delivery_count=20)
"""Twice the default: an abandoned message comes again at once, and ten deliveries are used up in
the seconds that a store's fail-over takes."""


def runtime_topology(services: Collection[Service] = tuple(Service)) -> Topology:
    """Return the entities of a platform that runs *services*.

    A service that does not run has no subscriptions, so that events do not pile up; its queue is
    there all the same: a command waits for its service, and sending it is no error.
    """
    return Topology(
        topics=[
            Topic(topic, list(_subscriptions(topic, services)))
            for topic in (RUNTIME_EVENTS, FACTORY_EVENTS)
        ],
        queues=[Queue(command_queue(service), SETTINGS) for service in Service],
    )


def _subscriptions(topic: str, services: Collection[Service]) -> Iterator[Subscription]:
    for service in sorted(services):
        taken = subscription(topic, service)
        if taken:
            filters = [CorrelationFilter(properties={TYPE_PROPERTY: name}) for name in taken]
            yield Subscription(service.public_name, filters, SETTINGS)
