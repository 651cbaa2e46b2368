"""The number that a policy left: until which release it stays, and words for its end. Pure."""

from dataclasses import replace

from function_apps.scaling.model.policy import ScalingPolicy, State
from function_apps.scaling.model.scaled_service import ScaledService
from shared.contracts.scaling import LeftReplicas


def forget_number(policy: ScalingPolicy, service: ScaledService) -> ScalingPolicy:
    """Return *policy* without the number that it left, once a release of *service* has its own.

    A later release may begin under the next policy: it begins with the number of that release.
    """
    if policy.left_replicas is None or not service.is_released or _stays(policy, service):
        return policy
    return replace(policy, left_replicas=None)


def after_release(
    policy: ScalingPolicy, earlier: ScaledService, service: ScaledService
) -> ScalingPolicy:
    """Return *policy* after a release of *service* ended, with the number that it would leave.

    *earlier* has the release before it; where that one is heard of late, it as well. A release that
    begins under a policy begins with as many instances as the one before has, and with the minimum
    at least. Until the policy decides, that is the number: its end would leave the minimum else.
    One that was deleted has said already what it leaves.
    """
    after = forget_number(policy, service)
    if after.actual is not None or after.status is State.SUPERSEDED:
        return after
    is_begun_under = service.is_released and _policy_of(service) > 0
    if not is_begun_under or earlier.release_revision == service.release_revision:
        return after
    left = after.left_replicas
    has_own = earlier.is_released and not earlier.ends and not _policy_of(earlier)
    if has_own and (left is None or left.release_revision < earlier.release_revision):
        left = LeftReplicas(
            replicas=int(earlier.component["replicas"]), release_revision=earlier.release_revision
        )
    if left is None:
        return after
    number = max(left.replicas, int(service.component["replicas"]))
    return replace(after, left_replicas=left.model_copy(update={"replicas": number}))


def _policy_of(service: ScaledService) -> int:
    """Return the revision of the policy that the release in force was begun under; 0 for none."""
    return int(service.component.get("scalingPolicyRevision") or 0)


def _stays(policy: ScalingPolicy, service: ScaledService) -> bool:
    """Return whether the release in force of *service* has the number that *policy* left."""
    left = policy.left_replicas
    return left is not None and left.is_of(service.release_revision, _policy_of(service))


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
