"""The commands and events of catalog."""

from functools import partial
from typing import Any

from shared.contracts.catalog import RecordRelease, RetireService
from shared.kernel.clock import isoformat
from shared.messaging.fan_out import releases_of
from tests.catalog.inventory import Catalog, catalog
from tests.catalog.test_the_number_that_a_policy_wants import applied
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.told import ENVIRONMENT, ended, environment, released, service_of
from tests.kit.virtual_time import EPOCH

_comes = partial(comes_to, "catalog")


async def _left(made: Catalog, sent: Any) -> Prepared:
    return await left_by(made.bench, sent, world=made.world)


async def _recorded() -> Catalog:
    made = catalog()
    await made.hear_all(environment(1), ended(1, [released()]))
    return made


@_comes("RuntimeEnvironmentProvisioned")
async def hears_of_an_environment() -> Prepared:
    return await _left(catalog(), environment(1))


@_comes("RuntimeEnvironmentDecommissioned")
async def hears_of_its_end() -> Prepared:
    return await _left(await _recorded(), environment(2, gone=True))


@_comes("RuntimeDeploymentCompleted")
async def hears_of_a_release() -> Prepared:
    return await _left(await _recorded(), ended(2, [released(revision=2)]))


@_comes("RuntimeDeploymentRolledBack")
async def hears_of_a_rollback() -> Prepared:
    return await _left(await _recorded(), ended(2, [released()], rolled_back=True))


@_comes("RecordRelease")
async def is_told_to_record() -> Prepared:
    (command,) = releases_of(ended(2, [released(revision=2)]), RecordRelease)
    return await _left(await _recorded(), command)


@_comes("RetireService")
async def is_told_to_retire() -> Prepared:
    command = RetireService.model_validate(
        {
            "environmentId": ENVIRONMENT,
            "serviceId": service_of(),
            "cause": {"kind": "environment", "id": ENVIRONMENT},
            "endedAt": isoformat(EPOCH),
        }
    )
    return await _left(await _recorded(), command)


@_comes("ScalingPolicyApplied")
async def hears_of_a_policy() -> Prepared:
    return await _left(await _recorded(), applied(1, 5))


@_comes("POST v1/platform/catalog/parked/{eventId}/replay")
async def replays() -> Prepared:
    made = catalog()
    return await parked(made.bench, environment(1), world=made.world)


@_comes("POST v1/platform/catalog/operations/{operationId}/cancel")
@_comes("POST v1/platform/catalog/operations/{operationId}/abandon")
async def has_no_operations() -> Prepared:
    operation = f"op-catalog-{'a' * 12}-{'0' * 16}"
    return await _left(await _recorded(), Call({"operationId": operation}))
