"""The refusals of environments, by name."""

from collections.abc import Sequence
from typing import Final

from shared.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    PlanRefused,
    PreconditionRequired,
    Stale,
    Violation,
)


class EnvironmentNotFound(NotFound):
    """No such environment in the caller's tenant."""

    def __init__(self, environment_id: str) -> None:
        super().__init__(f"no environment {environment_id!r}")


class EnvironmentExists(Conflict):
    """The natural key is active with other content."""

    def __init__(self, environment_id: str, differing: Sequence[Violation]) -> None:
        names = ", ".join(each.target.removeprefix("/") for each in differing)
        fixed = [each.target[1:] for each in differing if each.target in {"/stage", "/region"}]
        way = (
            f"{' and '.join(fixed)} cannot change; decommission the environment and create it again"
            if fixed
            else "update the environment, or choose another name"
        )
        super().__init__(f"{environment_id} exists with another {names}; {way}", details=differing)


class ConfirmationMissing(PreconditionRequired):
    """An environment is decommissioned only with its name as confirmation, for what is said."""

    def __init__(self, name: str, received: str | None, why: Sequence[str]) -> None:
        super().__init__(
            f"the environment {' and '.join(why)}: expected its name {name} as confirmation, "
            f"got {'nothing' if received is None else repr(received)}",
            target="confirm",
        )


class DataResourceUnknown(Invalid):
    """`retain` or `deleteData` names a data resource that the environment does not have."""

    def __init__(
        self, environment_id: str, unknown: Sequence[str], present: Sequence[str], *, field: str
    ) -> None:
        expected = ", ".join(present) or "none"
        super().__init__(
            f"{environment_id} has no data resource {', '.join(unknown)}; expected of {expected}",
            target=field,
            details=[
                Violation(self.code, f"/{field}", "no such data resource", expected, name)
                for name in unknown
            ],
        )


class DataWouldBeDeleted(Conflict):
    """The request leaves out, or replaces, data that it does not name in `deleteData`."""

    def __init__(self, environment_id: str, lost: Sequence[Violation]) -> None:
        names = ", ".join(each.received or "" for each in lost)
        super().__init__(
            f"{environment_id}: the request would delete {names} with all content; keep it in "
            "dataResources, or name it in deleteData",
            target="/dataResources",
            details=lost,
        )


_BINDINGS_NAMED_MAX: Final = 10


class TenantsBound(Conflict):
    """An environment is not taken down while other tenants are bound to it."""

    def __init__(self, environment_id: str, bindings: Sequence[str]) -> None:
        named = ", ".join(bindings[:_BINDINGS_NAMED_MAX])
        more = len(bindings) - _BINDINGS_NAMED_MAX
        rest = f" and {more} more" if more > 0 else ""
        super().__init__(
            f"{environment_id} has other tenants bound to it, by {named}{rest}: unbind each first,"
            " as that tenant, or as its owner with runtime.admin and tenantId; the owner's"
            f" /tenant-bindings?environmentId={environment_id} says whose they are"
        )


class SiloNotAlone(Conflict):
    """A silo has one tenant, its owner: it admits no other, and no other is bound to it."""

    def __init__(self, environment_id: str, admits: Sequence[str], bound: int) -> None:
        admitted = f"admits {', '.join(admits[:5])}" if admits else ""
        others = f"has {bound} other tenant{'s' if bound > 1 else ''} bound to it" if bound else ""
        super().__init__(
            f"{environment_id} {' and '.join(filter(None, (admitted, others)))}: a silo is of its"
            " owner alone; admit nobody and have the others unbound first, or choose shared or pool"
        )


class TenantNotAdmitted(Conflict):
    """The owner of the environment does not admit the tenant."""

    def __init__(self, environment_id: str, tenant: str) -> None:
        super().__init__(f"{environment_id} does not list {tenant} in admits")


class EnvironmentNotThere(Conflict):
    """The environment of a binding is not provisioned."""

    def __init__(self, environment_id: str, status: str) -> None:
        super().__init__(f"{environment_id} is {status}: expected Provisioned or Updating")


class RetainDiffers(Conflict):
    """The environment is being taken down, or is gone, with other data retained."""

    def __init__(self, environment_id: str, retained: Sequence[str], asked: Sequence[str]) -> None:
        now, wanted = ", ".join(retained) or "nothing", ", ".join(asked)
        super().__init__(
            f"{environment_id} is taken down with {now} retained; retain={wanted} comes too late",
            target="retain",
            details=[Violation("Differs", "/retain", "differs from what is active", now, wanted)],
        )


class PlanChanged(Stale):
    """The approved plan is not the one that would be applied now."""

    def __init__(self, approved: str, current: str) -> None:
        super().__init__(
            f"the approved plan {approved} is not the current one, {current}; read the plan again",
            target="/planId",
        )


class NotSupported(PlanRefused):
    """The request asks for something that this version of the platform does not do."""
