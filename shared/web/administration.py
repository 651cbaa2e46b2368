"""What the routes below `/v1/platform/<app>/` work on: one service, and its operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.messaging.dispatcher import Dispatcher
from shared.messaging.service_parts import ServiceParts
from shared.web.operation_control import OperationControl


@dataclass(frozen=True)
class Administration:
    """One service behind these routes, with the dispatcher of all its messages."""

    service: ServiceParts
    app: Any
    dispatcher: Dispatcher
    openapi: Callable[[], Mapping[str, Any]]
    """Makes the OpenAPI document; a host that starts has no use for it."""
    operations: Mapping[str, OperationControl] = field(default_factory=dict)
