"""The refusals of tenants, by name."""

from collections.abc import Sequence

from shared.kernel.errors import (
    Conflict,
    Denied,
    NotFound,
    PlanRefused,
    PreconditionRequired,
    Violation,
)


class TenantBindingNotFound(NotFound):
    """No such binding in the caller's tenant."""

    def __init__(self, binding_id: str) -> None:
        super().__init__(f"no tenant binding {binding_id!r}")


class TenantBindingExists(Conflict):
    """The tenant is bound to the environment already, with other content."""

    def __init__(self, binding_id: str, differing: Sequence[Violation]) -> None:
        names = ", ".join(each.target.removeprefix("/").replace("/", ".") for each in differing)
        remedy = "move it" if names == "isolationModel" else "unbind it, and bind it again"
        super().__init__(
            f"the tenant is bound already, by {binding_id}, with another {names}: {remedy}",
            details=differing,
        )


class MoveUnderWay(Conflict):
    """The tenant is being moved already, and cannot be moved so now."""

    def __init__(self, binding_id: str, origin: str, model: str, phase: str) -> None:
        super().__init__(
            f"{binding_id} is being moved from {origin} to {model}, and is {phase}: expected"
            f" {model}, or {origin} before Cleaning, which takes the move back",
            target="/isolationModel",
        )


class EnvironmentNotAdmitting(NotFound):
    """No such environment is provisioned that the tenant may be bound to.

    Whether it is there without admitting the tenant is nothing that a stranger learns.
    """

    def __init__(self, environment_id: str, owner: str, tenant: str) -> None:
        super().__init__(
            f"{owner} has no provisioned environment {environment_id} that {tenant} may be bound"
            f" to: expected one of {tenant}'s own, or one whose admits lists {tenant}",
            target="/environmentId",
        )


class ForeignTenant(Denied):
    """Another tenant is bound or changed by the environment's owner, as its administrator."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"{tenant} is not the caller's tenant: expected the owner of the environment, with"
            " runtime.admin",
            code="ScopeMissing",
            target="/tenantId",
        )


class SuspendedByAnother(Denied):
    """A suspended tenant does not resume itself."""

    def __init__(self, binding_id: str, tenant: str, owner: str) -> None:
        administrators = " or ".join(sorted({tenant, owner}))
        super().__init__(
            f"{binding_id} was suspended by {tenant}: expected whoever did, or runtime.admin of"
            f" {administrators}"
        )


class ErasureNotReported(NotFound):
    """There is no report on what became of a tenant's part of the environment, or none yet."""

    def __init__(self, binding_id: str, why: str, problems: Sequence[str] = ()) -> None:
        details = [Violation("NotGone", "", problem) for problem in problems]
        super().__init__(
            f"no report on the erasure of {binding_id}: {why}",
            details=details,
        )


class IsolationNotSupported(PlanRefused):
    """The environment's surfaces cannot isolate the tenant as it is asked for."""

    def __init__(self, lacking: Sequence[Violation]) -> None:
        first = lacking[0]
        more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        super().__init__(f"{first.message}{more}", target=first.target, details=lacking)


class ConfirmationMissing(PreconditionRequired):
    """A tenant is unbound only with its name as confirmation."""

    def __init__(self, tenant: str, received: str | None, *, is_owner: bool) -> None:
        what = (
            "unbinding leaves the tenant's workloads in its environment, without quota, and prod"
            " without deployments"
            if is_owner
            else "unbinding takes the tenant's workloads away"
        )
        super().__init__(
            f"{what}: expected its name {tenant} as confirmation, got"
            f" {'nothing' if received is None else repr(received)}",
            target="confirm",
        )
