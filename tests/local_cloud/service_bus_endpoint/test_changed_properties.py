"""What a receiver changes of a message's properties when it gives it up is kept.

azure-servicebus changes none, so dispositions are made here as the other SDKs make them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from local_cloud.broker.message import AmqpMessage, ReceivedMessage
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import TooLarge
from tests.kit.service_bus import message, until
from tests.kit.service_bus_wire import ServedBroker, served, signature

if TYPE_CHECKING:
    from proton import Delivery

pytestmark = pytest.mark.real


@asynccontextmanager
async def delivered() -> AsyncIterator[tuple[ServedBroker, Any, "Delivery"]]:
    """Serve a message to a raw client, which has not settled it."""
    async with served() as bus:
        from tests.kit.raw_amqp import raw_client

        sent = message("x", application_properties={"kept": "old", "changed": "old"})
        await bus.broker.send("orders", [sent])
        async with raw_client(bus.endpoint.port) as raw:
            await raw.put_token(signature("a key of the test"), "orders")
            link = raw.session.receiver("in")
            link.source.address = "orders"
            link.open()
            link.flow(1)
            await raw.until(lambda: link.current)
            yield bus, raw, link.current


def properties_of(shown: ReceivedMessage) -> dict[str, Any]:
    from local_cloud.service_bus_endpoint.message_codec import read_message, written

    read = read_message(written(shown), SystemEntropy())
    assert isinstance(read, AmqpMessage)
    return dict(read.application_properties)


@pytest.mark.parametrize("sets_aside", [False, True], ids=["abandoned", "deferred"])
async def test_abandoning_and_deferring_keep_what_was_changed(*, sets_aside: bool) -> None:
    async with delivered() as (bus, raw, delivery):
        from proton import Delivery, symbol

        delivery.local.annotations = {symbol("changed"): "new", symbol("added"): 7}
        delivery.local.failed, delivery.local.undeliverable = not sets_aside, sets_aside
        delivery.update(Delivery.MODIFIED)
        await raw.until(lambda: delivery.settled)
        (shown,) = bus.broker.peek("orders")

    assert properties_of(shown) == {"kept": "old", "changed": "new", "added": 7}
    assert shown.is_deferred is sets_aside


async def test_dead_lettering_keeps_what_was_changed_beside_the_reason() -> None:
    async with delivered() as (bus, raw, delivery):
        from proton import Condition, Delivery, symbol

        info: Any = {symbol("DeadLetterReason"): "Bad", symbol("added"): 7}
        delivery.local.condition = Condition("com.microsoft:dead-letter", None, info)
        delivery.update(Delivery.REJECTED)
        await raw.until(lambda: delivery.settled)
        await until(lambda: bus.broker.counts()["orders"] == (0, 1))
        (dead,) = bus.broker.peek("orders/$deadletterqueue")

    shown = properties_of(dead)
    assert (dead.dead_letter_reason, shown["added"], shown["kept"]) == ("Bad", 7, "old")


async def test_changes_by_lock_token_are_kept_too_and_have_a_limit() -> None:
    async with served() as bus:
        from local_cloud.service_bus_endpoint.management import Management
        from local_cloud.service_bus_endpoint.message_codec import lock_token

        management = Management(bus.broker, "orders", SystemEntropy())
        await bus.broker.send("orders", [message("x")])
        for changes in ({"first": 1}, {"second": 2}):
            (locked,) = await bus.broker.lock("orders", 1)
            request = {
                "disposition-status": "abandoned",
                "lock-tokens": [lock_token(locked)],
                "properties-to-modify": changes,
            }
            await management.answer("com.microsoft:update-disposition", request)
        (locked,) = await bus.broker.lock("orders", 1)
        too_many = {
            **request,
            "lock-tokens": [lock_token(locked)],
            "properties-to-modify": {"large": "x" * 70_000},
        }
        with pytest.raises(TooLarge):
            await management.answer("com.microsoft:update-disposition", too_many)

        assert properties_of(locked) == {"first": 1, "second": 2}
