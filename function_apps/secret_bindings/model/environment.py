"""The environments that secrets may be bound in. Pure."""

from dataclasses import dataclass

from function_apps.secret_bindings.errors import EnvironmentNotProvisioned


@dataclass(frozen=True)
class EnvironmentProjection:
    """The newest event of an environment, with its vault; a decommissioned one stays, closed."""

    environment_id: str
    revision: int
    is_open: bool
    vault_uri: str | None
    """Absent where its stack has none."""


def on_environment_event(
    known: EnvironmentProjection | None, event: EnvironmentProjection
) -> EnvironmentProjection | None:
    """Return *event*; None when one as new is known."""
    return event if known is None or known.revision < event.revision else None


def require_open(environment_id: str, known: EnvironmentProjection | None) -> EnvironmentProjection:
    """Return *known*, in which secrets may be bound. Raises EnvironmentNotProvisioned."""
    if known is None:
        raise EnvironmentNotProvisioned(environment_id, "is not known here")
    if not known.is_open:
        raise EnvironmentNotProvisioned(environment_id, "was decommissioned")
    return known
