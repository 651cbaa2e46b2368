"""Pumps move messages from one queue or subscription into one function: singly or in batches."""

import asyncio
import logging
from collections.abc import Sequence

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import ReceivedMessage
from local_cloud.broker.receiver_link import ReceiverLink
from local_cloud.broker.topology import DEAD_LETTER_SUFFIX, Queue, Subscription
from local_host.model import IndexedFunction, Invoker
from local_host.service_bus import messages
from local_host.service_bus.invocations import Invocations
from local_host.service_bus.pump import Pump
from local_host.service_bus.settings import ServiceBusSettings
from shared.kernel.clock import Clock
from shared.messaging.entity_path import subscription_path

_log = logging.getLogger(__name__)


def pump_for(
    function: IndexedFunction,
    settings: ServiceBusSettings,
    *,
    broker: Broker,
    invoker: Invoker,
    clock: Clock,
) -> Pump:
    """Return the pump that the function's cardinality asks for."""
    invocations = Invocations(function, settings, settler=broker, invoker=invoker, clock=clock)
    kind = BatchPump if is_batch(function) else SinglePump
    return kind(invocations, broker, clock)


def is_batch(function: IndexedFunction) -> bool:
    """Return whether *function* takes many messages at once."""
    return function.trigger.text("cardinality", "one").lower() == "many"


class BrokerPump(Pump):
    """Receives from the broker of the host's own cloud."""

    def __init__(self, invocations: Invocations, broker: Broker, clock: Clock) -> None:
        super().__init__(invocations, clock)
        self._settings = invocations.settings
        self._broker = broker
        self._path = ""

    async def _open(self) -> None:
        """Create the queue or subscription if nobody declared it."""
        self._path = await self._ensure_entity()

    def _interrupt(self) -> None:
        self._broker.arrivals(self._path).notify()

    async def _ensure_entity(self) -> str:
        trigger = self._invocations.function.trigger
        topic, subscription = trigger.text("topicName"), trigger.text("subscriptionName")
        if topic:
            path = subscription_path(topic, subscription)
            created = await self._broker.create_subscription(topic, Subscription(subscription))
        else:
            path = trigger.text("queueName")
            created = not path.lower().endswith(DEAD_LETTER_SUFFIX) and (
                await self._broker.create_queue(Queue(path))
            )
        if created:
            _log.info("created %s, which %s listens to", path, self._invocations.function.name)
        return path


class SinglePump(BrokerPump):
    """Cardinality one: as many invocations at once as the settings say, each with one message."""

    async def _receive(self) -> None:
        invocations = self._invocations
        link = invocations.link = self._broker.open_link(self._path)
        invocations.changed = link.changed
        try:
            while not invocations.stopping:
                link.changed.clear()
                await self._fill(link)
                await link.changed.wait()
        finally:
            invocations.link = None
            self._broker.close_link(link)
        await self._empty(link)

    async def _fill(self, link: ReceiverLink) -> None:
        """Begin what was handed over, grant credit for more, query the backlog."""
        invocations, settings = self._invocations, self._settings
        while not invocations.stopping:
            while link.messages and len(invocations) < settings.max_concurrent_calls:
                self._begin(link.messages.popleft())
            places = settings.max_concurrent_calls + settings.prefetch_count
            places -= len(invocations) + len(link.messages)
            link.grant_credit(places)
            room = places - link.expected
            if room <= 0 or not link.has_backlog:
                return
            link.has_backlog = False
            link.expect(room)
            locked: Sequence[ReceivedMessage] = ()
            try:
                locked = await self._broker.lock(self._path, room)
            finally:
                link.fill(locked, expected=room)

    def _begin(self, message: ReceivedMessage) -> None:
        # A prefetched message is renewed only from here: while it waits its lock may run out.
        self._broker.keep_renewed(message, self._settings.max_auto_lock_renewal_s)
        self._invocations.begin([message], messages.one(message))

    async def _empty(self, link: ReceiverLink) -> None:
        """Release what was handed over, and what is still in transit."""
        while link.expected or link.messages:
            given = list(link.messages)
            link.messages.clear()
            await self._invocations.release(given)
            if link.expected:
                link.changed.clear()
                await link.changed.wait()


class BatchPump(BrokerPump):
    """Cardinality many: one batch at a time."""

    async def _receive(self) -> None:
        while not self._invocations.stopping:
            batch = await self._receive_batch()
            if batch:
                run = self._invocations.begin(batch, messages.many(batch))
                await asyncio.wait([run])

    async def _receive_batch(self) -> list[ReceivedMessage]:
        """Return a batch, waiting for its minimum size as long as the settings say."""
        settings = self._settings
        arrivals = self._broker.arrivals(self._path)
        batch: list[ReceivedMessage] = []
        give_up_at_s = 0.0
        while not self._invocations.stopping:
            seen = arrivals.count
            batch += await self._broker.lock(
                self._path, settings.max_message_batch_size - len(batch)
            )
            now_s = self._clock.monotonic_s()
            if not batch:
                await arrivals.since(seen)
                continue
            give_up_at_s = give_up_at_s or now_s + settings.max_batch_wait_s
            if len(batch) >= settings.min_message_batch_size or now_s >= give_up_at_s:
                return batch
            await self._arrival_or_delay(seen, give_up_at_s - now_s)
        await self._invocations.release(batch)
        return []

    async def _arrival_or_delay(self, seen: int, delay_s: float) -> None:
        arrival = asyncio.ensure_future(self._broker.arrivals(self._path).since(seen))
        delay = asyncio.ensure_future(self._clock.sleep(delay_s))
        await asyncio.wait((arrival, delay), return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()
        delay.cancel()
