"""What modules run of a secret: ProveRelease and ConfirmWithdrawal, both for secret_bindings.

Apart from `secret_bindings.py`, which the types of releases are built from.
"""

from typing import Annotated

from pydantic import Field

from shared.contracts.catalog import ReleaseOfComponent
from shared.contracts.releases import InstanceProof, SecretVersions
from shared.contracts.shape import Command
from shared.contracts.values import EnvironmentId, SecretBindingId, SecretRotationId, Text


class ProveRelease(ReleaseOfComponent):
    """secret_bindings to itself: note which versions one module runs since a deployment.

    One that was rolled back proves what was restored.
    """

    proofs: Annotated[tuple[InstanceProof, ...], Field(max_length=100)] = ()
    """Of its instances."""
    rejected: SecretVersions = Field(default_factory=dict)
    """The versions of the release that was rolled back, by secret."""
    rotation_id: SecretRotationId | None = None
    """Of a roll-out of a secret: the rotation that it was for."""
    why: Text = ""
    """Why that release was rolled back."""


class ConfirmWithdrawal(Command):
    """deployments to secret_bindings: one module is given no older version of a secret any more."""

    environment_id: EnvironmentId
    binding_id: SecretBindingId
    rotation_id: SecretRotationId
