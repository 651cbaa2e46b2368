"""What people do with the tenants of environments: bind, move, suspend, resume and unbind them."""

from typing import Any, Final

from tests.simulator.operators import Operator
from tests.simulator.release_actions import deploy_to

BINDINGS: Final = "/runtime/tenant-bindings"
MODELS: Final = ("shared", "pool", "silo")
_MEANWHILE_S: Final = 60.0
"""After which something else is wanted of a move, in the mean: it takes minutes."""
_HEARD_S: Final = 30.0
"""After which deployments has heard of most suspensions."""
_SEEN: Final = {"reason": "asked for"}


async def bind_tenant(operator: Operator) -> None:
    """Bind the tenant to an environment of its own, or to one of the other that admits it."""
    body: dict[str, Any] = {}
    if operator.drawn.random() < 0.5:
        body["environmentId"] = await operator.environment()
    else:
        body["ownerTenantId"] = operator.other
        body["environmentId"] = await _admitting(operator)
    if body["environmentId"] is None:
        return
    if operator.drawn.random() < 0.5:
        body["quota"] = {"instances": operator.drawn.choice((4, 20))}
    await operator.ask("POST", BINDINGS, body)


async def _admitting(operator: Operator) -> str | None:
    """Return an environment of the other tenant that admits this one, as people tell each other."""
    _, listed = await operator.world.call("GET", "/runtime/environments", tenant=operator.other)
    for each in (listed or {}).get("value", []):
        if operator.tenant in each.get("admits", []):
            operator.world.history.shared.add((operator.tenant, each["environmentId"]))
            return str(each["environmentId"])
    return None


async def act_on_binding(operator: Operator) -> None:
    """Suspend, resume or unbind the tenant itself; a suspended one deploys nonetheless."""
    if found := await operator.one_of(BINDINGS):
        await _act(operator, found)


async def act_on_guest(operator: Operator) -> None:
    """Suspend, resume or unbind a guest in an environment of the tenant's own."""
    if environment := await operator.environment():
        where = f"{BINDINGS}?environmentId={environment}"
        if guest := await operator.one_of(where, tenantId=(operator.other,)):
            await _act(operator, guest)


async def _act(operator: Operator, found: Any) -> None:
    where, tenant = f"{BINDINGS}/{found['bindingId']}", found["tenantId"]
    action = operator.drawn.choice(("suspend", "suspend", "resume", "resume", "unbind"))
    if action == "unbind":
        await operator.ask("DELETE", f"{where}?confirm={tenant}&tenantId={tenant}")
    else:
        await operator.ask("POST", f"{where}/{action}", {**_SEEN, "tenantId": tenant})
        if action == "suspend" and tenant == operator.tenant:
            await operator.world.clock.sleep(_HEARD_S)
            await deploy_to(found["environmentId"], operator)


async def move_tenant(operator: Operator) -> None:
    """Move the tenant to another model; some moves are wanted back, or ended, on the way."""
    service = await operator.one_of("/runtime/services")
    inside = f"?environmentId={service['environmentId']}" if service else ""
    fits = {"status": ("Enforced",), "tenantId": (operator.tenant,)}
    found = await operator.one_of(f"{BINDINGS}{inside}", **fits)
    if found is None:
        return
    where, origin = f"{BINDINGS}/{found['bindingId']}", found["isolationModel"]
    model = operator.drawn.choice([each for each in MODELS if each != origin])
    body = {"isolationModel": model, "allowDowntime": operator.drawn.random() < 0.7}
    status, _ = await operator.ask("POST", f"{where}/move", body)
    meanwhile = operator.drawn.choice(("", "", "back", "suspend", "unbind"))
    if status != 202 or not meanwhile:
        return
    await operator.world.clock.sleep(operator.drawn.expovariate(1 / _MEANWHILE_S))
    if meanwhile == "back":
        await operator.ask("POST", f"{where}/move", {"isolationModel": origin})
    elif meanwhile == "suspend":
        await operator.ask("POST", f"{where}/suspend", _SEEN)
    else:
        await operator.ask("DELETE", f"{where}?confirm={operator.tenant}")
