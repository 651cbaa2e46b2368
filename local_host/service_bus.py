"""The Service Bus part of the host: queue and topic triggers, and the `serviceBus` output.

What real triggers do, and this one too: a function that returns completes its message, one that
raises or runs out of time abandons it, and an abandoned message is delivered again at once, until
the entity's `max_delivery_count` dead-letters it (functions-servicebus-extension#161). A Python
function cannot settle a message itself, and `@app.retry` is not applied
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from local_host import service_bus_messages
from local_host.broker.broker import Broker
from local_host.broker.ledger import Ending
from local_host.broker.locks import LockLost
from local_host.broker.message import ReceivedMessage
from local_host.broker.receivers import Mailbox
from local_host.broker.topology import (
    DEAD_LETTER_SUFFIX,
    Queue,
    Subscription,
    check_name,
    subscription_path,
)
from local_host.configuration import Configuration, ConfigurationRefused
from local_host.model import (
    Binding,
    Extend,
    Extension,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    Invoker,
    OutputSink,
    Surroundings,
)
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid, Refused
from shared.messaging.broker import OutgoingMessage

_log = logging.getLogger(__name__)
TRIGGER: Final = "serviceBusTrigger"
OUTPUT: Final = "serviceBus"
_AFTER_A_FAILURE_S: Final = 1.0


@dataclass(frozen=True)
class ServiceBusSettings:
    """`extensions.serviceBus` of `host.json`, with its defaults.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings
    `maxConcurrentCalls` and `maxAutoLockRenewalDuration` are, as there, for cardinality one only: a
    batch function runs one batch at a time, and nobody renews the locks of a batch.
    """

    prefetch_count: int = 0
    max_concurrent_calls: int = 16
    auto_complete_messages: bool = True
    max_auto_lock_renewal_s: float = 300.0
    max_message_batch_size: int = 1000
    min_message_batch_size: int = 1
    max_batch_wait_s: float = 30.0


def settings_of(configuration: Configuration) -> ServiceBusSettings:
    """Read the settings of one app. Raises ConfigurationRefused."""
    section = ("extensions", "serviceBus")
    defaults = ServiceBusSettings()

    def number(key: str, default: int, least: int = 1) -> int:
        value = configuration.number(*section, key, default=default)
        if value < least:
            raise ConfigurationRefused(
                f"host.json of {configuration.app}: {'.'.join(section)}.{key} is {value}; "
                f"write {least} or more"
            )
        return value

    def seconds(key: str, default_s: float) -> float:
        default = timedelta(seconds=default_s)
        return configuration.duration(*section, key, default=default).total_seconds()

    return ServiceBusSettings(
        number("prefetchCount", defaults.prefetch_count, least=0),
        number("maxConcurrentCalls", defaults.max_concurrent_calls),
        configuration.flag(
            *section, "autoCompleteMessages", default=defaults.auto_complete_messages
        ),
        seconds("maxAutoLockRenewalDuration", defaults.max_auto_lock_renewal_s),
        number("maxMessageBatchSize", defaults.max_message_batch_size),
        number("minMessageBatchSize", defaults.min_message_batch_size),
        seconds("maxBatchWaitTime", defaults.max_batch_wait_s),
    )


def service_bus(broker: Broker) -> Extend:
    """Return the part of the host that works over *broker*, which the host starts and stops."""

    def extend(surroundings: Surroundings, functions: Sequence[IndexedFunction]) -> Extension:
        clock = surroundings.embedding.clock
        pumps: list[Pump] = []
        refusals: dict[str, str] = {}
        for function in functions:
            if not function.triggered_by(TRIGGER):
                continue
            try:
                settings = settings_of(surroundings.configurations[function.app])
                _check_binding(function)
            except (ConfigurationRefused, Refused) as problem:
                refusals[function.name] = str(problem)
            else:
                invoker = surroundings.invoker
                pumps.append(Pump(function, settings, broker=broker, invoker=invoker, clock=clock))
        return Extension(
            triggers=frozenset({TRIGGER}),
            listener=ServiceBusListener(pumps, clock=clock, grace_s=surroundings.grace_s),
            outputs={OUTPUT: output_sink(broker, surroundings.embedding.entropy)},
            refusals=refusals,
        )

    return extend


def _check_binding(function: IndexedFunction) -> None:
    """Raises Invalid when this host cannot serve the trigger."""
    trigger = function.trigger
    if trigger.flag("isSessionsEnabled"):
        raise Invalid(
            "sessions are not served here: leave is_sessions_enabled out, and order by what the"
            " messages carry"
        )
    for key in ("queueName", "topicName", "subscriptionName"):
        if name := trigger.text(key):
            check_name(name.lower().removesuffix(DEAD_LETTER_SUFFIX))


def output_sink(broker: Broker, entropy: Entropy) -> OutputSink:
    """Return what sends the value of a `serviceBus` output: text or bytes, one message each.

    The content types are those the .NET extension gives to text and to bytes.
    """

    async def send(binding: Binding, function: IndexedFunction, value: Any) -> None:
        if value is None:
            return
        if not isinstance(value, str | bytes):
            raise TypeError(
                f"output {binding.name!r} of {function.name} got {type(value).__name__}; "
                "a serviceBus output takes str or bytes"
            )
        is_text = isinstance(value, str)
        message = OutgoingMessage(
            body=value.encode() if isinstance(value, str) else value,
            message_id=entropy.uuid().hex,
            content_type="text/plain" if is_text else "application/octet-stream",
        )
        await broker.send(binding.text("queueName") or binding.text("topicName"), [message])

    return send


class ServiceBusListener:
    """Runs one pump for each function."""

    def __init__(self, pumps: Sequence["Pump"], *, clock: Clock, grace_s: float) -> None:
        self._pumps = pumps
        self._clock = clock
        self._grace_s = grace_s

    async def start(self) -> None:
        for pump in self._pumps:
            await pump.start()

    async def stop(self) -> None:
        """Let what runs finish for at most the grace; what is left is delivered again."""
        await asyncio.gather(*(pump.stop(self._grace_s) for pump in self._pumps))


class Pump:
    """Moves messages from one queue or subscription into one function."""

    def __init__(
        self,
        function: IndexedFunction,
        settings: ServiceBusSettings,
        *,
        broker: Broker,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        self._function = function
        self._settings = settings
        self._broker = broker
        self._invoker = invoker
        self._clock = clock
        self._is_batch = function.trigger.text("cardinality", "one").lower() == "many"
        self._path = ""
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._mailbox: Mailbox | None = None

    async def start(self) -> None:
        """Create the queue or subscription if nobody declared it, and begin to receive."""
        self._path = await self._ensure_entity()
        self._loop = asyncio.create_task(self._receive(), name=f"service bus {self._function.name}")

    async def stop(self, grace_s: float) -> None:
        if self._loop is None:
            return
        self._stopping = True
        self._broker.arrivals(self._path).notify()
        self._changed.set()
        await self._loop
        if self._running:
            waiting = asyncio.ensure_future(self._clock.sleep(grace_s))
            everything = asyncio.gather(*self._running, return_exceptions=True)
            await asyncio.wait((waiting, everything), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for task in tuple(self._running):
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _ensure_entity(self) -> str:
        trigger = self._function.trigger
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
            _log.info("created %s, which %s listens to", path, self._function.name)
        return path

    # Cardinality one

    async def _receive_one_by_one(self) -> None:
        mailbox = self._mailbox = self._broker.open_mailbox(self._path)
        self._changed = mailbox.changed
        try:
            while not self._stopping:
                mailbox.changed.clear()
                await self._fill(mailbox)
                await mailbox.changed.wait()
        finally:
            self._mailbox = None
            self._broker.close_mailbox(mailbox)
        while mailbox.expected or mailbox.messages:
            while mailbox.messages:
                await self._give_back(mailbox.messages.popleft())
            if mailbox.expected:
                mailbox.changed.clear()
                await mailbox.changed.wait()

    async def _fill(self, mailbox: Mailbox) -> None:
        """Begin what was given, say how much more may come, look for what was there before."""
        calls = self._settings.max_concurrent_calls
        while True:
            while mailbox.messages and len(self._running) < calls:
                self._begin(mailbox.messages.popleft())
            places = calls + self._settings.prefetch_count
            places -= len(self._running) + len(mailbox.messages)
            mailbox.offer(places)
            room = places - mailbox.expected
            if room <= 0 or not mailbox.has_backlog or self._stopping:
                return
            mailbox.has_backlog = False
            mailbox.expect(room)
            found: Sequence[ReceivedMessage] = ()
            try:
                found = await self._broker.lock(self._path, room)
            finally:
                mailbox.fill(found, expected=room)

    def _begin(self, message: ReceivedMessage) -> None:
        # A prefetched message is renewed only from here: while it waits its lock may run out.
        self._broker.keep_renewed(message, self._settings.max_auto_lock_renewal_s)
        self._run([message])

    def _run(self, messages: Sequence[ReceivedMessage]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._handle(messages), name=self._function.name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("settling for %s failed: %s", self._function.name, problem)

    async def _give_back(self, message: ReceivedMessage) -> None:
        try:
            await self._broker.release(message)
        except LockLost as lost:
            _log.warning("%s", lost)

    # Cardinality many

    async def _receive_batches(self) -> None:
        while not self._stopping:
            batch = await self._gather_batch()
            if batch:
                await asyncio.wait([self._run(batch)])

    async def _gather_batch(self) -> list[ReceivedMessage]:
        """Return what is there, waiting for the smallest batch as long as the settings say."""
        settings = self._settings
        arrivals = self._broker.arrivals(self._path)
        batch: list[ReceivedMessage] = []
        give_up_at_s = 0.0
        while not self._stopping:
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
        for message in batch:
            await self._give_back(message)
        return []

    async def _arrival_or_delay(self, seen: int, delay_s: float) -> None:
        arrival = asyncio.ensure_future(self._broker.arrivals(self._path).since(seen))
        delay = asyncio.ensure_future(self._clock.sleep(delay_s))
        await asyncio.wait((arrival, delay), return_when=asyncio.FIRST_COMPLETED)
        arrival.cancel()
        delay.cancel()

    # Both

    async def _receive(self) -> None:
        """Receive until stopped, whatever happens to the database meanwhile."""
        while not self._stopping:
            try:
                await (self._receive_batches() if self._is_batch else self._receive_one_by_one())
            except Exception:  # noqa: BLE001  a trigger that stops listening is worse than any of them
                _log.exception("receiving for %s failed, goes on", self._function.name)
                await self._clock.sleep(_AFTER_A_FAILURE_S)

    async def _handle(self, messages: Sequence[ReceivedMessage]) -> None:
        """Run the function; complete all *messages* or abandon all."""
        if self._is_batch:
            argument: Any = service_bus_messages.many(messages)
        else:
            argument = service_bus_messages.one(messages[0])
        properties = messages[0].application_properties
        invocation = Invocation(
            self._function,
            {self._function.trigger.name: argument},
            traceparent=properties.get("Diagnostic-Id", ""),
        )
        try:
            await self._invoker.invoke(invocation)
        except InvocationFailed as failed:
            _log.warning(
                "%s failed on message %s, delivery %d: %s",
                self._function.name,
                messages[0].message_id,
                messages[0].delivery_count,
                failed.text,
            )
            await self._settle(messages, Ending.ABANDON)
        else:
            if self._settings.auto_complete_messages:
                await self._settle(messages, Ending.COMPLETE)

    async def _settle(self, messages: Sequence[ReceivedMessage], ending: Ending) -> None:
        refill = None if self._stopping else self._mailbox
        for lost in await self._broker.settle_all(messages, ending, refill=refill):
            _log.warning("after %s: %s", self._function.name, LockLost(lost))
