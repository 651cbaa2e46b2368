"""The ports of secret_bindings, and the numbers of its rules."""

from dataclasses import field
from datetime import timedelta
from typing import Final

from shared.composition.service import Service
from shared.contracts.secret_bindings import RotationDefaults
from shared.kernel.dataclass import dataclass
from shared.passwords.port import PasswordResources
from shared.passwords.webhooks import ValueWebhooks
from shared.vault.port import Vaults

_DEFAULTS: Final = RotationDefaults()


@dataclass(frozen=True)
class SecretBindingsRules:
    """The numbers of the service; the local profile shortens the waits."""

    overlap: timedelta = _DEFAULTS.overlap
    """Old versions stay enabled for so long, unless a rotation or its binding says otherwise."""
    rollout_within: timedelta = timedelta(hours=2)
    """A roll-out may take so long, with its queue and its gates: deployments tells when it ends."""
    proof_within: timedelta = _DEFAULTS.proof_within
    """Then a consumer has so long to prove the version."""
    reloading_ratio_max: float = _DEFAULTS.reloading_ratio_max
    """Of the consumers of a secret, as many follow at once."""
    watch_every: timedelta = timedelta(seconds=30)
    """A secret is looked at in its vault: a version that is set there is noticed in a minute."""
    due_check: timedelta = _DEFAULTS.due_check
    """Bindings whose policy says `every` are looked at."""
    due_again: timedelta = timedelta(days=1)
    """A rotation that was due and failed is tried again."""
    expiring_within: timedelta = timedelta(days=30)
    """The end of a version is told so long before."""
    revoked_a_page: int = 25
    """Bindings that are revoked before the next are listed, at the end of an environment."""


LOCAL_RULES: Final = SecretBindingsRules(
    overlap=timedelta(seconds=10),
    rollout_within=timedelta(minutes=20),
    proof_within=timedelta(minutes=2),
    watch_every=timedelta(seconds=2),
    due_check=timedelta(seconds=2),
    due_again=timedelta(minutes=1),
)


@dataclass(frozen=True)
class SecretBindingsApp:
    """The service's own parts, vaults of environments, servers that check passwords, webhooks."""

    service: Service
    vaults: Vaults
    passwords: PasswordResources
    webhooks: ValueWebhooks
    rules: SecretBindingsRules = field(default_factory=SecretBindingsRules)
