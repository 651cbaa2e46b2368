"""The refusals of health, by name."""

from shared.kernel.errors import Conflict, NotFound


class HealthNotFound(NotFound):
    """No such service in the caller's tenant, or none that was ever released."""

    def __init__(self, service_id: str) -> None:
        super().__init__(f"no health is kept of a service {service_id!r}")


class ObjectiveNotFound(NotFound):
    """The service has no objective."""

    def __init__(self, service_id: str) -> None:
        super().__init__(
            f"no objective is set for service {service_id!r}: PUT one to its /slo first"
        )


class GateConflict(Conflict):
    """A gate with this id and another content exists: the sender used one id for two gates."""

    def __init__(self, gate_id: str) -> None:
        super().__init__(
            f"gate {gate_id} exists with another content: send the same content, or use a new id"
        )
        self.gate_id = gate_id
