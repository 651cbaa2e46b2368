"""The commands and events of tenants."""

from functools import partial
from typing import Any

from shared.contracts.deployments import (
    DeploymentEnded,
    RuntimeDeploymentCancelled,
    RuntimeDeploymentCompleted,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRolledBack,
)
from shared.contracts.environments import (
    EnvironmentFacts,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.tenants import (
    AdvanceMove,
    BindTenant,
    MoveTenant,
    TenantProvisioned,
    UnbindTenant,
)
from tests.faults.inputs import Call, Prepared, comes_to, left_by, parked
from tests.kit.service import TENANT
from tests.tenants.bound import BINDING, CONTENT, ONE, ROOT, Tenants, tenants, told
from tests.tenants.moved import cut_over, relocated

_comes = partial(comes_to, "tenants")
_AT = {"tenantBindingId": BINDING}
_WHY = {"reason": "because"}


async def _left(made: Tenants, sent: Any) -> Prepared:
    return await left_by(made.bench, sent)


async def _enforced() -> Tenants:
    made = await tenants()
    await made.enforced()
    return made


@_comes(f"POST {ROOT}")
async def is_asked_to_bind() -> Prepared:
    return await _left(await tenants(), Call(body=CONTENT))


@_comes("BindTenant")
async def is_told_to_bind() -> Prepared:
    return await _left(await tenants(), BindTenant.model_validate(CONTENT))


@_comes(f"DELETE {ONE}")
async def is_asked_to_unbind() -> Prepared:
    return await _left(await _enforced(), Call(_AT, query={"confirm": TENANT}))


@_comes("UnbindTenant")
async def is_told_to_unbind() -> Prepared:
    return await _left(await _enforced(), UnbindTenant(binding_id=BINDING, confirm=TENANT))


@_comes(f"POST {ONE}/suspend")
async def is_asked_to_suspend() -> Prepared:
    return await _left(await _enforced(), Call(_AT, _WHY))


@_comes(f"POST {ONE}/resume")
async def is_asked_to_resume() -> Prepared:
    made = await _enforced()
    await made.change("suspend")
    return await _left(made, Call(_AT, _WHY))


@_comes(f"POST {ONE}/move")
async def is_asked_to_move() -> Prepared:
    return await _left(await _enforced(), Call(_AT, {"isolationModel": "pool"}))


@_comes("MoveTenant")
async def is_told_to_move() -> Prepared:
    command = {"bindingId": BINDING, "isolationModel": "pool"}
    return await _left(await _enforced(), MoveTenant.model_validate(command))


async def _looks() -> Tenants:
    """Return a tenant that is about to be cut over, and runs two modules."""
    return await cut_over("module-a", "module-b", is_asked=False)


@_comes("AdvanceMove")
async def takes_the_next_step_of_a_move() -> Prepared:
    return await _left(await _looks(), AdvanceMove(binding_id=BINDING))


async def _ends(end: type[DeploymentEnded], **changes: Any) -> Prepared:
    made = await cut_over("module-a", "module-b")
    return await _left(made, relocated(made, "module-a", end, **changes))


@_comes("RuntimeDeploymentCompleted")
async def hears_that_a_module_was_cut_over() -> Prepared:
    return await _ends(RuntimeDeploymentCompleted)


@_comes("RuntimeDeploymentRolledBack")
async def hears_that_a_module_went_back() -> Prepared:
    return await _ends(RuntimeDeploymentRolledBack, code="GateFailed")


@_comes("RuntimeDeploymentFailed")
async def hears_that_a_module_could_not_be_cut_over() -> Prepared:
    return await _ends(RuntimeDeploymentFailed, code="DowntimeNotAllowed")


@_comes("RuntimeDeploymentCancelled")
async def hears_that_a_module_had_nothing_to_cut_over() -> Prepared:
    return await _ends(RuntimeDeploymentCancelled, code="NothingToRollOut")


@_comes("RuntimeEnvironmentProvisioned")
async def hears_that_its_isolation_is_in_force() -> Prepared:
    made = await tenants()
    asked = await made.bind()
    applied = {"revision": asked["revision"], "state": "Applied"}
    return await _left(made, told(2, isolation=applied))


@_comes("RuntimeEnvironmentDecommissioned")
async def hears_of_an_environment_that_is_gone() -> Prepared:
    return await _left(await _enforced(), told(3, gone=True, status="Decommissioned"))


def _status(payload: type[EnvironmentFacts], status: str, **changes: Any) -> EnvironmentFacts:
    content = told(3).model_dump(mode="json", by_alias=True)
    return payload.model_validate({**content, "status": status, **changes})


@_comes("RuntimeEnvironmentStatusChanged")
async def hears_that_an_environment_goes() -> Prepared:
    gone = _status(RuntimeEnvironmentStatusChanged, "Decommissioning")
    return await _left(await _enforced(), gone)


@_comes("RuntimeEnvironmentFailed")
async def hears_that_an_environment_could_not_go() -> Prepared:
    reason = {"code": "Unavailable", "message": "the cluster is away"}
    stuck = _status(RuntimeEnvironmentFailed, "DecommissionFailed", reason=reason)
    return await _left(await _enforced(), stuck)


@_comes("TenantProvisioned")
async def hears_that_it_was_provisioned() -> Prepared:
    said = {"tenantId": TENANT, "name": "Acme", "isolationModel": "pool"}
    return await _left(await tenants(), TenantProvisioned.model_validate(said))


@_comes("POST v1/platform/tenants/parked/{eventId}/replay")
async def replays() -> Prepared:
    return await parked((await tenants()).bench, BindTenant.model_validate(CONTENT))


@_comes("POST v1/platform/tenants/operations/{operationId}/cancel")
@_comes("POST v1/platform/tenants/operations/{operationId}/abandon")
async def has_no_operations() -> Prepared:
    operation = f"op-tenants-{'a' * 12}-{'0' * 16}"
    return await _left(await tenants(), Call({"operationId": operation}))
