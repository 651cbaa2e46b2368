"""What a sender makes of a Service Bus that throttles, cuts, refuses or is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from shared.kernel.errors import Unavailable
from shared.messaging.service_bus import ServiceBusMessages
from tests.kit.cut_proxy import CutProxy, Stall
from tests.kit.service_bus import bodies, message, until
from tests.kit.service_bus_wire import BusyDatabase, CuttingDatabase, ServedBroker, served

pytestmark = pytest.mark.real


async def test_a_cut_connection_is_opened_again() -> None:
    async with served() as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        await sender.send("orders", [message("before")])
        bus.endpoint.cut_connections()
        await sender.send("orders", [message("after")])
        await sender.close()

        assert set(bodies(bus.broker.peek("orders"))) == {"before", "after"}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_cut_before_or_after_the_effect_loses_nothing(moment: str) -> None:
    takes_effect = moment == "after"
    database = CuttingDatabase(takes_effect=takes_effect)
    async with served(database=database) as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        await sender.send("orders", [message("before")])
        database.cut = bus.endpoint.cut_connections
        try:
            await sender.send("orders", [message("cut")])
        except Unavailable:
            await sender.send("orders", [message("cut")])
        await sender.close()

        # A message whose answer was lost is there twice, under the id by which consumers know it.
        ids = [each.message_id for each in bus.broker.peek("orders")]
        assert ids == ["id-before", "id-cut", *(["id-cut"] if takes_effect else [])]


async def test_a_namespace_that_is_gone_is_unavailable_and_used_again_once_it_is_back() -> None:
    async with served() as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        await sender.send("orders", [message("before")])
        await bus.endpoint.stop()
        with pytest.raises(Unavailable) as caught:
            await sender.send("orders", [message("lost")])
        await bus.endpoint.start()
        await sender.send("orders", [message("after")])
        await sender.close()

        assert bodies(bus.broker.peek("orders")) == ["before", "after"]
        assert "a key of the test" not in str(caught.value)


async def test_a_busy_service_is_unavailable_with_the_time_to_wait() -> None:
    database = BusyDatabase()
    async with served(database=database) as bus:
        sender = ServiceBusMessages(connection_string=bus.endpoint.connection_string)
        database.is_busy = True
        with pytest.raises(Unavailable) as caught:
            await sender.send("orders", [message("lost")])
        database.is_busy = False
        await sender.send("orders", [message("after")])
        await sender.close()

        assert (caught.value.throttled, caught.value.retry_after_s) == (True, 10)
        assert bodies(bus.broker.peek("orders")) == ["after"]


async def test_a_key_that_is_wrong_is_unavailable_and_in_no_text() -> None:
    async with served() as bus:
        wrong = bus.endpoint.connection_string.replace("a key of the test", "a wrong key")
        sender = ServiceBusMessages(connection_string=wrong)
        with pytest.raises(Unavailable) as caught:
            await sender.send("orders", [message()])
        await sender.close()

        assert "a wrong key" not in f"{caught.value} {sender!r}"


OPENING = b"AMQP\x03"
"""How a client begins a connection."""


@dataclass(frozen=True)
class Wire:
    bus: ServedBroker
    proxy: CutProxy
    sender: ServiceBusMessages


@asynccontextmanager
async def wire(within_s: float = 10.0) -> AsyncIterator[Wire]:
    """Serve `orders` behind a proxy; the sender knows the proxy only."""
    async with served() as bus:
        port = urlsplit(bus.endpoint.connection_string.partition("=")[2].partition(";")[0]).port
        assert port is not None
        async with CutProxy(port) as proxy:
            string = bus.endpoint.connection_string.replace(f":{port}", f":{proxy.port}")
            sender = ServiceBusMessages(connection_string=string, within_s=within_s)
            yield Wire(bus, proxy, sender)
            await sender.close()


async def test_sends_to_a_namespace_that_says_nothing_end_together_and_not_one_by_one() -> None:
    async with wire(within_s=0.5) as sending:
        sending.proxy.will(*[Stall(OPENING, 0)] * 81)

        sends = [sending.sender.send("orders", [message(str(number))]) for number in range(40)]
        ended = await asyncio.gather(*sends, return_exceptions=True)

        assert [type(each) for each in ended] == [Unavailable] * 40
        assert sum(head.startswith(OPENING) for head in sending.proxy.heads) < 20


async def test_a_send_that_was_cancelled_leaves_no_sender_that_is_half_used() -> None:
    async with wire() as sending:
        await sending.sender.send("orders", [message("before")])
        sending.proxy.will(Stall(b"id-cancelled", 0))
        cancelled = asyncio.create_task(sending.sender.send("orders", [message("cancelled")]))
        await until(lambda: sending.proxy.is_done)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled

        await sending.sender.send("orders", [message("after")])

        assert bodies(sending.bus.broker.peek("orders")) == ["before", "cancelled", "after"]
        assert sum(head.startswith(OPENING) for head in sending.proxy.heads) == 2
