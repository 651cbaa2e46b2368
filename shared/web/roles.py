"""The roles of the platform, and what each permits."""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.kernel.context import ADMIN

_READ: Final = frozenset(
    {
        "runtime.environments.read", "runtime.deployments.read", "runtime.configurations.read",
        "runtime.secrets.read", "runtime.services.read", "runtime.health.read",
        "runtime.scaling.read", "runtime.drift.read", "runtime.tenants.read",
        "runtime.operations.read",
    }
)  # fmt: skip
_DEPLOY: Final = _READ | {
    "runtime.deployments.write",
    "runtime.configurations.write",
    "runtime.health.write",
    "runtime.operations.write",
}
_OPERATE: Final = _DEPLOY | {
    "runtime.environments.write",
    "runtime.secrets.write",
    "runtime.scaling.write",
    "runtime.drift.write",
    "runtime.audit.read",
}
ROLES: Final[Mapping[str, frozenset[str]]] = {
    "Runtime.Read": _READ,
    "Runtime.Deploy": _DEPLOY,
    "Runtime.Operate": _OPERATE,
    "Runtime.Admin": _OPERATE | {"runtime.tenants.write", ADMIN},
}
OF_WORKLOADS: Final = frozenset({"runtime.configurations.read"})
"""What the token of a workload permits, and of that its own configuration only."""
PERMISSIONS: Final = ROLES["Runtime.Admin"]


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return what *roles* permit together; a role that does not exist permits nothing."""
    return frozenset[str]().union(*(ROLES.get(role, frozenset()) for role in roles))
