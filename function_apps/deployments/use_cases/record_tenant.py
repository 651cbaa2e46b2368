"""Events of tenants: the binding of one to an environment, and the proofs that it is kept apart.

The target keeps the newest; those who wait for it are woken.
"""

from collections.abc import Sequence
from dataclasses import replace

from function_apps.deployments.model import facts, relocation
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DrainClaim
from function_apps.deployments.model.facts import RecordedProof
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS
from function_apps.deployments.use_cases.cancel import stop
from function_apps.deployments.use_cases.record_environment import begin_drain, wake_waiting
from shared.contracts.tenants import (
    ProofVerdict,
    RuntimeTenantBound,
    TenantBindingStatus,
    TenantIsolationProofCompleted,
    require_own_binding,
)
from shared.contracts.values import DeploymentId
from shared.durable.operations import OPERATIONS
from shared.kernel.context import Context, NewIds
from shared.kernel.errors import Invalid
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.codec import Put


async def record_binding(
    event: RuntimeTenantBound, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record the tenant's binding, and wake those who wait for it.

    Where the tenant is unbound from the environment of another one, a drain begins. Relocations of
    a move that is over are stopped.
    """
    require_own_binding(event, ctx.tenant)
    ids = NewIds.draw(ctx, app.service.public_name, event.environment_id)

    def decide(view: View) -> Decision[Sequence[DeploymentId]]:
        target = view.get(TARGETS, event.environment_id)
        over = relocation.of_moves_before(event.asked_revision, target)
        binding = facts.record_binding(target.binding, event)
        if binding is None:
            return Decision(over, is_repeat=True)
        after, rows = replace(target, binding=binding), wake_waiting(target)
        writes: list[Put] = []
        is_foreign = event.owner_tenant_id != ctx.tenant
        if event.status is TenantBindingStatus.UNBINDING and is_foreign and not target.drain:
            generation = target.environment.generation if target.environment else 1
            operation, start = begin_drain(event.environment_id, ids, ctx)
            after = replace(after, drain=DrainClaim(ids.operation_id, generation))
            writes, rows = [OPERATIONS.put(operation)], [start, *rows]
        return Decision(
            over,
            writes=[TARGETS.put(after), *writes],
            outbox=rows,
            audited=Audited("RecordTenantBinding", event.binding_id, event.status),
        )

    repeated = ctx.without_marker()
    outcome = await app.service.work.change(repeated, TARGETS, event.environment_id, decide)
    for deployment_id in outcome.value:
        await _stop_relocation(deployment_id, event, repeated, app)
    return Outcome({}, is_repeat=outcome.is_repeat)


async def _stop_relocation(
    deployment_id: str, event: RuntimeTenantBound, ctx: Context, app: DeploymentsApp
) -> None:
    """Stop a relocation of a move that is over; what it had applied is taken back."""

    def is_of_it(deployment: Deployment) -> bool:
        asked = deployment.relocation
        return asked is not None and asked.binding_revision < event.asked_revision

    await stop(deployment_id, f"the move of {event.binding_id} is over", is_of_it, ctx, app)


async def record_isolation_proof(
    event: TenantIsolationProofCompleted, ctx: Context, app: DeploymentsApp
) -> Outcome[Json]:
    """Record an isolation proof; a breach stops deployments until a proof of it passes.

    One that passed without its positive control could not have failed: it is not recorded.
    """
    require_own_binding(event, ctx.tenant)
    if event.verdict is ProofVerdict.PASS and not event.positive_control:
        raise Invalid(
            f"a proof of layer {event.layer} passed without its positive control",
            target="positiveControl",
        )

    def decide(view: View) -> Decision[Json]:
        target = view.get(TARGETS, event.environment_id)
        proof = RecordedProof(event.revision, event.verdict)
        binding = facts.record_proof(target.binding, event.binding_id, event.layer, proof)
        if binding is None:
            return NOTHING
        aggregate = f"{event.binding_id}/{event.layer}"
        return Decision(
            {},
            writes=[TARGETS.put(replace(target, binding=binding))],
            audited=Audited("RecordIsolationProof", aggregate, event.verdict),
        )

    return await app.service.work.change(
        ctx.without_marker(), TARGETS, event.environment_id, decide
    )
