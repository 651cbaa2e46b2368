"""Events of secret_bindings and scaling: facts for the next release unit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from function_apps.deployments.model import bound_secrets, facts
from function_apps.deployments.model.facts import Facts, PolicyFact
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from shared.contracts.scaling import ScalingPolicyApplied, ScalingStatus
from shared.contracts.secret_bindings import RotationStatus, SecretBound, SecretRotated
from shared.contracts.values import EnvironmentId
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View

_IN_FORCE: Final = {RotationStatus.VERIFIED, RotationStatus.REVOKED}
"""A rotation whose version every consumer has."""
_NO_POLICY: Final = {ScalingStatus.REJECTED, ScalingStatus.SUPERSEDED}
"""Of such a policy nobody writes the number: deployments owns it."""


async def record_secret(
    event: SecretBound | SecretRotated, ctx: Context, app: DeploymentsApp
) -> Outcome[Json] | None:
    """Record a secret's version for its modules, and where it is; never a value.

    A rotation tells of each of its consumers; one whose binding has not been heard of gets its
    version from that.
    """
    if isinstance(event, SecretRotated) and event.status not in _IN_FORCE:
        return None
    own = bound_secrets.fact_of(event, ctx.now())
    key = facts.secret_key(own.module, own.name)

    def changed(known: Facts) -> Facts | None:
        before = facts.without_ended(known, key, ctx.now())
        after = facts.record_secret(before, own) or before
        for consumer in bound_secrets.consumers_of(event, own, before):
            after = facts.record_secret(after, consumer) or after
        return None if after == known else after

    return await record(event.environment_id, event.aggregate_id, changed, ctx, app)


async def record_scaling_policy(
    event: ScalingPolicyApplied, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record the revision and the minimum of a policy; 0 once it ended, with what it left."""
    is_in_force = event.status not in _NO_POLICY
    fact = PolicyFact(
        facts.SCALING,
        event.revision,
        event.policy_revision if is_in_force else 0,
        event.module_id,
        event.min if is_in_force else 0,
        event.left_replicas,
    )

    def changed(known: Facts) -> Facts | None:
        return facts.record_policy(known, event.policy_id, fact)

    return await record(event.environment_id, event.policy_id, changed, ctx, app)


async def record(
    environment_id: EnvironmentId,
    aggregate_id: str,
    change: Callable[[Facts], Facts | None],
    ctx: Context,
    app: DeploymentsApp,
) -> Outcome[Json]:
    """Commit what *change* makes of the facts of an environment, None for nothing new."""

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        recorded = change(target.facts)
        if recorded is None:
            return NOTHING
        return Decision(
            {},
            writes=[TARGETS.put(replace(target, facts=recorded))],
            audited=Audited("RecordFact", aggregate_id),
        )

    return await app.service.work.change(ctx.without_marker(), TARGETS, environment_id, decide)
