"""The Service Bus extension: queue and topic triggers, and the `serviceBus` output.

It does what real triggers do: a function that returns completes its message, one that raises or
runs out of time abandons it, and an abandoned message is delivered again at once, until
the entity's `max_delivery_count` dead-letters it (functions-servicebus-extension#161). A Python
function cannot settle a message itself, and `@app.retry` is not applied
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import ReceivedMessage
from local_host.apps.configuration import NO_CLOUD, ConfigurationRefused
from local_host.model import (
    Binding,
    Extension,
    HostContext,
    IndexedFunction,
    Invocation,
    InvocationFailed,
    OutputSink,
)
from local_host.service_bus import messages
from local_host.service_bus.connections import DEFAULT, Namespaces
from local_host.service_bus.entity_kinds import EntityKinds
from local_host.service_bus.invocations import Invocations
from local_host.service_bus.message_pumps import is_batch, pump_for
from local_host.service_bus.namespace_pump import NamespacePump
from local_host.service_bus.pump import Pump
from local_host.service_bus.settings import settings_of
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid, Refused
from shared.messaging.broker import OutgoingMessage

_log = logging.getLogger(__name__)
TRIGGER: Final = "serviceBusTrigger"
OUTPUT: Final = "serviceBus"
_ELSEWHERE: Final = (
    "its output {binding!r} is connected to a namespace, and outputs go to the host's own cloud"
    " only: call azure-servicebus in the function instead"
)
_NOWHERE: Final = (
    "outputs such as its {binding!r} go to the host's own cloud, and a host that runs with --join"
    " has none: call azure-servicebus in the function instead"
)


def service_bus(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
    """Return the extension that works over the local cloud's broker."""
    pumps: list[Pump] = []
    refusals: dict[str, str] = {}
    cloud, namespaces = context.cloud, Namespaces(context)
    kinds = None if cloud is None else EntityKinds(cloud.broker)
    for function in functions:
        try:
            for binding in function.bindings:
                if binding.type.lower() in (TRIGGER.lower(), OUTPUT.lower()):
                    _check(function, binding, kinds, namespaces)
            if function.triggered_by(TRIGGER):
                pumps.append(_pump(function, context, namespaces))
        except (ConfigurationRefused, Refused) as problem:
            refusals[function.name] = str(problem)
    return Extension(
        triggers=frozenset({TRIGGER}),
        listener=ServiceBusListener(pumps, namespaces, grace_s=context.grace_s),
        manual={TRIGGER: ManualMessages(context).run},
        outputs={} if cloud is None else {OUTPUT: output_sink(cloud.broker, context.entropy)},
        refusals=refusals,
    )


def _check(
    function: IndexedFunction, binding: Binding, kinds: EntityKinds | None, namespaces: Namespaces
) -> None:
    """Raise Invalid where *binding* leads nowhere; *kinds* are those of the own cloud, if any."""
    if namespaces.connection_of(function, binding) is not None:
        if binding.type.lower() == OUTPUT.lower():
            raise Invalid(_ELSEWHERE.format(binding=binding.name))
    elif kinds is not None:
        kinds.check(function, binding)
    elif binding.type.lower() == OUTPUT.lower():
        raise Invalid(_NOWHERE.format(binding=binding.name))
    else:
        setting = binding.text("connection") or DEFAULT
        raise Invalid(
            NO_CLOUD.format(
                binding=binding.name, setting=setting, address="fullyQualifiedNamespace"
            )
        )


def _pump(function: IndexedFunction, context: HostContext, namespaces: Namespaces) -> Pump:
    """Raises Invalid or ConfigurationRefused when this host cannot serve the trigger."""
    trigger = function.trigger
    if trigger.flag("isSessionsEnabled"):
        raise Invalid(
            "sessions are not served here: leave is_sessions_enabled out, and order by what the"
            " messages carry"
        )
    settings = settings_of(context.configurations[function.app])
    connection = namespaces.connection_of(function, trigger)
    if connection is not None:
        queue = namespaces.queue_of(function, connection)
        invocations = Invocations(
            function, settings, settler=queue, invoker=context.invoker, clock=context.clock
        )
        return NamespacePump(invocations, queue, context.clock, is_batch=is_batch(function))
    assert context.cloud is not None, "checked before"
    return pump_for(
        function,
        settings,
        broker=context.cloud.broker,
        invoker=context.invoker,
        clock=context.clock,
    )


def output_sink(broker: Broker, entropy: Entropy) -> OutputSink:
    """Return the function that sends a `serviceBus` output: text or bytes, one message each.

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


class ManualMessages:
    """Runs functions with a text in place of a message that was delivered."""

    def __init__(self, context: HostContext) -> None:
        self._context = context

    async def run(self, function: IndexedFunction, text: str) -> None:
        """Run *function* with *text*; there is nothing to settle, a failure is only logged."""
        message = ReceivedMessage(
            queue=0,
            sequence_number=0,
            message_id=self._context.entropy.uuid().hex,
            body=text.encode(errors="replace"),
            subject="",
            content_type="text/plain",
            correlation_id="",
            application_properties={},
            delivery_count=1,
            enqueued_at=self._context.clock.now().timestamp(),
            expires_at=None,
        )
        argument = messages.many([message]) if is_batch(function) else messages.one(message)
        try:
            await self._context.invoker.invoke(
                Invocation(function, {function.trigger.name: argument})
            )
        except InvocationFailed as failed:
            _log.error("%s failed: %s", function.name, failed.text, exc_info=failed.cause)


class ServiceBusListener:
    """Runs one pump for each function."""

    def __init__(
        self,
        pumps: Sequence[Pump],
        namespaces: Namespaces | None = None,
        *,
        grace_s: float,
    ) -> None:
        self._pumps = pumps
        self._namespaces = namespaces
        self._grace_s = grace_s

    async def start(self) -> None:
        for pump in self._pumps:
            try:
                await pump.start()
            except Refused as problem:  # what another host has made of the namespace meanwhile
                _log.error("%s does not listen: %s", pump.function.name, problem)

    async def stop(self) -> None:
        """Let what runs finish for at most the grace; what is left is delivered again."""
        await asyncio.gather(*(pump.stop(self._grace_s) for pump in self._pumps))
        if self._namespaces is not None:
            await self._namespaces.close()
