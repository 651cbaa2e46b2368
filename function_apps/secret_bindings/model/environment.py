"""The environments that secrets may be bound in. Pure."""

from function_apps.secret_bindings.errors import EnvironmentNotProvisioned, GeneratorNotSupported
from shared.contracts.secret_bindings import Generator, GeneratorKind
from shared.kernel.dataclass import dataclass


@dataclass(frozen=True)
class EnvironmentProjection:
    """The newest event of an environment, with its vault; a decommissioned one stays, closed."""

    environment_id: str
    revision: int
    is_open: bool
    vault_uri: str | None
    """Absent where its stack has none, and where it is another tenant's: that has its secrets."""
    is_foreign: bool = False
    """Another tenant owns the environment, with its vault and its servers."""


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


def require_own_server(known: EnvironmentProjection, generator: Generator | None) -> None:
    """Refuse logins at another tenant's servers. Raises GeneratorNotSupported."""
    is_of_server = generator is not None and generator.kind is GeneratorKind.DATABASE_PASSWORD
    if known.is_foreign and is_of_server:
        raise GeneratorNotSupported(
            f"no {GeneratorKind.DATABASE_PASSWORD} is made in {known.environment_id}: its data"
            " resources are those of the tenant that owns it; name an external secret of your own"
        )
