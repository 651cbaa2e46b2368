"""The ports of secret_bindings, and the numbers of its rules."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.secret_bindings import RotationDefaults
from shared.passwords.port import PasswordResources
from shared.vault.port import Vaults

_DEFAULTS: Final = RotationDefaults()


@dataclass(frozen=True)
class SecretBindingsRules:
    """The numbers of the service; the local profile shortens the waits."""

    overlap: timedelta = _DEFAULTS.overlap
    """Old versions stay enabled for so long, unless a rotation or its binding says otherwise."""
    proof_within: timedelta = _DEFAULTS.proof_within
    """Of one consumer, from the time at which it was told to follow."""
    reloading_ratio_max: float = _DEFAULTS.reloading_ratio_max
    """Of the consumers of a secret, as many follow at once."""
    revoked_a_page: int = 25
    """Bindings that are revoked before the next are listed, at the end of an environment."""


LOCAL_RULES: Final = SecretBindingsRules(
    overlap=timedelta(seconds=10), proof_within=timedelta(minutes=2)
)


@dataclass(frozen=True)
class SecretBindingsApp:
    """The service's own parts, the vaults of environments, and the servers that check passwords."""

    service: Service
    vaults: Vaults
    passwords: PasswordResources
    rules: SecretBindingsRules = field(default_factory=SecretBindingsRules)
