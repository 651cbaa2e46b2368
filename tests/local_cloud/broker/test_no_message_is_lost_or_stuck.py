"""Random senders, failing and slow functions, and hosts killed in between, on a virtual clock."""

import asyncio
import random  # noqa: TID251  a seed decides a whole run

import azure.functions as func
import pytest

from local_cloud.broker.topology import QueueSettings, Subscription, Topic, Topology
from local_cloud.sqlite.database import MEMORY, Database
from local_host.service_bus.message_pumps import pump_for
from local_host.service_bus.settings import ServiceBusSettings
from tests.kit.service_bus import DirectInvoker, listens_to, message, open_broker, until
from tests.kit.virtual_time import LoopClock, run_virtual

NAMES = ("well", "failing", "batches")
MESSAGES = 120


def topology() -> Topology:
    settings = QueueSettings(lock_s=5, max_delivery_count=6)
    return Topology(topics=(Topic("events", [Subscription(n, settings=settings) for n in NAMES]),))


class World:
    """Three functions on one topic, and the host of the moment."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.database = Database(MEMORY)
        self.handled: dict[str, set[str]] = {name: set() for name in NAMES}
        self.sent: set[str] = set()
        self.lives = 0

    def function(self, name: str) -> object:
        async def handler(message: object) -> None:
            await LoopClock().sleep(self.random.choice((0, 0, 0.5, 3, 20)))
            if name != "well" and self.random.random() < 0.3:
                raise RuntimeError("the function fails")
            batch = message if isinstance(message, list) else [message]
            for each in batch:
                assert isinstance(each, func.ServiceBusMessage)
                self.handled[name].add(each.message_id)

        cardinality = "many" if name == "batches" else "one"
        return listens_to(
            handler, topicName="events", subscriptionName=name, cardinality=cardinality
        )

    async def live(self) -> None:
        self.lives += 1
        self.broker = await open_broker(topology(), self.database, seed=self.lives)
        settings = ServiceBusSettings(
            max_concurrent_calls=self.random.choice((1, 3, 16)),
            prefetch_count=self.random.choice((0, 4)),
            max_message_batch_size=5,
            max_auto_lock_renewal_s=10,
        )
        self.pumps = [
            pump_for(
                self.function(name),
                settings,
                broker=self.broker,
                invoker=DirectInvoker(),
                clock=LoopClock(),
            )
            for name in NAMES
        ]
        for pump in self.pumps:
            await pump.start()

    async def die(self) -> None:
        """Cut everything off where it is; nothing is given back and nothing settled."""
        for pump in self.pumps:
            for task in (pump._loop, *pump._invocations._tasks):
                task.cancel()
        await self.broker._namespace.timer.stop()

    async def send(self) -> None:
        number = 0
        while number < MESSAGES:
            await LoopClock().sleep(self.random.choice((0, 0, 0.1, 1)))
            piece = [f"m{number + offset}" for offset in range(self.random.choice((1, 1, 5)))]
            number += len(piece)
            await self.broker.send("events", [message("x", message_id=each) for each in piece])
            self.sent.update(piece)

    def left(self) -> int:
        return sum(held for held, _ in self.broker.counts().values())


@pytest.mark.parametrize("seed", range(8))
def test_every_message_is_handled_or_a_dead_letter_whatever_fails(seed: int) -> None:
    async def main() -> None:
        world = World(seed)
        await world.live()
        sending = asyncio.create_task(world.send())
        for _ in range(6):
            await LoopClock().sleep(world.random.uniform(0.1, 15))
            await world.die()
            await world.live()
        await sending
        await until(lambda: world.left() == 0, within_s=20_000, look_every_s=1)

        for name in NAMES:
            dead = world.broker.peek(f"events/subscriptions/{name}/$DeadLetterQueue", limit=1000)
            accounted = world.handled[name] | {each.message_id for each in dead}
            assert accounted == world.sent
        for pump in world.pumps:
            await pump.stop(1)
        await world.broker.stop()

    run_virtual(main())
