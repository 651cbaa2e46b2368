"""The number that a policy left: until which release it stays, and words for its end. Pure."""

from dataclasses import replace

from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.model.scaled_service import ScaledService


def forget_number(policy: ScalingPolicy, service: ScaledService) -> ScalingPolicy:
    """Return *policy* without the number that it left, once a release of *service* has its own.

    A later release may begin under the next policy: it begins with the number of that release.
    """
    if policy.left_replicas is None or not service.is_released or _stays(policy, service):
        return policy
    return replace(policy, left_replicas=None)


def _stays(policy: ScalingPolicy, service: ScaledService) -> bool:
    """Return whether the release in force of *service* has the number that *policy* left."""
    begun_under = int(service.component.get("scalingPolicyRevision") or 0)
    left = policy.left_replicas
    return left is not None and left.is_of(service.release_revision, begun_under)


def words_of_end(ended: ScalingPolicy, service: ScaledService | None) -> str:
    """Return how many instances stay after the end of a policy, and what the next release brings.

    Empty where no release of its *service* is known.
    """
    if service is None or not service.is_released or service.ends:
        return ""
    component, left = service.component, ended.left_replicas
    own = component.get("askedReplicas")
    asked = int(component["replicas"] if own is None else own)
    if left is None or not _stays(ended, service):
        return f"no number of it stays: the release asks for {_instances(asked)}"
    if left.replicas == asked:
        return f"the number stays {asked}, as the release asks for"
    return (
        f"the number stays {left.replicas} until the next release, which brings as many as it asks"
        f" for: the one in force asks for {asked}"
    )


def _instances(number: int) -> str:
    return "1 instance" if number == 1 else f"{number} instances"
