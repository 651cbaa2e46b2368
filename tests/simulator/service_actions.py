"""What people do with policies of scaling, objectives and findings of drift."""

from typing import Any, Final

from tests.simulator.operators import Operator

_ENVIRONMENTS: Final = "/runtime/environments"
_POLICIES: Final = "/runtime/scaling-policies"
_SERVICES: Final = "/runtime/services"
_TENANCY: Final = ("tenancy",)
_REQUESTS: Final = 'sum(increase(requests{module="{{component}}"}[{{window}}]))'
_MEASURED: Final = {"source": "prometheus", "requests": _REQUESTS, "errors": _REQUESTS}


async def apply_policy(operator: Operator) -> None:
    """Have a service scale by its requests; in prod the policy may allow fewer than that."""
    is_prod = operator.drawn.random() < 0.5
    service = await operator.one_of(_SERVICES, stage=("prod",)) if is_prod else None
    if service := service or await operator.one_of(_SERVICES):
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
    """Say how many requests of a service must be good, as the surface or a provider counts them."""
    if service := await operator.one_of(_SERVICES):
        goal = operator.drawn.choice((0.9, 0.99, 0.999))
        body: dict[str, Any] = {"sli": "availability", "objective": goal, "window": "P30D"}
        if operator.drawn.random() < 0.5:
            body["metrics"] = _MEASURED
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


async def repair_environment(operator: Operator) -> None:
    """Have an environment repaired in which somebody changed what isolates a tenant."""
    _, listed = await operator.ask("GET", _ENVIRONMENTS)
    for each in (listed or {}).get("value", []):
        path = f"/runtime/drift/{each['environmentId']}"
        if finding := await operator.one_of(path, plane=_TENANCY):
            where = f"/runtime/drift-findings/{finding['findingId']}/remediate"
            await operator.ask("POST", where, {"reason": "to be as it was bound"})


async def order_scan(operator: Operator) -> None:
    """Ask for a scan now."""
    if environment := await operator.environment():
        await operator.ask("POST", f"/runtime/drift/{environment}/scan", {})
