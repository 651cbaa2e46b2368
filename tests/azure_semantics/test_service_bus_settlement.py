"""How a trigger settles. Sources: the protocol page, section 2 "Service Bus", and where named."""

import asyncio
from datetime import timedelta
from typing import List  # noqa: UP035  what a real app must write

import azure.functions as func
import pytest

from local_host.model import RetryPolicy
from tests.kit.service_bus import (
    Handler,
    bodies,
    deliveries,
    listening,
    listens_to,
    message,
    open_broker,
    queue,
    until,
)
from tests.kit.virtual_time import LoopClock, run_virtual


def test_a_function_that_returns_completes_its_message() -> None:
    async def main() -> None:
        broker, handler = await open_broker(), Handler()

        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message("one"), message("two")])
            await until(lambda: deliveries(broker)["held"] == 0)

        assert sorted(handler.texts) == ["one", "two"]
        assert deliveries(broker) == {"held": 0, "dead": 0}

    run_virtual(main())


@pytest.mark.parametrize("deliveries_allowed", [1, 10, 20])
def test_an_abandoned_message_comes_again_at_once_until_its_deliveries_are_used_up(
    deliveries_allowed: int,
) -> None:
    """functions-servicebus-extension#161: ten deliveries are used up in seconds."""

    async def main() -> None:
        broker = await open_broker(queue(max_delivery_count=deliveries_allowed))
        handler = Handler(fails=True)

        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message("poison")])
            begun = LoopClock().monotonic_s()
            await until(lambda: deliveries(broker)["dead"] == 1)
            assert LoopClock().monotonic_s() - begun < 0.1

        assert handler.counts == list(range(1, deliveries_allowed + 1))
        (dead,) = broker.peek("orders/$DeadLetterQueue")
        assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert bodies([dead]) == ["poison"]

    run_virtual(main())


def test_a_retry_policy_is_not_applied() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages."""

    async def main() -> None:
        broker = await open_broker(queue(max_delivery_count=2))
        handler = Handler(fails=True)
        policy = RetryPolicy("fixed_delay", 5, timedelta(hours=1), timedelta(hours=1))
        function = listens_to(handler, retry=policy, queueName="orders")

        async with listening(broker, function):
            await broker.send("orders", [message()])
            await until(lambda: deliveries(broker)["dead"] == 1, within_s=60)

        assert handler.counts == [1, 2]

    run_virtual(main())


def test_a_function_has_no_way_to_settle_its_message() -> None:
    """Settlement is a pre-release binding; the message has no method for it."""

    async def main() -> None:
        broker, handler = await open_broker(), Handler()

        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message()])
            await until(lambda: len(handler.given) == 1)

        (given,) = handler.given
        for settlement in ("complete", "abandon", "dead_letter", "defer", "renew_lock"):
            assert not hasattr(given, settlement)

    run_virtual(main())


def test_without_auto_complete_the_lock_runs_out_and_the_message_comes_again() -> None:
    """`autoCompleteMessages: false` leaves settling to the function, which in Python cannot."""

    async def main() -> None:
        broker, handler = await open_broker(queue(max_delivery_count=2)), Handler()

        async with listening(
            broker,
            listens_to(handler, queueName="orders"),
            auto_complete_messages=False,
            max_auto_lock_renewal_s=0,
        ):
            await broker.send("orders", [message()])
            await until(lambda: deliveries(broker)["dead"] == 1)

        assert handler.counts == [1, 2]

    run_virtual(main())


class Batches:
    """A function of cardinality many that fails its first batches."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.given: list[list[str]] = []

    async def __call__(self, message: List[func.ServiceBusMessage]) -> None:  # noqa: UP006
        self.given.append([each.get_body().decode() for each in message])
        if len(self.given) <= self.failures:
            raise RuntimeError("one message of the batch failed")


def test_a_batch_is_completed_whole_or_abandoned_whole() -> None:
    async def main() -> None:
        broker, handler = await open_broker(), Batches(failures=1)
        await broker.send("orders", [message("one"), message("two"), message("three")])

        async with listening(broker, listens_to(handler, queueName="orders", cardinality="MANY")):
            await until(lambda: deliveries(broker)["held"] == 0)

        assert handler.given == [["one", "two", "three"]] * 2

    run_virtual(main())


def test_a_batch_waits_for_its_smallest_size_but_not_longer_than_the_settings_say() -> None:
    """`minMessageBatchSize` and `maxBatchWaitTime` of host.json."""

    async def main() -> None:
        broker, handler = await open_broker(), Batches()

        async with listening(
            broker,
            listens_to(handler, queueName="orders", cardinality="many"),
            min_message_batch_size=3,
            max_message_batch_size=3,
            max_batch_wait_s=30,
        ):
            for text in ("one", "two", "three", "four"):
                await broker.send("orders", [message(text)])
            await until(lambda: deliveries(broker)["held"] == 0)

        assert handler.given == [["one", "two", "three"], ["four"]]

    run_virtual(main())


def test_no_more_calls_run_at_once_than_the_settings_say() -> None:
    """`maxConcurrentCalls`, 16 unless host.json says otherwise."""

    async def main() -> None:
        broker = await open_broker()
        running = most = handled = 0

        async def handler(message: func.ServiceBusMessage) -> None:
            nonlocal running, most, handled
            running += 1
            most = max(most, running)
            await LoopClock().sleep(1)
            running -= 1
            handled += 1

        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message(str(number)) for number in range(40)])
            await until(lambda: handled == 40)

        assert most == 16

    run_virtual(main())


def test_order_is_not_promised_once_a_message_was_abandoned() -> None:
    """Only sessions order: learn.microsoft.com/azure/service-bus-messaging/message-sessions."""

    async def main() -> None:
        broker = await open_broker()
        handled: list[bytes] = []

        async def handler(message: func.ServiceBusMessage) -> None:
            if message.get_body() == b"first" and message.delivery_count == 1:
                await asyncio.wait_for(second_done.wait(), 10)
                raise RuntimeError("try again")
            handled.append(message.get_body())
            second_done.set()

        second_done = asyncio.Event()
        async with listening(broker, listens_to(handler, queueName="orders")):
            await broker.send("orders", [message("first"), message("second")])
            await until(lambda: len(handled) == 2)

        assert handled == [b"second", b"first"]

    run_virtual(main())
