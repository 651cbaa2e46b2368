"""What health refuses, by name."""

from shared.kernel.errors import Conflict, NotFound


class HealthNotFound(NotFound):
    """No such service in the caller's tenant, or none that was ever released."""

    code = "HealthNotFound"

    def __init__(self, service_id: str) -> None:
        super().__init__(f"no health is kept of a service {service_id!r}")


class GateDiffers(Conflict):
    """The gate's id is known with another content: the sender made two gates of one id."""

    code = "GateDiffers"

    def __init__(self, gate_id: str) -> None:
        super().__init__(
            f"gate {gate_id} is known with another content: expected the same or a new id"
        )
        self.gate_id = gate_id
