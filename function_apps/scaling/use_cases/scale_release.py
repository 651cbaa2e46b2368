"""ScaleRelease and HoldScaling: what a deployment does with one service."""

from collections.abc import Callable

from function_apps.scaling.model import scaled_service
from function_apps.scaling.model.left_replicas import after_release
from function_apps.scaling.model.policy import ScalingPolicy
from function_apps.scaling.model.scaled_service import ScaledService
from function_apps.scaling.ports import ScalingApp
from function_apps.scaling.repository import POLICIES, SERVICES
from shared.contracts.scaling import HoldScaling, ScaleRelease
from shared.kernel.context import Context
from shared.kernel.ids import ModuleId, module_key, parse_id
from shared.kernel.ids import service_id as service_id_of
from shared.messaging.outbox import Audited
from shared.messaging.unit_of_work import NOTHING, Decision, Json, Outcome, View
from shared.persistence.codec import Put


async def scale_release(command: ScaleRelease, ctx: Context, app: ScalingApp) -> Outcome[Json]:
    """Remember the release that a deployment left of a service.

    One with a number of its own ends what a policy left; one that began under a policy which has
    not decided has the number of the one before.
    """

    def record(service: ScaledService) -> ScaledService:
        return scaled_service.record_release(service, command)

    return await _record(command, record, ctx, app)


async def hold_scaling(command: HoldScaling, ctx: Context, app: ScalingApp) -> Outcome[Json]:
    """Remember that a deployment changes a service, or that it ended without a release."""

    def record(service: ScaledService) -> ScaledService:
        return scaled_service.record_rollout(service, command)

    return await _record(command, record, ctx, app)


async def _record(
    command: ScaleRelease | HoldScaling,
    record: Callable[[ScaledService], ScaledService],
    ctx: Context,
    app: ScalingApp,
) -> Outcome[Json]:
    key = parse_id(command.environment_id, "env").environment
    service_id = service_id_of(key, module_key(ctx.tenant, ModuleId(command.module_id)))

    def decide(view: View) -> Decision[Json]:
        known = view.find(SERVICES, service_id)
        unknown = scaled_service.new_service(
            service_id, ctx.tenant, command.environment_id, command.module_id
        )
        before = known or unknown
        after = record(before)
        if after == known:
            return NOTHING
        audited = Audited(type(command).__name__, service_id)
        is_late = after.release_revision == before.release_revision
        earlier = record(unknown) if is_late else before
        writes = [SERVICES.put(after), *_number(view.find(POLICIES, service_id), earlier, after)]
        return Decision({}, writes=writes, audited=audited)

    policy = POLICIES.document_id(service_id)
    return await app.service.work.change(ctx, SERVICES, service_id, decide, also=[policy])


def _number(
    policy: ScalingPolicy | None, earlier: ScaledService, service: ScaledService
) -> list[Put]:
    """Return the write of *policy* where the release of *service* changes what it leaves.

    It is no news: whoever has the number asks of which release it is, and another one is told with
    the end of the policy.
    """
    after = policy and after_release(policy, earlier, service)
    return [] if after is None or after == policy else [POLICIES.put(after)]
