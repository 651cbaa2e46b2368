"""The environments that layers may be published for. Pure."""

from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class EnvironmentProjection:
    """The newest event of an environment; a decommissioned one stays, closed."""

    environment_id: str
    revision: int
    is_open: bool


def on_environment_event(
    known: EnvironmentProjection | None, event: EnvironmentProjection
) -> EnvironmentProjection | None:
    """Return *event*; None when one as new is known."""
    return event if known is None or known.revision < event.revision else None
