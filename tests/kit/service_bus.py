"""A namespace, and functions that listen to it, without a host around them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import azure.functions as func

from local_cloud.broker.broker import Broker
from local_cloud.broker.topology import Queue, QueueSettings, Subscription, Topic, Topology
from local_cloud.sqlite.database import MEMORY, Database
from local_host.model import (
    Binding,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    InvocationResult,
)
from local_host.service_bus.message_pumps import pump_for
from local_host.service_bus.settings import ServiceBusSettings
from local_host.service_bus.trigger import ServiceBusListener
from shared.kernel.clock import Clock
from shared.messaging.broker import OutgoingMessage
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import LoopClock

T = TypeVar("T")
ORDERS = Topology(queues=(Queue("orders"),))
EVENTS = Topology(topics=(Topic("events", (Subscription("all"),)),))
ALL = "events/subscriptions/all"


class Handler:
    """A function that remembers what it was given, and fails as long as `fails` says."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.given: list[func.ServiceBusMessage] = []

    async def __call__(self, message: func.ServiceBusMessage) -> None:
        self.given.append(message)
        if self.fails:
            raise RuntimeError("the function fails")

    @property
    def texts(self) -> list[str]:
        return [each.get_body().decode() for each in self.given]

    @property
    def counts(self) -> list[int | None]:
        return [each.delivery_count for each in self.given]


class DirectInvoker:
    """Calls the handler; what it raises is a failed invocation, as in the host."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        function = invocation.function
        try:
            return InvocationResult(await function.handler(**invocation.arguments))
        except Exception as problem:
            text = f"{type(problem).__name__}: {problem}"
            raise InvocationFailed(function.name, text, problem) from problem


def message(text: str = "hello", **fields: Any) -> OutgoingMessage:
    return OutgoingMessage(text.encode(), fields.pop("message_id", f"id-{text}"), **fields)


def listens_to(
    handler: Callable[..., Any], *, retry: Any = None, **binding: Any
) -> IndexedFunction:
    """Return *handler* as a function with a Service Bus trigger; its parameter is `message`."""
    trigger = Binding("serviceBusTrigger", "message", "in", binding)
    return IndexedFunction("handler", "app", handler, True, trigger, [trigger], retry=retry)


async def open_broker(
    topology: Topology = ORDERS,
    database: Database | None = None,
    clock: Clock | None = None,
    seed: int = 1,
) -> Broker:
    broker = Broker(
        database or Database(MEMORY),
        topology,
        clock=clock or LoopClock(),
        entropy=SeededEntropy(seed),
    )
    await broker.start()
    return broker


@asynccontextmanager
async def listening(
    broker: Broker, *functions: IndexedFunction, **settings: Any
) -> AsyncIterator[ServiceBusListener]:
    """Run *functions* while inside; `settings` are those of `ServiceBusSettings`."""
    clock = LoopClock()
    pumps = [
        pump_for(
            function,
            ServiceBusSettings(**settings),
            broker=broker,
            invoker=DirectInvoker(),
            clock=clock,
        )
        for function in functions
    ]
    listener = ServiceBusListener(pumps, grace_s=10)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()
        await broker.stop()


def queue(name: str = "orders", **settings: Any) -> Topology:
    return Topology(queues=(Queue(name, QueueSettings(**settings)),))


async def until(
    condition: Callable[[], bool], within_s: float = 600, *, look_every_s: float = 0.01
) -> None:
    """Return once *condition* holds; on a virtual loop waiting costs nothing."""
    async with asyncio.timeout(within_s):
        while not condition():
            await LoopClock().sleep(look_every_s)


class FailingDatabase(Database):
    """A database whose writes fail while `fails`."""

    fails = False

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, undoes_itself: bool = False
    ) -> T:
        if self.fails:
            raise OSError("no space left on device")
        return await super().write(work, undoes_itself=undoes_itself)


def bodies(messages: Any) -> list[str]:
    return [each.body.decode() for each in messages]


def deliveries(broker: Broker, path: str = "orders") -> Mapping[str, int]:
    held, dead = broker.counts()[path.lower()]
    return {"held": held, "dead": dead}
