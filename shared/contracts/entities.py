"""The entities of Service Bus: two topics, and a queue of commands for each service."""

from typing import Final

from shared.contracts.values import Service

RUNTIME_EVENTS: Final = "runtime-events"
"""The topic for events of the services, one subscription per service."""
FACTORY_EVENTS: Final = "factory-events"
"""The topic for events of other platforms."""


def command_queue(service: Service) -> str:
    """Return the queue of *service*'s commands."""
    return f"runtime-{service.public_name}-commands"
