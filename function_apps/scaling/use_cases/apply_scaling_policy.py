"""ApplyScalingPolicy: what decides the number of instances of a service."""

from dataclasses import replace
from typing import Final

from function_apps.scaling.errors import PolicyInvalid, ServiceUnknown
from function_apps.scaling.model.policy import (
    ScalingPolicy,
    ServiceFound,
    State,
    apply_policy,
    evolve,
)
from function_apps.scaling.model.prod_change import prod_change
from function_apps.scaling.model.rule_checks import violations
from function_apps.scaling.model.scaled_service import ScaledService
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import (
    DOCUMENTS,
    POLICIES,
    SERVICES,
    changed,
    ids_of,
    known_policy,
)
from function_apps.scaling.resources import answer
from shared.contracts.scaling import ApplyScalingPolicy, ScalingPolicyChange
from shared.kernel.asked_once import AskedOnce
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Decision, Json, Outcome, View
from shared.surfaces.port import configured_surface

_CONTENT: Final = set(ScalingPolicyChange.model_fields)


async def apply_scaling_policy(
    command: ApplyScalingPolicy, ctx: Context, app: ScalingApp
) -> Outcome[Json]:
    """Give a service its policy; the same again changes nothing.

    That of a service whose first rollout is under way waits until that has ended.

    Raises:
        ServiceUnknown: no deployment of it was heard of.
        PolicyInvalid: its rules cannot be followed.
        PolicyExists: the service has one with other content.
        PolicyDenied: it is of prod, and the operator's rules do not allow it.
        Unavailable: their engine does not say.
    """
    content = ScalingPolicyChange.model_validate(command.model_dump(include=_CONTENT))
    return await _write(command.service_id, content, ctx, app, is_change=False)


async def change_scaling_policy(
    policy_id: str, content: ScalingPolicyChange, ctx: Context, app: ScalingApp
) -> Outcome[Json]:
    """Give a policy other content.

    Raises:
        PolicyNotFound, PolicyInvalid, ServiceUnknown, PolicyDenied, Unavailable.
    """
    return await _write(policy_id, content, ctx, app, is_change=True)


async def _write(
    identity: str, content: ScalingPolicyChange, ctx: Context, app: ScalingApp, *, is_change: bool
) -> Outcome[Json]:
    ids = ids_of(identity, ctx)
    once = AskedOnce()

    async def decide(view: View) -> Decision[Json]:
        known = known_policy(view, ids) if is_change else view.find(POLICIES, ids.service_id)
        service = view.find(SERVICES, ids.service_id)
        if service is None or service.is_retired:
            raise ServiceUnknown(ids.service_id)
        require_valid(content, service, app)
        after = apply_policy(known, content, ids, ctx.now(), is_change=is_change)
        if after is known:
            return Decision(answer(after), is_repeat=True)
        after = found(after, service, ctx)
        applied = changed(known, after, "ApplyScalingPolicy", ctx.now(), app)
        if app.prod_policy is None:
            return applied
        return await app.prod_policy.permit(applied, prod_change(content, service), ctx, once)

    return await app.service.work.change(ctx, POLICIES, ids.service_id, decide, also=DOCUMENTS[1:])


def require_valid(
    content: ScalingPolicyChange, service: ScaledService | None, app: ScalingApp
) -> None:
    """Refuse what cannot be followed, as far as the service is known.

    Raises:
        PolicyInvalid.
        Unavailable: its surface is not configured, or did not say yet what it can.
    """
    known = service if service is not None and service.is_released else None
    capabilities = None
    if known is not None:
        capabilities = configured_surface(app.surfaces, known.compute_target).capabilities()
    refused = violations(content, known, capabilities)
    if refused:
        raise PolicyInvalid(refused)


def found(policy: ScalingPolicy, service: ScaledService | None, ctx: Context) -> ScalingPolicy:
    """Return *policy* as applied, once its service is known."""
    if service is None or not service.is_released or policy.status is not State.REQUESTED:
        return policy
    return named(evolve(policy, ServiceFound, ctx.now()), service)


def named(policy: ScalingPolicy, service: ScaledService) -> ScalingPolicy:
    """Return *policy* with the name of its module."""
    return policy if policy.module_id else replace(policy, module_id=service.module_id)
