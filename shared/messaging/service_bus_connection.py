"""How one Service Bus namespace is reached by the official asynchronous SDK, and what it raises."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import NotFound, TooLarge, Unavailable
from shared.kernel.full_disk import reason_in
from shared.kernel.time_limit import TimeLimit
from shared.kernel.trust import trusting, untrusted_in

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus.aio import ServiceBusClient

WITHIN_S: Final = 20.0
"""One call of the SDK with its retries, the opening of its link and the token for it."""
_BUSY_FOR_S: Final = 10.0
"""What Service Bus asks a client to wait that is throttled.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling"""
_GRANTED_WITHIN_S: Final = 15.0
"""A role assignment takes minutes to count; a second is too soon."""


@dataclass(frozen=True, kw_only=True)
class ServiceBusConnection:
    """One namespace: its host name with a credential, or the connection string of an emulator.

    `namespace` may carry a port, for a namespace on this machine. `credential` is asked when a
    client is opened, and stays its owner's to close. `ca_file` has the certificate authorities to
    trust besides the machine's.
    """

    namespace: str | None = None
    credential: "Callable[[], AsyncTokenCredential] | None" = None
    connection_string: str | None = None
    ca_file: Path | None = None

    def open(self, **options: Any) -> "ServiceBusClient":
        """Return a client with *options* of the SDK, which connects when it is first used.

        Raises Unavailable where a file or a connection string cannot be used.
        """
        from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415  heavy: where used

        if self.connection_string is not None:
            try:
                return ServiceBusClient.from_connection_string(self.connection_string, **options)
            except ValueError:  # which may quote it
                raise Unavailable("no connection string of a Service Bus namespace") from None
        assert self.namespace is not None
        assert self.credential is not None
        options |= self._transport()
        return ServiceBusClient(self.namespace, self.credential(), **options)

    def _transport(self) -> dict[str, Any]:
        """Return what the SDK needs to reach a port, and to trust other authorities."""
        options: dict[str, Any] = {}
        if self.ca_file is not None:
            options["ssl_context"] = trusting(self.ca_file)
        assert self.namespace is not None
        if ":" in self.namespace:
            from azure.servicebus import TransportType  # noqa: PLC0415  heavy: where used

            # The SDK drops a port from the host name; an address of its own would be for
            # WebSockets unless the transport is named too.
            options["custom_endpoint_address"] = f"sb://{self.namespace}"
            options["transport_type"] = TransportType.Amqp
        return options


@asynccontextmanager
async def translated_errors(entity: str, *, within_s: float = WITHIN_S) -> AsyncIterator[None]:
    """Raise the errors of `shared.kernel.errors` for those of the SDK.

    Their text is not taken over: it may have an address with its key. What takes longer than
    *within_s* is Unavailable; it may have taken effect.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415  heavy: where used
    from azure.servicebus import exceptions  # noqa: PLC0415  heavy: where used

    try:
        async with TimeLimit(within_s):
            yield
    except exceptions.MessagingEntityNotFoundError as absent:
        raise NotFound(f"Service Bus has no queue, topic or subscription {entity!r}") from absent
    except exceptions.MessageSizeExceededError as large:
        raise TooLarge(f"a message to {entity} is over the limit of the namespace") from large
    except exceptions.ServiceBusServerBusyError as busy:
        raise Unavailable(
            f"Service Bus throttles the requests to {entity}{reason_in(busy)}",
            retry_after_s=_BUSY_FOR_S,
            throttled=True,
        ) from busy
    except exceptions.ServiceBusAuthorizationError as refused:
        raise Unavailable(
            f"Service Bus: this app's identity has not the role for {entity}, or has it for"
            " minutes only",
            retry_after_s=_GRANTED_WITHIN_S,
        ) from refused
    except (AzureError, OSError, TimeoutError) as away:
        raise Unavailable(
            f"Service Bus does not take the requests to {entity}: {type(away).__name__}"
            + reason_in(away)
            + untrusted_in(away)
        ) from away
