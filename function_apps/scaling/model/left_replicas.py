"""Words for the end of a policy: how many instances stay, and the next release brings. Pure."""

from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.model.scaled_service import ScaledService


def words_of_end(ended: ScalingPolicy, service: ScaledService | None) -> str:
    """Return how many instances stay after the end of a policy, and what the next release brings.

    Empty where no release of its *service* is known.
    """
    if service is None or not service.is_released or service.ends:
        return ""
    component, left = service.component, ended.left_replicas
    policy = int(component.get("scalingPolicyRevision") or 0)
    own = component.get("askedReplicas")
    asked = int(component["replicas"] if own is None else own)
    if left is None or not left.is_of(service.release_revision, policy):
        return f"it had no number to leave; the release asks for {_instances(asked)}"
    if left.replicas == asked:
        return f"{_instances(asked)} stay, as the release asks for"
    return (
        f"{_instances(left.replicas)} stay until the next release, which brings as many as it asks"
        f" for: the one in force asks for {asked}"
    )


def _instances(number: int) -> str:
    return "1 instance" if number == 1 else f"{number} instances"
