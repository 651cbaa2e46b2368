"""What catalog refuses, by name."""

from shared.kernel.errors import NotFound


class ServiceNotFound(NotFound):
    """No such service in the caller's tenant, or not yet at the time asked for."""

    code = "ServiceNotFound"

    def __init__(self, service_id: str, when: str = "") -> None:
        super().__init__(f"no service {service_id!r}{when}")


class LogNotFound(NotFound):
    """The surface has no log of that instance."""

    code = "LogNotFound"

    def __init__(self, instance: str) -> None:
        super().__init__(f"no log of an instance {instance[:80]!r}; the service's own are listed")
