"""The commands and events of environments."""

from functools import partial
from typing import Any, Final

from shared.contracts.deployments import RuntimeEnvironmentDrained
from shared.contracts.environments import (
    DecommissionEnvironment,
    RepairEnvironment,
    UpdateEnvironment,
)
from shared.contracts.tenants import RuntimeTenantBound
from shared.kernel.ids import parse_id, tenant_binding_id
from tests.environments.driven import CONTENT, Environments, a_request, environments
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.service import TENANT

_ROOT: Final = "v1/runtime/environments"
_ONE: Final = f"{_ROOT}/{{environmentId}}"
_OPERATION: Final = "v1/platform/environments/operations/{operationId}"
_comes = partial(comes_to, "environments")
CHANGED: Final = {**CONTENT, "tags": {"team": "web"}}


def _request() -> dict[str, Any]:
    body: dict[str, Any] = a_request().model_dump(mode="json", by_alias=True)
    return body


async def _provisioned() -> tuple[Environments, str]:
    world = environments()
    identity = await world.request()
    await world.run_started()
    return world, identity


async def _left(world: Environments, sent: Any) -> Prepared:
    return await left_by(world.bench, sent, cloud=world.world)


@_comes(f"POST {_ROOT}")
async def requests() -> Prepared:
    return await _left(environments(), Call(body=_request()))


@_comes(f"PUT {_ONE}")
async def changes() -> Prepared:
    world, identity = await _provisioned()
    return await _left(world, Call({"environmentId": identity}, CHANGED))


@_comes(f"DELETE {_ONE}")
async def decommissions() -> Prepared:
    world, identity = await _provisioned()
    return await _left(world, Call({"environmentId": identity}, query={"confirm": "shop"}))


@_comes(f"POST {_ONE}/plan")
async def plans() -> Prepared:
    world, identity = await _provisioned()
    return await _left(world, Call({"environmentId": identity}))


@_comes(f"POST {_OPERATION}/cancel")
@_comes(f"POST {_OPERATION}/abandon")
async def is_running() -> Prepared:
    world = environments()
    await world.request()
    _, operation, _ = world.bench.starts.started[0]
    return await _left(world, Call({"operationId": operation}))


@_comes("RuntimeTenantBound")
async def hears_of_a_binding() -> Prepared:
    world, identity = await _provisioned()
    binding = tenant_binding_id(parse_id(identity, "env").environment, TENANT)
    event = {
        "aggregateId": binding,
        "revision": 1,
        "bindingId": binding,
        "environmentId": identity,
        "ownerTenantId": TENANT,
        "isolationModel": "shared",
        "status": "Bound",
        "askedRevision": 1,
        "stage": "test",
    }
    return await _left(world, RuntimeTenantBound.model_validate(event))


@_comes("POST v1/platform/environments/parked/{eventId}/replay")
async def replays() -> Prepared:
    world = environments()
    return await parked(world.bench, a_request(), cloud=world.world)


@_comes("ProvisionEnvironment")
async def is_told_to_provision() -> Prepared:
    return await _left(environments(), a_request())


@_comes("UpdateEnvironment")
async def is_told_to_update() -> Prepared:
    world, identity = await _provisioned()
    command = UpdateEnvironment.model_validate({**CHANGED, "environmentId": identity})
    return await _left(world, command)


@_comes("RepairEnvironment")
async def is_told_to_repair() -> Prepared:
    world, identity = await _provisioned()
    return await _left(world, RepairEnvironment(environment_id=identity))


@_comes("DecommissionEnvironment")
async def is_told_to_decommission() -> Prepared:
    world, identity = await _provisioned()
    return await _left(world, DecommissionEnvironment(environment_id=identity, confirm="shop"))


@_comes("RuntimeEnvironmentDrained")
async def hears_of_the_drain() -> Prepared:
    world, identity = await _provisioned()
    await world.decommission(identity)
    event = RuntimeEnvironmentDrained(
        aggregate_id="target", revision=1, environment_id=identity, generation=1, removed=0
    )
    return await _left(world, event)
