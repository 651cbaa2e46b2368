"""Release fan-out for services that are not yet in the new shape; goes with the last of them."""

from typing import Any

from shared.composition.service import Service
from shared.contracts.deployments import DeploymentEnded
from shared.kernel.cause import Cause
from shared.kernel.context import Context
from shared.kernel.scope import Scope
from shared.messaging.legacy_unit_of_work import Outcome
from shared.messaging.release_fan_out import fan_out_releases, releases_of
from shared.messaging.split import NOTHING_BESIDE, Beside

__all__ = ["releases_of", "split_releases"]


async def split_releases(
    event: DeploymentEnded,
    command: Any,
    *,
    scope: Scope,
    cause: Cause,
    service: Service,
    beside: Beside = NOTHING_BESIDE,
) -> Outcome:
    ctx = Context(scope, cause, service.clock, service.entropy)
    done = await fan_out_releases(
        event, command, ctx, service.work, reads=beside.reads, writes=beside.writes
    )
    return Outcome(done.value, done.is_repeat)
