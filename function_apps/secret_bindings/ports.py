"""The ports of secret_bindings, and the numbers of its rules."""

from dataclasses import dataclass, field
from typing import Final

from shared.composition.service import Service
from shared.vault.port import Vaults


@dataclass(frozen=True)
class SecretBindingsRules:
    """The numbers of the service; the local profile shortens the waits."""

    revoked_a_page: int = 25
    """Bindings that are revoked before the next are listed, at the end of an environment."""


LOCAL_RULES: Final = SecretBindingsRules(revoked_a_page=10)


@dataclass(frozen=True)
class SecretBindingsApp:
    """The service's own parts, and the vaults of environments."""

    service: Service
    vaults: Vaults
    rules: SecretBindingsRules = field(default_factory=SecretBindingsRules)
