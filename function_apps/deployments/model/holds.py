"""Holds: a release unit that was rolled back is not deployed again until it is released.

What is held is the whole unit of a module: the artifact with everything that it is started with,
reached by and bounded with. The same artifact with another environ, version or limit is another
unit, and is held by itself.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from function_apps.deployments.errors import Held, NoActiveHold
from function_apps.deployments.model.deployment import Deployment, evolve
from function_apps.deployments.model.lifecycle import HoldReleased
from shared.contracts.releases import Hold, ReleasedComponent
from shared.contracts.values import DeploymentId, ModuleId, Reason
from shared.kernel.dataclass import dataclass

_KEY_LENGTH: Final = 16
"""64 bits, compared only within one module's holds."""
_NOT_OF_THE_UNIT: Final = {
    "release_revision",
    "service_id",
    "endpoint",
    "routing",
    "owner",
    "scaling_policy_revision",
    "asked_replicas",
    "tenant_binding_revision",
}
"""Given out anew with every release, or changed without one."""


@dataclass(frozen=True)
class HoldRef:
    """A hold in short; the deployment named has it in full."""

    unit: str
    by: DeploymentId


Holds = Mapping[ModuleId, tuple[HoldRef, ...]]


def unit_key(component: ReleasedComponent) -> str:
    """Return the key of all that an instance of *component* is."""
    # Holds of before there were these fields keep their key.
    absent = {name for name in ("data", "requires") if not getattr(component, name)}
    content = component.model_dump(mode="json", exclude=_NOT_OF_THE_UNIT | absent)
    if component.asked_replicas is not None:
        content["replicas"] = component.asked_replicas  # its minimum changes without it
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def require_not_held(holds: Holds, components: Iterable[ReleasedComponent]) -> None:
    """Refuse release units that were rolled back in the environment of *holds*.

    Raises:
        Held: it names the deployment that has the hold and how to release it.
    """
    for component in components:
        for held in holds.get(component.module_id, ()):
            if held.unit == unit_key(component):
                raise Held(component.module_id, component.version, component.digest, held.by)


def add_holds(holds: Holds, rejected: Iterable[ReleasedComponent], by: DeploymentId) -> Holds:
    """Return *holds* with one of each of *rejected*; the newest of equal ones stays."""
    after = dict(holds)
    for component in rejected:
        key = unit_key(component)
        others = [held for held in after.get(component.module_id, ()) if held.unit != key]
        after[component.module_id] = (*others, HoldRef(key, by))
    return after


def release_holds(deployment: Deployment, holds: Holds, now: datetime) -> tuple[Deployment, Holds]:
    """Return *deployment* and *holds* without those that it has there.

    Raises:
        NoActiveHold: it has none.
    """
    deployment_id = deployment.deployment_id
    if not deployment.holds:
        raise NoActiveHold(f"{deployment_id} holds nothing in {deployment.environment_id}")
    kept = {
        module: tuple(held for held in refs if held.by != deployment_id)
        for module, refs in holds.items()
    }
    released = evolve(deployment, HoldReleased(), now)
    return released, {module: refs for module, refs in kept.items() if refs}


def rejected_components(
    released: Iterable[ReleasedComponent], kept: Iterable[ReleasedComponent]
) -> tuple[ReleasedComponent, ...]:
    """Return those of *released* that differ from what stays in force of their module."""
    stays = {(component.module_id, unit_key(component)) for component in kept}
    return tuple(each for each in released if (each.module_id, unit_key(each)) not in stays)


def hold_of(
    component: ReleasedComponent, deployment: Deployment, reason: Reason, now: datetime
) -> Hold:
    """Return the hold on *component* that *deployment* shows until it is released."""
    return Hold(
        environment_id=deployment.environment_id,
        module_id=component.module_id,
        digest=component.digest,
        version=component.version,
        release_ref=deployment.release_ref,
        deployment_id=deployment.deployment_id,
        reason=reason,
        held_at=now,
    )
