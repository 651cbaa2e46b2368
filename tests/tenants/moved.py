"""A tenant that is moved, over in-memory parts: what it is told, and what runs of it."""

from collections.abc import Mapping
from typing import Any

from shared.contracts.deployments import DeploymentEnded, RuntimeDeploymentCompleted
from shared.contracts.tenants import AdvanceMove
from shared.kernel.fence import Fence
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.spec import SiteSpec
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, ended, released, run
from tests.secret_bindings.bound import shown
from tests.tenants.bound import BINDING, ONE, Tenants, tenants, told


async def asks(made: Tenants, model: str, **more: Any) -> Mapping[str, Any]:
    body = {"isolationModel": model, **more}
    return shown(await made.call("POST", f"{ONE}/move", body, tenantBindingId=BINDING))


async def isolated(made: Tenants, revision: int, state: str = "Applied", **more: Any) -> None:
    """Tell how far what the binding asked for last is, by an event of the environment."""
    asked = made.bench.sent.bodies("RuntimeTenantBound")[-1]["payload"]["askedRevision"]
    entry = {"revision": asked, "state": state, **more}
    await made.hear(told(revision, isolation=entry))


async def advanced(made: Tenants, *, is_confirmed: bool = True) -> Mapping[str, Any]:
    """Have the binding take its next step, as the message to itself does.

    Deployments, where it is asked, confirms that nothing else is on its way, if it *is_confirmed*.
    """
    before = len(made.bench.sent.bodies("ConfirmCutOver"))
    await made.hear(AdvanceMove(binding_id=BINDING))
    for asked in made.bench.sent.bodies("ConfirmCutOver")[before:] if is_confirmed else ():
        revision = asked["payload"]["bindingRevision"]
        await made.hear(AdvanceMove(binding_id=BINDING, confirmed_revision=revision))
    return await made.binding()


async def runs(made: Tenants, *modules: str) -> None:
    """Have *modules* of the tenant run in its environment, within its boundary."""
    surface, fence = MemorySurface(made.cluster), Fence(1, "op-1", "1")
    await surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), fence)
    await surface.ensure_boundary(BoundarySpec(ENVIRONMENT, TENANT), fence)
    for module in modules:
        await run(made.cluster, module)


async def cut_over(*modules: str, is_asked: bool = True) -> Tenants:
    """Return a tenant that is moved to pool and has asked for the relocation of *modules*."""
    made = await tenants(reads_boundaries=True)
    await runs(made, *modules)
    await made.enforced()
    await asks(made, "pool")
    await isolated(made, 3)
    if is_asked:
        await advanced(made)
    return made


def asked_for(made: Tenants) -> list[str]:
    """Return the modules whose relocation was asked for so far."""
    return [each["payload"]["moduleId"] for each in made.bench.sent.bodies("RelocateWorkload")]


def relocated(
    made: Tenants,
    module: str,
    end: type[DeploymentEnded] = RuntimeDeploymentCompleted,
    *,
    code: str = "",
    back: int = 0,
) -> DeploymentEnded:
    """Return *end* of the relocation of *module*, by the binding *back* revisions before now."""
    (asked, *_) = made.bench.sent.bodies("RelocateWorkload")
    completed = ended(1, [released(module)]).model_dump(mode="json", by_alias=True)
    about = {
        "moduleId": module,
        "tenantBindingId": BINDING,
        "bindingRevision": asked["payload"]["bindingRevision"] - back,
    }
    status = end.__name__.removeprefix("RuntimeDeployment")
    changes = {"kind": "relocation", "relocation": about, "status": status}
    if code:
        changes["reason"] = {"code": code, "message": "because"}
    return end.model_validate({**completed, **changes})
