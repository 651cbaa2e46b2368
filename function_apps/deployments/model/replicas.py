"""The number of instances of a release unit, where it is not the one that was asked for. Pure.

A release has the number that it asks for. What changes only how that release runs (configuration, a
secret, its place, a repair) keeps the number that is in force, and a rollback has no fewer than
there are. Where a policy is in force, the number is its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.facts import SCALING, Facts, PolicyFact
from shared.contracts.deployments import DeploymentKind
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import REPLICAS_MAX, ModuleId

BEGINS_WITH_LIVE: Final = frozenset(
    {DeploymentKind.CONFIGURATION, DeploymentKind.SECRET, DeploymentKind.RELOCATION}
)
"""Kinds that bring what is in force once more, and begin with as many instances as run."""
_KEEPS: Final = BEGINS_WITH_LIVE | {DeploymentKind.REPAIR}


def is_scaled(component: ReleasedComponent, facts: Facts) -> bool:
    """Return whether a policy has the number of *component*, or had it and left one."""
    is_under_policy = component.scaling_policy_revision > 0 or any(
        fact.policy_revision for fact in _policies(component, facts)
    )
    return is_under_policy or _left(component, facts) is not None


def in_force(component: ReleasedComponent, facts: Facts) -> int:
    """Return how many instances *component*, which is in force, is to have without a policy."""
    left = _left(component, facts)
    return component.replicas if left is None else left


def brings_more(back: ReleasedComponent, running: ReleasedComponent, facts: Facts) -> bool:
    """Return whether *back* asks for more instances than *running*, in force, is to have.

    Where a policy is in force, the number is its own.
    """
    if any(fact.policy_revision for fact in _policies(back, facts)):
        return False
    asked = back.replicas if back.asked_replicas is None else back.asked_replicas
    return asked > in_force(running, facts)


def _policies(component: ReleasedComponent, facts: Facts) -> Sequence[PolicyFact]:
    return [
        fact
        for fact in facts.values()
        if fact.kind == SCALING and fact.module == component.module_id
    ]


def _left(component: ReleasedComponent, facts: Facts) -> int | None:
    """Return the number that a policy left of *component*, if one did."""
    revision, policy = component.release_revision, component.scaling_policy_revision
    left = (fact.left for fact in _policies(component, facts) if fact.left is not None)
    return next((each.replicas for each in left if each.is_of(revision, policy)), None)


def as_in_force(component: ReleasedComponent, facts: Facts) -> ReleasedComponent:
    """Return *component*, which is in force, with the number that it is to have by now.

    One that was begun under a policy has the minimum of that, below which its number never was.
    """
    number = component.replicas
    if not component.scaling_policy_revision and not component.ends:
        number = in_force(component, facts)
    if number == component.replicas:
        return component
    asked = component.replicas if component.asked_replicas is None else component.asked_replicas
    return component.model_copy(update={"replicas": number, "asked_replicas": asked})


def of_unit(
    deployment: Deployment,
    components: Iterable[ReleasedComponent],
    replaced: Iterable[ReleasedComponent],
    live: Mapping[ModuleId, int],
    facts: Facts,
) -> tuple[ReleasedComponent, ...]:
    """Return *components*, which *deployment* brings, with the numbers that they are to have.

    *replaced* is what is in force, and *live* how many instances that has. What a release asked for
    stays with it.
    """
    repaired = deployment.repaired_replicas
    kept = {each.module_id: in_force(each, facts) for each in replaced}

    def numbered(component: ReleasedComponent) -> ReleasedComponent:
        module, asked = component.module_id, component.replicas
        if component.scaling_policy_revision or component.ends:
            return component
        number = asked
        # None of what takes requests would never be ready for them.
        if repaired or (repaired is not None and component.port is None):
            number = repaired
        elif deployment.kind in _KEEPS:
            number = kept.get(module, asked)
        elif module in deployment.recorded:
            number = max(asked, deployment.recorded[module].minimum, live.get(module, 0))
        number = min(number, REPLICAS_MAX)  # somebody may have scaled it beyond
        if number == asked:
            return component
        return component.model_copy(update={"replicas": number, "asked_replicas": asked})

    return tuple(map(numbered, components))
