"""A release that runs and that no record explains is reported to the tenant whose it is."""

import logging

import pytest

from function_apps.deployments.use_cases.report_unknown_releases import report_unknown_releases
from shared.kernel.fence import Fence
from shared.kernel.ids import ModuleId, TenantId
from shared.surfaces.spec import RevisionSpec, SurfaceComponent
from tests.deployments.driven import SHOP, TENANT, TEST, Driven, driven
from tests.kit.memory_surface import MemorySurface
from tests.kit.told import DIGEST
from tests.kit.virtual_time import run_virtual

OTHER = TenantId("globex")


async def _runs(world: Driven, tenant: TenantId, module: str, revision: int) -> None:
    component = SurfaceComponent(TEST, tenant, ModuleId(module))
    spec = RevisionSpec(component, revision, "9.0", DIGEST, ("serve",))
    await MemorySurface(world.world).apply(spec, Fence(99, "op-other", "1"))


@pytest.mark.parametrize(
    ("tenant", "module", "is_reported"),
    [
        pytest.param(TENANT, SHOP, True, id="its-own"),
        pytest.param(OTHER, SHOP, False, id="another-tenants-of-the-same-name"),
        pytest.param(OTHER, "module-theirs", False, id="another-tenants"),
    ],
)
def test_one_of_another_tenant_in_the_environment_is_not_the_tenants(
    *, tenant: TenantId, module: str, is_reported: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        await _runs(world, tenant, module, 9)
        with caplog.at_level(logging.WARNING):
            await report_unknown_releases(world.app)

    run_virtual(main())

    assert ("runs revision 9" in caplog.text) is is_reported
