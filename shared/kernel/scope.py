"""Whose data work may touch: proved by a token or by a message's tenant, never guessed."""

from dataclasses import dataclass
from typing import Final

from shared.kernel.ids import TenantId


@dataclass(frozen=True)
class Scope:
    """A caller, the one tenant whose data it may see, and what it may do there.

    Repositories cannot be built without one, so a query without a tenant does not type-check.
    """

    tenant: TenantId
    caller: str
    permissions: frozenset[str] = frozenset()

    def allows(self, permission: str) -> bool:
        """Return whether *permission* was granted; `runtime.admin` grants none of the others."""
        return permission in self.permissions


@dataclass(frozen=True)
class PlatformScope:
    """For timers only, which have no caller: may ask what is due across tenants, nothing else."""

    caller: str


ADMIN: Final = "runtime.admin"
