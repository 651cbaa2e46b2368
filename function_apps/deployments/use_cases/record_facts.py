"""Events of configurations, secret_bindings and scaling: facts for the next release unit."""

from dataclasses import replace

from function_apps.deployments.model import facts
from function_apps.deployments.model.facts import RecordedFact
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.secret_bindings import BindingStatus, SecretBound, SecretRotated
from shared.contracts.values import EnvironmentId
from shared.kernel.context import Context
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View


async def record_configuration(
    event: ConfigurationPublished, ctx: Context, app: DeploymentsApp
) -> Outcome[Json] | None:
    """Record the version of a layer of one environment."""
    if event.environment_id is None:
        # The tenant's layer concerns all its environments: configurations sends one roll-out each.
        return None
    fact = RecordedFact(
        facts.CONFIGURATION,
        event.revision,
        module=event.module_id or "",
        name=event.layer,
        value=str(event.version),
    )
    return await _record(event.environment_id, event.aggregate_id, fact, ctx, app)


async def record_secret(
    event: SecretBound | SecretRotated, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record a secret's version for its module; never a value."""
    is_revoked = isinstance(event, SecretBound) and event.status is BindingStatus.REVOKED
    rotation = int(event.rotation_id.rpartition("-")[2]) if isinstance(event, SecretRotated) else 0
    fact = RecordedFact(
        facts.SECRET,
        event.revision,
        module=event.module_id,
        name=event.secret_name,
        value="" if is_revoked else event.version,
        rotation=rotation,
    )
    return await _record(event.environment_id, event.aggregate_id, fact, ctx, app)


async def record_scaling_policy(
    event: ScalingPolicyApplied, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record the revision of the policy that scales a module."""
    fact = RecordedFact(
        facts.SCALING, event.revision, module=event.module_id, value=str(event.policy_revision)
    )
    return await _record(event.environment_id, event.policy_id, fact, ctx, app)


async def _record(
    environment_id: EnvironmentId,
    aggregate_id: str,
    fact: RecordedFact,
    ctx: Context,
    app: DeploymentsApp,
) -> Outcome[Json]:
    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, environment_id)
        if fact.kind == facts.SECRET:
            recorded = facts.record_secret(target.facts, fact)
        else:
            recorded = facts.record_fact(target.facts, aggregate_id, fact)
        if recorded is None:
            return NOTHING
        return Decision(
            {},
            writes=[TARGETS.put(replace(target, facts=recorded))],
            audited=Audited("RecordFact", aggregate_id),
        )

    return await app.service.work.change(ctx.without_marker(), TARGETS, environment_id, decide)
