"""The result of a request: a new environment, a change, a repeat, or a refusal. Pure."""

from collections.abc import Sequence
from datetime import datetime

from function_apps.environments.errors import (
    ConfirmationMissing,
    DataResourceUnknown,
    EnvironmentExists,
    NotSupported,
    RetainDiffers,
    TenantsBound,
)
from function_apps.environments.model.environment import RuntimeEnvironment, evolve, require_alone
from function_apps.environments.model.lifecycle import (
    LEAVING,
    DecommissionRequested,
    RepairRequested,
    RequestRepeated,
    RetryRequested,
    Spec,
    State,
    UpdateRequested,
)
from shared.contracts.environments import (
    DecommissionEnvironment,
    EnvironmentChange,
    ProvisionEnvironment,
    UpdateEnvironment,
)
from shared.contracts.validation import shown
from shared.contracts.values import Stage
from shared.infrastructure.inputs import data_resource_name
from shared.kernel.clock import isoformat
from shared.kernel.errors import Violation
from shared.kernel.transitions import TransitionRefused


def spec_from(command: EnvironmentChange) -> Spec:
    """Return the content of *command*.

    Raises:
        NotSupported: it asks for a time to live, which this version does not keep.
    """
    if command.ttl is not None:
        raise NotSupported(
            "ttl: environments do not expire by themselves yet; leave it out", target="/ttl"
        )
    return Spec(
        isolation_model=command.isolation_model,
        compute_targets=tuple(command.compute_targets),
        data_resources=tuple(command.data_resources),
        protected=command.protected,
        tags=dict(command.tags),
        admits=tuple(command.admits),
    )


def new_environment(
    command: ProvisionEnvironment,
    *,
    environment_id: str,
    tenant_id: str,
    operation_id: str,
    trace_id: str,
    now: datetime,
) -> RuntimeEnvironment:
    """Return a new environment that waits to be planned."""
    at = isoformat(now)
    return RuntimeEnvironment(
        environment_id=environment_id,
        tenant_id=tenant_id,
        project_id=command.project_id,
        name=command.name,
        stage=command.stage,
        region=command.region,
        spec=spec_from(command),
        status=State.REQUESTED,
        operation_id=operation_id,
        created_at=at,
        updated_at=at,
        trace_id=trace_id,
        approved_plan=command.plan_id,
        deletes=command.delete_data,
    )


def request(
    known: RuntimeEnvironment | None, fresh: RuntimeEnvironment, now: datetime
) -> RuntimeEnvironment:
    """Return the environment after a request for *fresh*: *known* itself where that is a repeat.

    Else it is *fresh*, a retry where *known* failed, or a new generation where it is gone.

    Raises:
        EnvironmentExists: it is active with other content.
        DataResourceUnknown: `deleteData` names something that the environment does not have.
        SiloNotAlone: it would be a silo with other tenants.
        TransitionRefused: another operation has it.
    """
    require_alone(fresh)
    if known is None:
        _require_present(fresh.deletes, (), fresh.environment_id, field="deleteData")
        return fresh
    content = (fresh.operation_id, fresh.spec, fresh.approved_plan, fresh.deletes)
    spec = fresh.spec
    if known.status is State.DECOMMISSIONED:
        _require_deletable(fresh.deletes, known)
        repeated = RequestRepeated(*content, stage=fresh.stage, region=fresh.region)
        return evolve(known, repeated, now)
    differing = differences(known, spec, stage=fresh.stage, region=fresh.region)
    is_elsewhere = any(each.target in {"/stage", "/region"} for each in differing)
    if known.status is State.FAILED and not is_elsewhere:
        _require_deletable(fresh.deletes, known)
        return require_alone(evolve(known, RetryRequested(*content), now))
    if known.status in LEAVING:
        raise TransitionRefused(
            "an environment", known.status, "ProvisionEnvironment", ("Failed", "Decommissioned")
        )
    if differing:
        raise EnvironmentExists(known.environment_id, differing)
    return known


def differences(
    known: RuntimeEnvironment, spec: Spec, *, stage: str, region: str
) -> Sequence[Violation]:
    """Return one violation for each field in which a request differs from what is in force."""
    active = known.in_force
    pairs = {
        "/stage": (known.stage, stage),
        "/region": (known.region, region),
        "/isolationModel": (active.isolation_model, spec.isolation_model),
        "/computeTargets": (active.compute_targets, spec.compute_targets),
        "/dataResources": (active.data_resources, spec.data_resources),
        "/protected": (active.protected, spec.protected),
        "/tags": (dict(active.tags), dict(spec.tags)),
        "/admits": (active.admits, spec.admits),
    }
    return [
        Violation("Differs", target, "differs from what is active", shown(now), shown(asked))
        for target, (now, asked) in pairs.items()
        if now != asked
    ]


def update(
    known: RuntimeEnvironment, command: UpdateEnvironment, *, operation_id: str, now: datetime
) -> RuntimeEnvironment:
    """Return *known* with other content to be applied; *known* itself where that is being done.

    Raises:
        NotSupported, TransitionRefused.
        SiloNotAlone: it would be a silo with other tenants.
        DataResourceUnknown: `deleteData` names something that the environment does not have.
    """
    spec = spec_from(command)
    is_same = not differences(known, spec, stage=known.stage, region=known.region)
    if is_same and known.status is State.UPDATING:
        return known
    asked = UpdateRequested(operation_id, spec, command.plan_id, command.delete_data)
    after = require_alone(evolve(known, asked, now))
    _require_deletable(command.delete_data, known)
    return after


def repair(known: RuntimeEnvironment, *, operation_id: str, now: datetime) -> RuntimeEnvironment:
    """Return *known* with what is in force to be applied once more; itself while it is updated.

    Raises:
        TransitionRefused: it is not Provisioned.
    """
    if known.status is State.UPDATING:
        return known
    return evolve(known, RepairRequested(operation_id, known.in_force), now)


def may_delete_data(known: RuntimeEnvironment, after: RuntimeEnvironment) -> bool:
    """Return whether *after* leaves out, or changes, data that *known* may have."""
    kept = (*after.spec.data_resources, *after.still_retained)
    names = {each.name for each in kept}
    changed = any(each not in kept for each in known.known_data)
    return changed or not names.issuperset(known.data_resources)


def decommission(
    known: RuntimeEnvironment, command: DecommissionEnvironment, *, operation_id: str, now: datetime
) -> RuntimeEnvironment:
    """Return *known* about to be taken down; *known* itself where *command* is a repeat.

    What an earlier try retained stays retained: a later one may only add to it.

    Raises:
        DataResourceUnknown: `retain` names something that the environment does not have.
        RetainDiffers: it is being taken down, or is gone, with other data retained.
        TenantsBound: other tenants are bound to it.
        ConfirmationMissing: `confirm` is not its name, or is missing where it is protected, prod or
            loses data.
        TransitionRefused: its state does not allow it.
    """
    asked = _data_resources(known, command.retain)
    if known.status in {State.DECOMMISSIONING, State.DECOMMISSIONED}:
        if not set(asked) <= set(known.retain):
            raise RetainDiffers(known.environment_id, known.retain, asked)
        return known
    if known.bound:
        raise TenantsBound(known.environment_id, known.bound)
    earlier = known.retain if known.status is State.DECOMMISSION_FAILED else ()
    still = [each.name for each in known.retained]
    retain = tuple(dict.fromkeys([*earlier, *still, *asked]))
    why = _to_be_confirmed(known, retain)
    if command.confirm != known.name and (why or command.confirm is not None):
        raise ConfirmationMissing(known.name, command.confirm, why or ["has another name"])
    return evolve(known, DecommissionRequested(operation_id, retain), now)


def _to_be_confirmed(known: RuntimeEnvironment, retain: Sequence[str]) -> Sequence[str]:
    """Return why *known* is not taken down without its name."""
    lost = [name for name in known.data_resources if name not in retain]
    reasons = {
        "is protected": known.is_protected,
        "is prod": known.stage == Stage.PROD,
        f"loses its data {', '.join(lost)} with all content": bool(lost),
    }
    return [reason for reason, holds in reasons.items() if holds]


def _data_resources(known: RuntimeEnvironment, names: Sequence[str]) -> Sequence[str]:
    """Return the data resources that *names* mean, by their own or their resource's name."""
    present = {data_resource_name(name): name for name in known.data_resources}
    present |= {name: name for name in known.data_resources}
    asked = [present.get(name, name) for name in names]
    _require_present(asked, known.data_resources, known.environment_id, field="retain")
    return asked


def _require_deletable(names: Sequence[str], known: RuntimeEnvironment) -> None:
    _require_present(names, known.data_resources, known.environment_id, field="deleteData")


def _require_present(
    names: Sequence[str], present: Sequence[str], environment_id: str, *, field: str
) -> None:
    unknown = [name for name in names if name not in present]
    if unknown:
        raise DataResourceUnknown(environment_id, unknown, present, field=field)
