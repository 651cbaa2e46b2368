"""A client that breaks the protocol costs its own connection, and nobody else time or memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random  # noqa: TID251  seeded
from typing import TYPE_CHECKING

import pytest
from azure.servicebus import ServiceBusMessage

from tests.kit.patience import PATIENCE_S
from tests.kit.service_bus import bodies, until
from tests.kit.service_bus_wire import ServedBroker, served, signature

if TYPE_CHECKING:
    from tests.kit.raw_amqp import RawClient

pytestmark = pytest.mark.real
KEY = "a key of the test"
LAG_MAX_S = 0.5
"""Of the processor. Client and server share it here; alone the server takes less than 0.1 s."""


@asynccontextmanager
async def attacked() -> AsyncIterator[tuple[ServedBroker, "RawClient"]]:
    """Serve a raw client; afterwards see that another client was and is served."""
    async with served() as bus:
        from tests.kit.raw_amqp import raw_client

        async with raw_client(bus.endpoint.port) as raw:
            yield bus, raw
        await is_served(bus)


async def is_served(bus: ServedBroker) -> None:
    async with bus.client() as client, client.get_queue_sender("orders") as sender:
        await sender.send_messages(ServiceBusMessage("fine"))
    assert bodies(bus.broker.peek("orders"))[-1] == "fine"


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def transfer(number: int) -> bytes:
    """Return a frame with a small request on the first link, whatever its credit."""
    fields = b"\x43\x70" + number.to_bytes(4, "big") + b"\xa0\x04" + number.to_bytes(4, "big")
    performative = b"\x00\x53\x14\xc0" + bytes((len(fields) + 1, 3)) + fields
    content = performative + b"\x00\x53\x77\xa1\x01a"
    return (len(content) + 8).to_bytes(4, "big") + b"\x02\x00\x00\x00" + content


async def test_frames_of_random_bytes_end_their_connection_only() -> None:
    async with served() as bus:
        from tests.local_cloud.service_bus_endpoint.test_connections import opened

        whole, dice = opened(bus, idle_s=1.0), Random(7)
        for _ in range(150):
            content = bytearray(whole)
            for _ in range(dice.randint(1, 6)):
                content[dice.randrange(8, len(content))] = dice.randrange(256)
            tail = dice.randbytes(dice.randrange(200))
            size = (len(tail) + 8).to_bytes(4, "big")
            reader, writer = await asyncio.open_connection("127.0.0.1", bus.endpoint.port)
            writer.write(bytes(content) + size + b"\x02\x00\x00\x00" + tail)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                while await reader.read(10_000):
                    pass
            writer.close()

        await until(lambda: not bus.endpoint.connections)
        await is_served(bus)


@pytest.mark.long
async def test_a_client_that_attaches_10_000_links_is_cut_off() -> None:
    async with attacked() as (bus, raw):
        for number in range(10_000):
            raw.sender("$cbs", f"link-{number}")
            if number % 100 == 0:
                try:
                    await raw.flush()
                except ConnectionError:
                    break
        await until(lambda: not bus.endpoint.connections)


async def test_a_client_that_sends_on_without_being_asked_is_cut_off() -> None:
    async with attacked() as (bus, raw):
        link = raw.sender("$cbs")
        await raw.until(lambda: link.credit)
        raw.writer.write(b"".join(transfer(number) for number in range(2000)))
        await raw.until(lambda: raw.connection.remote_condition)

        assert raw.connection.remote_condition.name == "amqp:session:window-violation"
        await until(lambda: not bus.endpoint.connections)


@pytest.mark.long
async def test_a_body_of_100_mb_is_refused_and_never_held() -> None:
    async with attacked() as (bus, raw):
        await raw.put_token(signature(KEY), "orders")
        link = raw.sender("orders")
        await raw.until(lambda: link.credit)
        delivery = link.delivery("large")
        before_mb, worst_s = resident_mb(), 0.0
        for _ in range(100 * 2**20 // 65536):
            link.stream(bytes(65536))
            began_s = time.process_time()
            await raw.until(lambda: raw.session.outgoing_bytes < 2**19)
            worst_s = max(worst_s, time.process_time() - began_s)
        link.advance()
        await raw.until(lambda: delivery.remote_state)

        assert delivery.remote.condition.name == "amqp:link:message-size-exceeded"
        assert resident_mb() - before_mb < 30
        assert worst_s < LAG_MAX_S
        assert not bus.broker.peek("orders")


async def test_a_link_that_never_gives_credit_locks_nothing() -> None:
    async with attacked() as (bus, raw):
        await raw.put_token(signature(KEY), "orders")
        link = raw.session.receiver("in")
        link.source.address = "orders"
        link.open()
        await raw.until(lambda: link.remote_source.address)
        await bus.broker.send("orders", [])
        await is_served(bus)

        assert len(await bus.broker.lock("orders", 9)) == 1


async def test_half_a_frame_is_waited_for_and_costs_nobody_else_anything() -> None:
    async with attacked() as (bus, raw):
        await raw.until(lambda: raw.connection.remote_container)
        raw.writer.write(b"\x00\x00\x40\x00\x02\x00\x00\x00" + bytes(5000))
        await raw.writer.drain()

        await is_served(bus)
        assert not raw.is_over


async def test_a_transaction_is_refused_by_name() -> None:
    async with attacked() as (_, raw):
        from proton import Terminus

        link = raw.session.sender("transaction")
        link.target.type = Terminus.COORDINATOR
        link.open()
        await raw.until(lambda: link.remote_condition)

        assert link.remote_condition.name == "amqp:not-implemented"
        assert "transactions are not served" in link.remote_condition.description
