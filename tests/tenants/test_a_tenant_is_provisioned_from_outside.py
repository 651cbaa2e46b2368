"""TenantProvisioned of the control plane: how a tenant is isolated where nobody says it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from function_apps.tenants.errors import IsolationNotSupported
from shared.contracts.entities import FACTORY_EVENTS
from shared.contracts.tenants import TenantProvisioned
from shared.contracts.values import IsolationModel
from shared.kernel.ids import TenantId
from shared.surfaces.capabilities import Feature
from tests.kit.messages import envelope_of
from tests.kit.releases import provisioned
from tests.kit.sending import send
from tests.kit.service import TENANT
from tests.kit.stores import all_changes
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World
from tests.tenants.bound import GLOBEX, Tenants, tenants
from tests.tenants.test_bound_tenants_in_the_whole_world import ROOT, UNRULY


def said(model: str | None = "pool", *, of: TenantId = TENANT, **more: Any) -> TenantProvisioned:
    return TenantProvisioned.model_validate(
        {"tenantId": of, "name": "Acme", "isolationModel": model, **more}
    )


async def _heard(on: Tenants, event: TenantProvisioned, number: int, *, ago_s: float = 60) -> None:
    """Have the service hear what was said so long ago."""
    at = on.bench.service.clock.now() - timedelta(seconds=ago_s)
    await on.dispatcher.dispatch(envelope_of(event, number, at))


def _model(binding: Mapping[str, Any]) -> str:
    return str(binding["isolationModel"])


@UNRULY
def test_a_tenant_is_bound_as_the_control_plane_provisioned_it(*, is_unruly: bool) -> None:
    async def main() -> Any:
        world = World(is_unruly=is_unruly)
        await world.boot()
        environment = await provisioned(world)
        event = said("pool", addedLater={"tier": "gold"})
        await send(FACTORY_EVENTS, event, 900)
        await send(FACTORY_EVENTS, event, 900)
        await world.clock.sleep(60)
        status, binding = await world.call("POST", ROOT, {"environmentId": environment})
        await world.stop()
        return status, binding

    status, binding = run_virtual(main())

    assert (status, _model(binding)) == (201, "pool")


def test_a_tenant_that_nobody_provisioned_is_shared_and_one_that_asks_gets_what_it_asks() -> None:
    async def main() -> Any:
        early, asking = await tenants(), await tenants()
        await _heard(asking, said("pool"), 90)
        return await early.bind(), await asking.bind(isolationModel="shared")

    assert [_model(each) for each in run_virtual(main())] == ["shared", "shared"]


def test_a_tenant_that_is_provisioned_late_keeps_what_it_is_bound_by() -> None:
    async def main() -> Any:
        on = await tenants()
        before = await on.bind()
        await _heard(on, said("pool"), 90)
        return before, await on.bind()

    before, repeated = run_virtual(main())

    assert before == repeated


def test_what_was_said_last_counts_however_it_comes() -> None:
    async def main() -> Any:
        on = await tenants()
        for number, model, ago_s in ((90, "pool", 10), (91, "shared", 60), (90, "pool", 10)):
            await _heard(on, said(model), number, ago_s=ago_s)
        return await on.bind()

    assert _model(run_virtual(main())) == "pool"


def test_a_tenant_that_was_provisioned_without_a_model_is_shared() -> None:
    async def main() -> Any:
        on = await tenants()
        await _heard(on, said(None), 90)
        return await on.bind()

    assert _model(run_virtual(main())) == IsolationModel.SHARED


def test_what_a_surface_cannot_isolate_is_refused_though_the_request_does_not_name_it() -> None:
    async def main() -> Any:
        on = await tenants(able=(Feature.QUOTAS,))
        await _heard(on, said("pool"), 90)
        with pytest.raises(IsolationNotSupported) as refused:
            await on.bind()
        return refused.value

    assert run_virtual(main()).target == "/isolationModel"


def test_what_is_said_of_another_tenant_than_the_messages_is_parked() -> None:
    async def main() -> Any:
        on = await tenants()
        await _heard(on, said("pool", of=GLOBEX), 90)
        return await on.bind(), await all_changes(on.bench.service.store)

    binding, documents = run_virtual(main())

    kinds = {each.id.partition("/")[0] for each in documents}
    assert _model(binding) == "shared"
    assert "parked" in kinds
    assert "tenant" not in kinds
