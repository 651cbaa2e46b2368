import pytest

from local_cloud.runtime_topology import runtime_topology
from shared.contracts.commands import COMMANDS
from shared.contracts.events import EVENTS
from shared.contracts.values import Service
from shared.kernel.errors import NotFound
from shared.messaging.envelope import TYPE_PROPERTY
from tests.kit.service_bus import message, open_broker
from tests.kit.virtual_time import run_virtual


def test_every_event_reaches_the_subscriptions_of_its_consumers_and_no_other() -> None:
    async def main() -> None:
        broker = await open_broker(runtime_topology())
        for event in EVENTS.values():
            sent = message(event.name, application_properties={TYPE_PROPERTY: event.name})
            await broker.send(event.topic, [sent])

        for event in EVENTS.values():
            holders = {
                path.rpartition("/")[2]
                for path in broker.counts()
                if path.startswith(f"{event.topic}/")
                and event.name.encode() in {each.body for each in broker.peek(path)}
            }
            assert holders == {service.public_name for service in event.consumers}, event.name
        await broker.stop()

    run_virtual(main())


def test_every_command_has_its_handler_s_queue() -> None:
    async def main() -> None:
        broker = await open_broker(runtime_topology())

        for command in COMMANDS.values():
            await broker.send(command.queue, [message(command.name)])

        assert sum(held for held, _ in broker.counts().values()) == len(COMMANDS)
        await broker.stop()

    run_virtual(main())


def test_a_message_of_ours_is_delivered_twenty_times() -> None:
    async def main() -> None:
        broker = await open_broker(runtime_topology())
        path = "runtime-catalog-commands"
        await broker.send(path, [message()])
        for _ in range(20):
            (received,) = await broker.lock(path, 1)
            await broker.abandon(received)

        assert broker.counts()[path] == (0, 1)
        await broker.stop()

    run_virtual(main())


def test_a_service_that_does_not_run_collects_commands_but_no_events() -> None:
    async def main() -> None:
        broker = await open_broker(runtime_topology([Service.CATALOG]))

        await broker.send("runtime-drift-commands", [message()])
        assert "runtime-events/subscriptions/catalog" in broker.counts()
        with pytest.raises(NotFound):
            await broker.lock("runtime-events/subscriptions/drift", 1)
        await broker.stop()

    run_virtual(main())
