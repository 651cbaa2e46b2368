"""Connections: tokens, cuts, silence, and what is no AMQP."""

import asyncio

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusError

from shared.kernel.errors import Unauthenticated
from tests.kit.patience import PATIENCE_S
from tests.kit.service_bus import message, until
from tests.kit.service_bus_wire import ServedBroker, ShiftedClock, served, signature

pytestmark = pytest.mark.real


async def test_another_key_is_refused() -> None:
    async with served() as bus:
        wrong = bus.endpoint.connection_string.replace("a key of the test", "another key")
        async with ServiceBusClient.from_connection_string(wrong, retry_total=0) as client:
            with pytest.raises(ServiceBusAuthenticationError):
                async with client.get_queue_sender("orders") as sender:
                    await sender.send_messages(ServiceBusMessage("no"))

        assert not bus.broker.peek("orders")


async def test_nothing_is_sent_once_the_token_has_ended() -> None:
    async with (
        served() as bus,
        bus.client() as client,
        client.get_queue_sender("orders") as sender,
    ):
        await sender.send_messages(ServiceBusMessage("in time"))
        bus.clock.ahead_s = 2 * 3600
        with pytest.raises(ServiceBusError, match="unauthorized-access"):
            await sender.send_messages(ServiceBusMessage("too late"))

        assert len(bus.broker.peek("orders")) == 1


def token(path: str, ends_at: int, key: str = "key") -> str:
    return signature(key, path, ends_at)


@pytest.mark.parametrize(
    ("of", "node"),
    [("", "orders"), ("Orders", "orders/$management"), ("events", "events/subscriptions/all")],
    ids=["the-namespace", "an-entity", "a-topic-with-its-subscriptions"],
)
async def test_a_token_allows_what_lies_in_its_resource(of: str, node: str) -> None:
    pytest.importorskip("proton")
    from local_cloud.service_bus_endpoint.authorization import Right
    from local_cloud.service_bus_endpoint.tokens import AccessKey, Grants

    clock = ShiftedClock()
    grants = Grants(AccessKey("root", "key"), None, clock)
    await grants.put(token(of, int(clock.now().timestamp()) + 60), of)

    grants.check(node, Right.LISTEN)
    clock.ahead_s = 61
    with pytest.raises(Unauthenticated):
        grants.check(node, Right.LISTEN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SharedAccessSignature sr=orders",
        "eyJhbGciOiJub25lIn0.e30.",
        token("orders", 2**40, key="other"),
        token("orders", 2**40).replace("skn=root", "skn=guest"),
        token("orders", 5),
        token("orders", 2**40).replace("orders", "refunds"),
    ],
    ids=["empty", "cut-off", "a-jwt", "another-key", "another-name", "expired", "changed"],
)
async def test_a_token_that_is_no_signature_of_the_key_is_refused(text: str) -> None:
    pytest.importorskip("proton")
    from local_cloud.service_bus_endpoint.tokens import AccessKey, Grants

    with pytest.raises(Unauthenticated) as caught:
        await Grants(AccessKey("root", "key"), None, ShiftedClock()).put(text, "orders")

    assert "key" not in str(caught.value)


async def test_a_token_for_one_queue_does_not_open_another_of_a_like_name() -> None:
    pytest.importorskip("proton")
    from local_cloud.service_bus_endpoint.authorization import Right
    from local_cloud.service_bus_endpoint.tokens import AccessKey, Grants

    grants = Grants(AccessKey("root", "key"), None, ShiftedClock())
    await grants.put(token("orders", 2**40), "orders")

    with pytest.raises(Unauthenticated, match="orders-archive"):
        grants.check("orders-archive", Right.SEND)


async def test_a_client_goes_on_after_its_connection_was_cut() -> None:
    async with (
        served() as bus,
        bus.client(retry_total=3, retry_backoff_factor=0.05) as client,
        client.get_queue_sender("orders") as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("before"))
        bus.endpoint.cut_connections()
        await sender.send_messages(ServiceBusMessage("after"))
        received = await receiver.receive_messages(2, max_wait_time=5)

        assert {str(each) for each in received} <= {"before", "after"}
        assert len(bus.broker.peek("orders")) == 2


async def test_what_was_locked_for_a_client_and_not_sent_is_released_when_it_is_gone() -> None:
    async with served() as bus, bus.client() as client:
        async with client.get_queue_receiver("orders") as receiver:
            assert not await receiver.receive_messages(1, max_wait_time=0.2)
            bus.endpoint.cut_connections()
        await bus.broker.send("orders", [message("kept")])

        (received,) = await bus.broker.lock("orders", 1)
        assert received.delivery_count == 1


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\x00\x01\x00\x00\xff\xff\xff\xff\x02\x00\x00\x00",
        b"AMQP\x03\x01\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00",
        b"AMQP\x00\x01\x00\x00" + b"\x00\x00\x00\x14\x02\x00\x00\x00" + b"\xee" * 12,
    ],
    ids=["http", "a-huge-frame", "a-frame-of-one-byte", "no-performative"],
)
async def test_what_is_no_amqp_ends_its_own_connection_only(content: bytes) -> None:
    async with served() as bus, bus.client() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.endpoint.port)
        writer.write(content)
        async with asyncio.timeout(PATIENCE_S):
            while await reader.read(1000):
                pass
        writer.close()
        async with client.get_queue_sender("orders") as sender:
            await sender.send_messages(ServiceBusMessage("fine"))

        assert len(bus.broker.peek("orders")) == 1


async def test_a_silent_client_gets_empty_frames_in_the_time_it_asked_for() -> None:
    async with served() as bus:
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.endpoint.port)
        writer.write(opened(bus, idle_s=1.0))
        async with asyncio.timeout(PATIENCE_S):
            while not (await reader.read(10_000)).endswith(b"\x00\x00\x00\x08\x02\x00\x00\x00"):
                pass
        writer.close()
        await until(lambda: not bus.endpoint.connections)


def test_the_event_loop_of_the_host_serves_it_too() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this machine")

    async def main() -> None:
        async with served() as bus, bus.client() as client:
            async with client.get_queue_sender("orders") as sender:
                for number in range(3):
                    await sender.send_messages(large(number))
            async with client.get_queue_receiver("orders") as receiver:
                received = await receiver.receive_messages(1, max_wait_time=5)
                await receiver.complete_message(received[0])
            await until(lambda: bus.broker.counts()["orders"] == (2, 0))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def large(number: int) -> ServiceBusMessage:
    return ServiceBusMessage(bytes([number]) * 200_000)


def opened(bus: ServedBroker, idle_s: float) -> bytes:
    """Return what a client sends to open a connection on which it hears something each second."""
    from proton import Connection, Transport

    engine, connection = Transport(), Connection()
    engine.idle_timeout = 2 * idle_s
    connection.container = "silent"
    engine.bind(connection)
    connection.open()
    content = bytes(engine.peek(engine.pending()) or b"")
    engine.unbind()
    return content
