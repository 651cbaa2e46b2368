"""The commands and events of health."""

from functools import partial
from typing import Any

from shared.contracts.health import WatchRelease
from shared.messaging.fan_out import releases_of
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.health.test_evaluating_a_gate import GATE, asked
from tests.health.test_gates_end_with_their_deployment import ending, gating
from tests.health.test_objectives_over_http import OBJECTIVE
from tests.health.test_objectives_raise_alerts import put
from tests.health.test_sweeps import retired
from tests.health.watching import Health, health
from tests.kit.told import ended, released, service_of

_comes = partial(comes_to, "health")
_OPERATION = "v1/platform/health/operations/{operationId}"


async def _left(made: Health, sent: Any) -> Prepared:
    return await left_by(made.bench, sent, world=made.world)


async def _watching() -> Health:
    made = health()
    await made.hear_all(ended(1, [released()]))
    return made


def _ends_its_gates(status: str) -> None:
    @_comes(f"RuntimeDeployment{status}")
    async def hears_of_the_end() -> Prepared:
        return await _left(await gating(GATE), ending(status))


for _status in ("Completed", "RolledBack", "Failed", "Cancelled"):
    _ends_its_gates(_status)


@_comes("RuntimeInventoryUpdated")
async def hears_of_a_retired_service() -> Prepared:
    return await _left(await _watching(), retired())


@_comes("PUT v1/runtime/services/{serviceId}/slo")
async def is_given_an_objective() -> Prepared:
    return await _left(await _watching(), Call({"serviceId": service_of()}, OBJECTIVE))


@_comes("DELETE v1/runtime/services/{serviceId}/slo")
async def loses_its_objective() -> Prepared:
    made = await _watching()
    await put(made, OBJECTIVE)
    return await _left(made, Call({"serviceId": service_of()}))


@_comes("EvaluateGate")
async def is_asked_for_a_verdict() -> Prepared:
    made = health()
    return await _left(made, asked(made))


@_comes("WatchRelease")
async def is_told_to_watch() -> Prepared:
    (command,) = releases_of(ended(2, [released(revision=2)]), WatchRelease)
    return await _left(await _watching(), command)


@_comes(f"POST {_OPERATION}/cancel")
@_comes(f"POST {_OPERATION}/abandon")
async def is_gating() -> Prepared:
    made = await gating(GATE)
    _, operation, _ = made.bench.starts.started[0]
    return await _left(made, Call({"operationId": operation}))


@_comes("POST v1/platform/health/parked/{eventId}/replay")
async def replays() -> Prepared:
    made = health()
    (command,) = releases_of(ended(2, [released(revision=2)]), WatchRelease)
    return await parked(made.bench, command, world=made.world)
