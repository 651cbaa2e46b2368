"""What other services tell about an environment: it is remembered in the target, newest wins."""

from collections.abc import Callable
from dataclasses import replace

import shared.kernel.operation as operations
from function_apps.deployments.model import facts
from function_apps.deployments.model import target as targets
from function_apps.deployments.model.facts import RecordedFact, RecordedProof
from function_apps.deployments.model.target import KnownEnvironment, Target
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.dossier import DRAIN, DrainTicket, place, unmarked, writes
from shared.contracts.configurations import ConfigurationPublished
from shared.contracts.environments import (
    EnvironmentFacts,
    EnvironmentStatus,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.secret_bindings import BindingStatus, SecretBound, SecretRotated
from shared.contracts.tenants import (
    RuntimeTenantBound,
    TenantIsolationProofCompleted,
)
from shared.contracts.values import EnvironmentId, ProjectId
from shared.kernel.errors import Invalid
from shared.kernel.ids import operation_id, parse_id
from shared.kernel.scope import Scope
from shared.messaging.cause import Cause
from shared.messaging.legacy_unit_of_work import NOTHING, Audited, Decision, Outcome, View
from shared.messaging.outbox import Raise, Row, Start


async def note_provisioned(
    event: RuntimeEnvironmentProvisioned, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember a usable environment, and wake those who wait for it."""
    return await _note_environment(event, scope=scope, cause=cause, app=app)


async def note_status(
    event: RuntimeEnvironmentStatusChanged, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember the status; on Decommissioning begin to cancel and drain what is there."""
    return await _note_environment(event, scope=scope, cause=cause, app=app)


async def note_failed(
    event: RuntimeEnvironmentFailed, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember the failure; those who wait fail with it."""
    return await _note_environment(event, scope=scope, cause=cause, app=app)


async def note_decommissioned(
    event: RuntimeEnvironmentDecommissioned, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember the end; nothing is in force in the environment any more."""
    return await _note_environment(event, scope=scope, cause=cause, app=app)


async def _note_environment(
    event: EnvironmentFacts, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    now = app.service.clock.now()
    key = parse_id(event.environment_id, "env").environment
    draining = operation_id(app.service.outside_name, key, now, app.service.entropy)
    if cause.project is None:
        raise Invalid(
            "an environment's event names its project in the envelope", target="projectId"
        )
    project = ProjectId(cause.project)

    def decide(target: Target) -> Decision:
        if target.environment is not None and target.environment.revision >= event.revision:
            return NOTHING
        after = replace(target, environment=_known(event, project, target.environment))
        rows: list[Row] = [Raise(one.operation, one.wait) for one in targets.waits(target)]
        ended = []
        if event.status is EnvironmentStatus.DECOMMISSIONING:
            ticket = DrainTicket(scope.tenant, event.environment_id, event.generation)
            argued = ticket.written()
            after = replace(after, drain=draining)
            path = f"/v1/runtime/environments/{event.environment_id}"
            ended = [
                operations.accept(
                    draining, "DrainEnvironment", path, scope.caller, DRAIN, argued, now
                )
            ]
            rows.append(Start(DRAIN, draining, argued))
        if event.status is EnvironmentStatus.DECOMMISSIONED:
            after = emptied(after)
        return Decision(
            writes=writes(target=after, operations_=ended),
            outbox=rows,
            audited=Audited("NoteEnvironment", event.environment_id, event.status),
        )

    return await _note(event.environment_id, decide, scope=scope, cause=cause, app=app)


def _known(
    event: EnvironmentFacts, project: ProjectId, before: KnownEnvironment | None
) -> KnownEnvironment:
    targets_ = before.targets if before else ()
    if event.status is EnvironmentStatus.DECOMMISSIONED:
        targets_ = ()  # whatever was heard before, and in whatever order
    if isinstance(event, RuntimeEnvironmentProvisioned):
        targets_ = tuple(target.kind for target in event.compute_targets)
    return KnownEnvironment(
        revision=event.revision,
        status=event.status,
        project=project,
        stage=event.stage,
        owner=event.owner_tenant_id,
        generation=event.generation,
        targets=targets_,
    )


def emptied(target: Target) -> Target:
    """Return *target* with nothing in force; revisions that were given out are never used again."""
    modules = {
        module: targets.ModuleState(last=state.last) for module, state in target.modules.items()
    }
    return replace(target, modules=modules, holds={})


async def note_binding(
    event: RuntimeTenantBound, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember the tenant's binding, and wake those who wait for it."""

    def decide(target: Target) -> Decision:
        binding = facts.record_binding(
            target.binding, event.binding_id, event.revision, event.status
        )
        if binding is None:
            return NOTHING
        rows = [Raise(one.operation, one.wait) for one in targets.waits(target)]
        return Decision(
            writes=writes(target=replace(target, binding=binding)),
            outbox=rows,
            audited=Audited("NoteTenantBinding", event.binding_id, event.status),
        )

    return await _note(event.environment_id, decide, scope=scope, cause=cause, app=app)


async def note_isolation(
    event: TenantIsolationProofCompleted, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember a breach of isolation, which stops deployments until a proof of it passes."""

    def decide(target: Target) -> Decision:
        proof = RecordedProof(event.revision, event.verdict)
        binding = facts.record_proof(target.binding, event.binding_id, event.layer, proof)
        if binding is None:
            return NOTHING
        aggregate = f"{event.binding_id}/{event.layer}"
        return Decision(
            writes=writes(target=replace(target, binding=binding)),
            audited=Audited("NoteIsolationProof", aggregate, event.verdict),
        )

    return await _note(event.environment_id, decide, scope=scope, cause=cause, app=app)


async def note_configuration(
    event: ConfigurationPublished, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome | None:
    """Remember the version of a layer of one environment for the next release unit."""
    if event.environment_id is None:
        # The tenant's layer concerns all its environments: configurations sends one roll-out each.
        return None
    fact = RecordedFact(
        "configuration",
        event.revision,
        module=event.module_id or "",
        name=event.layer,
        value=str(event.version),
    )
    return await _learn(
        event.environment_id, event.aggregate_id, fact, scope=scope, cause=cause, app=app
    )


async def note_secret(
    event: SecretBound | SecretRotated, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember a secret's version for the module's next release unit; never a value."""
    is_revoked = isinstance(event, SecretBound) and event.status is BindingStatus.REVOKED
    fact = RecordedFact(
        "secret",
        event.revision,
        module=event.module_id,
        name=event.secret_name,
        value="" if is_revoked else event.version,
    )
    return await _learn(
        event.environment_id, event.aggregate_id, fact, scope=scope, cause=cause, app=app
    )


async def note_scaling(
    event: ScalingPolicyApplied, *, scope: Scope, cause: Cause, app: DeploymentsApp
) -> Outcome:
    """Remember which policy scales the module, for its next release unit."""
    fact = RecordedFact(
        "scaling", event.revision, module=event.module_id, value=str(event.policy_revision)
    )
    return await _learn(
        event.environment_id, event.policy_id, fact, scope=scope, cause=cause, app=app
    )


async def _learn(
    environment: EnvironmentId,
    aggregate: str,
    fact: RecordedFact,
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
) -> Outcome:
    def decide(target: Target) -> Decision:
        recorded = facts.record_fact(target.facts, aggregate, fact)
        if recorded is None:
            return NOTHING
        return Decision(
            writes=writes(target=replace(target, facts=recorded)),
            audited=Audited("NoteFact", aggregate, fact.kind),
        )

    return await _note(environment, decide, scope=scope, cause=cause, app=app)


async def _note(
    environment: EnvironmentId,
    decide: Callable[[Target], Decision],
    *,
    scope: Scope,
    cause: Cause,
    app: DeploymentsApp,
) -> Outcome:
    """Decide on the target alone; the revision kept there shows what was applied already."""
    document = targets.document_id(environment)

    def decide_on(view: View) -> Decision:
        return decide(targets.from_body(view.body(document), environment))

    return await app.service.work.write(
        scope, place(environment, scope), [document], decide_on, unmarked(cause)
    )
