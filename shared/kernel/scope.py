"""Whose data work may touch: proved by a token or by a message's tenant, never guessed."""

from dataclasses import dataclass
from typing import Final

from shared.kernel.ids import TenantId


@dataclass(frozen=True)
class Scope:
    """A caller, the one tenant whose data it may see, and what it may do there.

    Every read of a use case is within `tenant`; only a timer's query for what is due spans tenants.
    """

    tenant: TenantId
    caller: str
    permissions: frozenset[str] = frozenset()

    def allows(self, permission: str) -> bool:
        """Return whether *permission* was granted; `runtime.admin` grants none of the others."""
        return permission in self.permissions


ADMIN: Final = "runtime.admin"
