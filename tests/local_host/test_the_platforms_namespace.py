"""What the host declares for the platform's own apps comes from the registry of messages."""

from local_host.platform_topology import platform_topology
from shared.contracts.events import EVENTS, FACTORY_EVENTS, RUNTIME_EVENTS
from shared.contracts.values import Service
from shared.messaging.broker import OutgoingMessage


def test_an_event_reaches_exactly_its_consumers() -> None:
    topics = {topic.name: topic for topic in platform_topology().topics}

    for event in EVENTS.values():
        message = OutgoingMessage(b"{}", "id", application_properties={"cs-event-type": event.name})
        taking = {each.name for each in topics[event.topic].subscriptions if each.takes(message)}

        assert taking == {str(service) for service in event.consumers}, event.name


def test_an_event_of_an_unknown_type_reaches_nobody() -> None:
    message = OutgoingMessage(b"{}", "id", application_properties={"cs-event-type": "Unheard"})

    assert not any(
        subscription.takes(message)
        for topic in platform_topology().topics
        for subscription in topic.subscriptions
    )


def test_every_service_has_a_command_queue_and_messages_are_delivered_twenty_times() -> None:
    topology = platform_topology()
    settings = [queue.settings for queue in topology.queues]
    settings += [each.settings for topic in topology.topics for each in topic.subscriptions]

    assert len(topology.queues) == len(Service)
    assert {each.max_delivery_count for each in settings} == {20}
    assert {topic.name for topic in topology.topics} == {RUNTIME_EVENTS, FACTORY_EVENTS}
