"""The refusals of catalog, by name."""

from collections.abc import Sequence
from typing import Final

from shared.kernel.errors import NotFound

INSTANCES_SHOWN: Final = 10


class ServiceNotFound(NotFound):
    """The tenant has no such service, or had none at the time asked for."""

    def __init__(self, service_id: str, when: str = "") -> None:
        super().__init__(f"no service {service_id!r}{when}")


class LogNotFound(NotFound):
    """The service has no instance, or the surface has no log of the one asked for."""

    def __init__(self, service_id: str, instance: str, known: Sequence[str]) -> None:
        if not instance:
            super().__init__(f"service {service_id} has no instance, so it has no log")
            return
        names = ", ".join(known[:INSTANCES_SHOWN]) or "none"
        super().__init__(
            f"service {service_id} has no log of an instance {instance[:80]!r}; it has: {names}"
        )
