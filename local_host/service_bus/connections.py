"""The Service Bus namespaces that bindings name, each reached by the official SDK.

A binding without settings for its connection, or with `embedded`, uses the host's own cloud.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus-trigger#connections
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local_cloud.broker.topology import DEAD_LETTER_SUFFIX
from local_host.apps.configuration import ConfigurationRefused, Connection
from local_host.model import Binding, HostContext, IndexedFunction
from local_host.service_bus.namespace_queue import NamespaceQueue
from shared.composition.settings import CA_FILE
from shared.messaging.entity_path import split_path, subscription_path
from shared.messaging.service_bus_connection import ServiceBusConnection

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

DEFAULT: Final = "ServiceBus"
_RETRIES: Final[Mapping[str, Any]] = {"retry_total": 3, "retry_backoff_max": 10}


class Namespaces:
    """The namespaces of a host's apps, connected when first used."""

    def __init__(self, context: HostContext) -> None:
        self._context = context
        self._clients: dict[tuple[str, str], ServiceBusClient] = {}

    def connection_of(self, function: IndexedFunction, binding: Binding) -> Connection | None:
        """Return what *binding* is connected to; None for the host's own cloud."""
        configuration = self._context.configurations[function.app]
        return configuration.connection(binding.text("connection"), DEFAULT)

    def queue_of(self, function: IndexedFunction, connection: Connection) -> NamespaceQueue:
        """Return the queue or subscription that the trigger of *function* names.

        Raises:
            ConfigurationRefused: the settings of the connection cannot be used.
        """
        if connection.text is None and "fullyQualifiedNamespace" not in connection.identity:
            raise ConfigurationRefused(
                f"the connection {connection.name} has no"
                f" {connection.name}__fullyQualifiedNamespace"
            )
        trigger = function.trigger
        topic = trigger.text("topicName")
        path = (
            subscription_path(topic, trigger.text("subscriptionName"))
            if topic
            else trigger.text("queueName")
        )
        client = partial(self._client, function.app, connection)
        return NamespaceQueue(path, client, partial(_receiver, path))

    def _client(self, app: str, connection: Connection) -> "ServiceBusClient":
        key = (app, connection.name)
        if key not in self._clients:
            configuration = self._context.configurations[app]
            ca_file = configuration.values.get(CA_FILE)
            namespace = ServiceBusConnection(
                namespace=connection.identity.get("fullyQualifiedNamespace"),
                credential=self._context.identities.of(
                    connection.identity.get("clientId"), takes_sign_in=configuration.is_local
                ),
                connection_string=connection.text,
                ca_file=Path(ca_file) if ca_file else None,
            )
            self._clients[key] = namespace.open(**_RETRIES)
        return self._clients[key]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _receiver(path: str, client: "ServiceBusClient") -> "ServiceBusReceiver":
    """Return a receiver of a queue, of a subscription, or of the dead letters of either."""
    options: dict[str, Any] = {}
    if path.lower().endswith(DEAD_LETTER_SUFFIX):
        path, options["sub_queue"] = path[: -len(DEAD_LETTER_SUFFIX)], "deadletter"
    entity, subscription = split_path(path)
    if subscription is not None:
        return client.get_subscription_receiver(entity, subscription, **options)
    return client.get_queue_receiver(entity, **options)
