"""The commands and events of drift."""

from functools import partial
from typing import Any

from pydantic import BaseModel

from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentRequested,
)
from shared.contracts.drift import CompareRelease
from shared.contracts.environments import RuntimeEnvironmentFailed
from shared.contracts.health import HealthCheckCompleted
from shared.messaging.fan_out import releases_of
from tests.drift.compared import (
    Drift,
    component_with,
    drift,
    failed,
    released_and_settled,
    scaled,
    step,
)
from tests.drift.followed import FOLLOW, SOURCES, WEBHOOK, followed, published
from tests.drift.isolated import proof, status
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.memory_vaults import MemoryVaults
from tests.kit.push import signature
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, bound_tenant, ended, environment, service_of

_comes = partial(comes_to, "drift")
_ENVIRONMENT = "v1/runtime/drift/{environmentId}"
_FINDING = "v1/runtime/drift-findings/{findingId}"


async def _left(made: Drift, sent: Any) -> Prepared:
    return await left_by(made.bench, sent, world=made.world)


async def _found() -> tuple[Drift, str]:
    """Return the service with one finding, and its id."""
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    return made, (await made.only())["findingId"]


async def _hears(sent: BaseModel) -> Prepared:
    return await _left(await released_and_settled(), sent)


@_comes(f"POST {_ENVIRONMENT}/scan")
async def is_asked_to_scan() -> Prepared:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    return await _left(made, Call({"environmentId": ENVIRONMENT}, {}))


@_comes(f"POST {_FINDING}/acknowledge")
@_comes(f"POST {_FINDING}/adopt")
@_comes(f"POST {_FINDING}/remediate")
async def is_asked_to_decide() -> Prepared:
    made, finding = await _found()
    return await _left(made, Call({"findingId": finding}, {"reason": "because"}))


@_comes(f"POST {_FINDING}/suppress")
async def is_asked_to_suppress() -> Prepared:
    made, finding = await _found()
    body = {"length": "PT1H", "reason": "because"}
    return await _left(made, Call({"findingId": finding}, body))


@_comes(f"POST {SOURCES}")
async def is_asked_to_follow_a_repository() -> Prepared:
    return await _left(await released_and_settled(), Call(body=FOLLOW))


@_comes(f"DELETE {SOURCES}/{{sourceId}}")
async def is_asked_to_follow_it_no_more() -> Prepared:
    made = await followed()
    return await _left(made.drift, Call({"sourceId": made.source_id}))


@_comes(f"POST {WEBHOOK}")
async def is_sent_a_webhook() -> Prepared:
    made = await followed()
    await made.drift.app.service.clock.sleep(30)
    vaults = made.drift.app.vaults
    assert isinstance(vaults, MemoryVaults)
    call = Call(
        {"sourceId": made.source_id}, b"{}", {"tenant": TENANT},
        {"x-hub-signature-256": signature(b"{}")},
    )  # fmt: skip
    return await left_by(made.drift.bench, call, world=made.drift.world, vaults=vaults)


@_comes("RuntimeEnvironmentProvisioned")
async def hears_of_an_environment() -> Prepared:
    return await _left(await drift(knows_environment=False), environment(1))


@_comes("RuntimeEnvironmentFailed")
async def hears_of_an_environment_that_failed() -> Prepared:
    facts = environment(2).model_dump(mode="json", by_alias=True)
    reason = {"code": "RunFailed", "message": "it failed"}
    return await _hears(RuntimeEnvironmentFailed.model_validate({**facts, "reason": reason}))


@_comes("RuntimeEnvironmentDecommissioned")
async def hears_of_an_environment_that_is_gone() -> Prepared:
    return await _hears(environment(2, gone=True))


@_comes("RuntimeEnvironmentStatusChanged")
async def hears_of_an_environment_that_is_updated() -> Prepared:
    return await _hears(status(2, "Updating"))


@_comes("RuntimeTenantBound")
async def hears_of_a_binding() -> Prepared:
    return await _hears(bound_tenant(2, "Enforced", quota={"cpu": 2.0}))


@_comes("TenantIsolationProofCompleted")
async def hears_of_a_proof() -> Prepared:
    return await _hears(proof("Breach"))


@_comes("RuntimeDeploymentStepChanged")
async def hears_of_a_step() -> Prepared:
    return await _hears(step(2, WEB))


@_comes("RuntimeDeploymentRequested")
async def hears_of_a_request() -> Prepared:
    facts = {**step(2, WEB).model_dump(mode="json", by_alias=True), "status": "Requested"}
    return await _hears(RuntimeDeploymentRequested.model_validate(facts))


@_comes("RuntimeDeploymentFailed")
async def hears_of_a_failure() -> Prepared:
    return await _hears(failed(2, WEB))


@_comes("RuntimeDeploymentCancelled")
async def hears_of_an_end_before_anything() -> Prepared:
    facts = {**failed(2, WEB).model_dump(mode="json", by_alias=True), "status": "Cancelled"}
    return await _hears(RuntimeDeploymentCancelled.model_validate(facts))


@_comes("RuntimeDeploymentCompleted")
async def hears_of_a_release() -> Prepared:
    return await _hears(ended(2, [component_with(revision=2)]))


@_comes("RuntimeDeploymentRolledBack")
async def hears_of_a_release_that_was_rolled_back() -> Prepared:
    return await _hears(ended(2, [component_with(revision=2)], rolled_back=True))


def _release() -> CompareRelease:
    (command,) = releases_of(ended(2, [component_with(revision=2)]), CompareRelease)
    return command


@_comes("CompareRelease")
async def is_told_of_a_release() -> Prepared:
    return await _hears(_release())


@_comes("RuntimeInventoryUpdated")
async def hears_of_the_inventory() -> Prepared:
    made = await drift()
    facts = {
        "aggregateId": service_of(WEB),
        "revision": 3,
        "serviceId": service_of(WEB),
        "environmentId": ENVIRONMENT,
        "stage": "test",
        "moduleId": WEB,
        "componentType": "gateway",
        "version": "1.0",
        "digest": "sha256:" + "1" * 64,
        "computeTarget": "LocalProcess",
        "replicas": 2,
        "port": 8080,
        "status": "Running",
        "releaseRevision": 1,
        "cause": {"kind": "deployment", "id": "dep-1"},
        "validFrom": "2026-01-01T00:00:00Z",
    }
    return await _left(made, RuntimeInventoryUpdated.model_validate(facts))


@_comes("HealthCheckCompleted")
async def hears_of_health() -> Prepared:
    facts = {
        "aggregateId": service_of(WEB),
        "revision": 3,
        "serviceId": service_of(WEB),
        "environmentId": ENVIRONMENT,
        "moduleId": WEB,
        "status": "Unhealthy",
        "source": "change",
    }
    return await _hears(HealthCheckCompleted.model_validate(facts))


@_comes("ScalingPolicyApplied")
async def hears_of_a_policy() -> Prepared:
    return await _hears(scaled(1))


@_comes("ConfigurationPublished")
async def hears_of_a_configuration() -> Prepared:
    return await _hears(published("environment", 1, {"limit": 20}))


@_comes("POST v1/platform/drift/parked/{eventId}/replay")
async def replays() -> Prepared:
    made = await released_and_settled()
    return await parked(made.bench, _release(), world=made.world)


@_comes("POST v1/platform/drift/operations/{operationId}/cancel")
@_comes("POST v1/platform/drift/operations/{operationId}/abandon")
async def has_no_operations() -> Prepared:
    operation = f"op-drift-{'a' * 12}-{'0' * 16}"
    return await _left(await drift(), Call({"operationId": operation}))
