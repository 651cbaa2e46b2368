"""The commands and events of scaling."""

from functools import partial
from typing import Any

from shared.contracts.scaling import ApplyScalingPolicy, HoldScaling, ScaleRelease
from shared.kernel.clock import isoformat
from shared.messaging.fan_out import releases_of
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.told import ENVIRONMENT, WEB, deployment_of, ended, released, service_of
from tests.kit.virtual_time import EPOCH
from tests.scaling.scaled import (
    ONE,
    ROOT,
    RULE,
    Scaling,
    burning,
    cancelled,
    gave_up,
    policy_of,
    retired,
    serving,
    step,
)

_comes = partial(comes_to, "scaling")
_CONTENT = {"min": 1, "max": 5, "rules": [RULE]}
_ASKED = {"serviceId": service_of(), **_CONTENT}
_PATH = {"policyId": policy_of()}


async def _left(made: Scaling, sent: Any) -> Prepared:
    return await left_by(made.bench, sent, world=made.world)


async def _applied() -> Scaling:
    made = await serving()
    await made.apply()
    return made


@_comes(f"POST {ROOT}")
async def is_asked_for_a_policy() -> Prepared:
    return await _left(await serving(), Call(body=_ASKED))


@_comes("ApplyScalingPolicy")
async def is_told_of_a_policy() -> Prepared:
    return await _left(await serving(), ApplyScalingPolicy.model_validate(_ASKED))


@_comes(f"PUT {ONE}")
async def is_asked_to_change_it() -> Prepared:
    return await _left(await _applied(), Call(_PATH, _CONTENT))


@_comes(f"DELETE {ONE}")
async def is_asked_to_end_it() -> Prepared:
    return await _left(await _applied(), Call(_PATH))


@_comes(f"POST {ONE}/pause")
async def is_asked_to_pause() -> Prepared:
    return await _left(await _applied(), Call(_PATH, {"length": "PT1H"}))


@_comes(f"POST {ONE}/resume")
async def is_asked_to_go_on() -> Prepared:
    made = await _applied()
    await made.call("POST", f"{ONE}/pause", {"length": "PT1H"}, **_PATH)
    return await _left(made, Call(_PATH, {}))


@_comes(f"POST {ONE}/what-if")
async def is_asked_what_another_would_do() -> Prepared:
    made = await _applied()
    now = made.app.service.clock.now()
    asked = {"policy": _CONTENT, "fromAt": isoformat(EPOCH), "untilAt": isoformat(now)}
    return await _left(made, Call(_PATH, asked))


@_comes("RuntimeDeploymentStepChanged")
async def hears_of_a_step() -> Prepared:
    return await _left(await _applied(), step(2))


@_comes("RuntimeDeploymentCompleted")
async def hears_of_a_release() -> Prepared:
    return await _left(await _applied(), ended(2, [released(revision=2)]))


@_comes("RuntimeDeploymentRolledBack")
async def hears_of_a_release_that_was_rolled_back() -> Prepared:
    return await _left(await _applied(), ended(2, [released()], rolled_back=True))


@_comes("RuntimeDeploymentFailed")
async def hears_of_a_failure() -> Prepared:
    return await _left(await _applied(), gave_up(2, 60.0))


@_comes("RuntimeDeploymentCancelled")
async def hears_of_a_cancellation() -> Prepared:
    return await _left(await _applied(), cancelled(2, 60.0))


@_comes("RuntimeInventoryUpdated")
async def hears_of_a_retired_service() -> Prepared:
    return await _left(await _applied(), retired())


@_comes("HealthCheckCompleted")
async def hears_of_a_burn_rate() -> Prepared:
    return await _left(await _applied(), burning(2, 3.0, 3.0))


def _released() -> ScaleRelease:
    (command,) = releases_of(ended(2, [released(revision=2)]), ScaleRelease)
    return command


@_comes("ScaleRelease")
async def is_told_of_a_release() -> Prepared:
    return await _left(await _applied(), _released())


@_comes("HoldScaling")
async def is_told_to_hold() -> Prepared:
    hold = HoldScaling.model_validate(
        {
            "environmentId": ENVIRONMENT,
            "moduleId": WEB,
            "deploymentId": deployment_of(2),
            "at": isoformat(EPOCH),
        }
    )
    return await _left(await _applied(), hold)


@_comes("POST v1/platform/scaling/parked/{eventId}/replay")
async def replays() -> Prepared:
    made = await _applied()
    return await parked(made.bench, _released(), world=made.world)


@_comes("POST v1/platform/scaling/operations/{operationId}/cancel")
@_comes("POST v1/platform/scaling/operations/{operationId}/abandon")
async def has_no_operations() -> Prepared:
    operation = f"op-scaling-{'a' * 12}-{'0' * 16}"
    return await _left(await _applied(), Call({"operationId": operation}))
