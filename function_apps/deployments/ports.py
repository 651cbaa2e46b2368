"""The ports of deployments, and its rules."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import Final, Protocol

from shared.composition.service import Service
from shared.contracts.gates import LOCAL_GATE, GateDefaults
from shared.contracts.health import ServiceHealth
from shared.contracts.promotions import LOCAL_SOAK, SoakDefaults
from shared.contracts.strategies import LOCAL_ROLLOUT, RolloutDefaults
from shared.contracts.values import ComputeTargetKind, ServiceId
from shared.images.image_rules import ImageRules
from shared.images.port import Images
from shared.kernel.dataclass import dataclass
from shared.messaging.audit_heads import HeadAnchors
from shared.persistence.blobs import Blobs
from shared.policies.prod_policy import ProdPolicy
from shared.surfaces.port import Surface


class SoakVerdicts(Protocol):
    """The health of the services of a release that is to be promoted."""

    async def ask(self, services: Sequence[ServiceId], *, token: str) -> Sequence[ServiceHealth]:
        """Return how each of *services* is now, and since when, asked as the caller of *token*.

        Raises:
            NotFound: health does not know one of them (yet).
            Denied: the caller may not read health.
            Unavailable: health is away.
        """
        ...


@dataclass(frozen=True)
class DeploymentsRules:
    """The numbers of the service, which the local profile shortens, and its rules of images."""

    rollout: RolloutDefaults = field(default_factory=RolloutDefaults)
    gate: GateDefaults = field(default_factory=GateDefaults)
    soak: SoakDefaults = field(default_factory=SoakDefaults)
    ready_within: timedelta = timedelta(minutes=5)
    """From the application of a component to all its instances being ready."""
    gone_within: timedelta = timedelta(minutes=5)
    """For old instances to finish what they have, after the drain time."""
    prove_within: timedelta = timedelta(minutes=2)
    """A proof is asked again so long: an instance may restart just when it is asked."""
    prove_every_s: float = 2.0
    paused_at_most: timedelta = timedelta(hours=24)
    """Then a paused deployment rolls back."""
    drain_rollback: timedelta = timedelta(minutes=2)
    """For deployments on their way to roll back when their environment is drained."""
    observe_for_s: float = 20.0
    """One activity observes a surface for so long before the orchestration polls again."""
    observe_every_s: float = 0.25
    images: ImageRules = field(default_factory=ImageRules)
    images_within: timedelta = timedelta(seconds=20)
    """For all that one command asks of registries: `runtimectl` waits for 30 s."""
    anchor_every: timedelta = timedelta(hours=1)
    """Records since the last time can be made anew without a trace."""


LOCAL_RULES: Final = DeploymentsRules(
    rollout=LOCAL_ROLLOUT,
    gate=LOCAL_GATE,
    soak=LOCAL_SOAK,
    ready_within=timedelta(seconds=90),
    gone_within=timedelta(seconds=60),
    prove_within=timedelta(seconds=30),
    drain_rollback=timedelta(seconds=30),
    anchor_every=timedelta(minutes=1),
)


@dataclass(frozen=True)
class DeploymentsApp:
    """The service with its surfaces, archives, images, and whom it asks before a promotion.

    It anchors the audit heads of all services.
    """

    service: Service
    surfaces: Mapping[ComputeTargetKind, Surface]
    blobs: Blobs
    logs: Blobs
    head_anchors: HeadAnchors
    images: Images
    verdicts: SoakVerdicts
    rules: DeploymentsRules = field(default_factory=DeploymentsRules)
    prod_policy: ProdPolicy | None = None
    """Without one everything is allowed."""
