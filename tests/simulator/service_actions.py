"""What people do with tenants, policies of scaling, objectives and findings of drift."""

from typing import Any

from tests.simulator.operators import Operator

_BINDINGS = "/runtime/tenant-bindings"
_POLICIES = "/runtime/scaling-policies"
_SERVICES = "/runtime/services"


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
    await operator.ask("POST", _BINDINGS, body)


async def _admitting(operator: Operator) -> str | None:
    """Return an environment of the other tenant that admits this one, as people tell each other."""
    _, listed = await operator.world.call("GET", "/runtime/environments", tenant=operator.other)
    for each in (listed or {}).get("value", []):
        if operator.tenant in each.get("admits", []):
            operator.world.history.shared.add((operator.tenant, each["environmentId"]))
            return str(each["environmentId"])
    return None


async def act_on_binding(operator: Operator) -> None:
    """Suspend, resume or unbind the tenant, or a guest in an environment of its own."""
    found = await operator.one_of(_BINDINGS)
    if found is None:
        return
    action = operator.drawn.choice(("suspend", "suspend", "resume", "resume", "unbind"))
    where = f"{_BINDINGS}/{found['bindingId']}"
    if action == "unbind":
        await operator.ask("DELETE", f"{where}?confirm={operator.tenant}")
    elif found["ownerTenantId"] == operator.tenant:
        await operator.ask("POST", f"{where}/{action}", {"reason": "asked for"})
    else:
        body = {"reason": "asked for", "tenantId": operator.tenant}
        owner = found["ownerTenantId"]
        await operator.world.call("POST", f"{where}/{action}", body, tenant=owner)


async def apply_policy(operator: Operator) -> None:
    """Have a service scale by its requests, or by a number of its own."""
    if service := await operator.one_of(_SERVICES):
        least = operator.drawn.choice((1, 2))
        body = {
            "serviceId": service["serviceId"],
            "min": least,
            "max": least + operator.drawn.choice((0, 1, 3)),
            "rules": [{"signal": "requests", "target": operator.drawn.choice((0.4, 2))}],
            "stabilisation": "PT1M",
        }
        await operator.ask("POST", _POLICIES, body)


async def act_on_policy(operator: Operator) -> None:
    """Change a policy, pause it, let it go on, or take it away."""
    found = await operator.one_of(_POLICIES)
    if found is None:
        return
    where = f"{_POLICIES}/{found['policyId']}"
    action = operator.drawn.choice(("change", "pause", "resume", "remove"))
    if action == "change":
        body = {"min": found["min"], "max": found["max"] + 1, "rules": found["rules"]}
        await operator.ask("PUT", where, body)
    elif action == "pause":
        await operator.ask("POST", f"{where}/pause", {"length": "PT20M", "reason": "a test"})
    elif action == "resume":
        await operator.ask("POST", f"{where}/resume", {})
    else:
        await operator.ask("DELETE", where)


async def set_objective(operator: Operator) -> None:
    """Say how many requests of a service must be good."""
    if service := await operator.one_of(_SERVICES):
        goal = operator.drawn.choice((0.9, 0.99, 0.999))
        body = {"sli": "availability", "objective": goal, "window": "P30D"}
        await operator.ask("PUT", f"{_SERVICES}/{service['serviceId']}/slo", body)


async def decide_on_finding(operator: Operator) -> None:
    """Decide about a finding of drift in one of the tenant's environments."""
    environment = await operator.environment()
    finding = await operator.one_of(f"/runtime/drift/{environment}") if environment else None
    if finding is None:
        return
    action = operator.drawn.choice(("acknowledge", "suppress", "adopt", "remediate", "remediate"))
    body = {"reason": "seen"} | ({"length": "PT1H"} if action == "suppress" else {})
    await operator.ask("POST", f"/runtime/drift-findings/{finding['findingId']}/{action}", body)


async def order_scan(operator: Operator) -> None:
    """Ask for a scan now."""
    if environment := await operator.environment():
        await operator.ask("POST", f"/runtime/drift/{environment}/scan", {})
