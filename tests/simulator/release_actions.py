"""What people do with environments, releases, configurations and secrets."""

from typing import Any, Final

from tests.kit.memory_cluster import Behaviour
from tests.kit.releases import a_component, archive
from tests.simulator.operators import ENVIRONMENTS, MODULES, TENANTS, Operator

_BEHAVIOURS: Final = {
    "good": Behaviour(),
    "slow": Behaviour(latency_ms=400.0),
    "wrong": Behaviour(error_ratio=0.3),
    "dead": Behaviour(becomes_ready=False),
    "crashing": Behaviour(exit_code=1),
}
_SECRETS: Final = ("db-password", "api-key")


async def provision(operator: Operator) -> None:
    body = {
        "name": operator.drawn.choice(ENVIRONMENTS),
        "projectId": "proj-web",
        "stage": operator.drawn.choice(("dev", "test", "prod")),
        "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
        "admits": [operator.other] if operator.drawn.random() < 0.5 else [],
    }
    await operator.ask("POST", "/runtime/environments", body)


async def update(operator: Operator) -> None:
    if environment := await operator.environment():
        where = f"/runtime/environments/{environment}"
        body = {
            "computeTargets": [{"kind": "LocalProcess"}],
            "tags": {"team": f"t{operator.drawn.randrange(3)}"},
        }
        await operator.ask("PUT", where, body)


async def decommission(operator: Operator) -> None:
    found = await operator.one_of("/runtime/environments", status=("Provisioned",))
    if found is not None:
        where = f"/runtime/environments/{found['environmentId']}?confirm={found['name']}"
        await operator.ask("DELETE", where)


async def deploy(operator: Operator) -> None:
    if environment := await _where_to_deploy(operator):
        await deploy_to(environment, operator)


async def deploy_to(environment: str, operator: Operator) -> None:
    operator.versions += 1
    components = []
    for module in operator.drawn.sample(MODULES, operator.drawn.choice((1, 1, 2))):
        version = f"{operator.tenant}-{module}-{operator.versions}"
        status, artifact = await operator.ask("POST", "/runtime/artifacts", archive(version))
        if status not in {200, 201}:
            return
        behaviour = operator.drawn.choices(tuple(_BEHAVIOURS), (6, 1, 1, 1, 1))[0]
        operator.world.surface.behaviours[artifact["digest"]] = _BEHAVIOURS[behaviour]
        mode = operator.drawn.choice(("pinned", "pinned", "floating"))
        more = {"replicas": operator.drawn.choice((1, 2, 3)), "configurationMode": mode}
        components.append(a_component(artifact["digest"], version, module, **more))
    strategy = operator.drawn.choice(({}, {}, {"strategy": {"kind": "recreate"}}))
    body = {
        "environmentId": environment,
        "releaseRef": f"v{operator.versions}",
        "components": components,
        **strategy,
    }
    await operator.ask("POST", "/runtime/deployments", body)


async def _where_to_deploy(operator: Operator) -> str | None:
    if operator.drawn.random() < 0.25:
        return await operator.bound_environment()
    return await operator.environment("Provisioned", "Provisioning", "Updating")


async def act_on_deployment(operator: Operator) -> None:
    action = operator.drawn.choice(("rollback", "cancel", "retry", "release-hold"))
    if found := await operator.one_of("/runtime/deployments"):
        body = {"reason": "seen"} if action != "rollback" else {}
        await operator.ask("POST", f"/runtime/deployments/{found['deploymentId']}/{action}", body)


async def promote(operator: Operator) -> None:
    found = await operator.one_of("/runtime/deployments", status=("Completed",))
    target = await operator.environment()
    if found and target:
        where = f"/runtime/deployments/{found['deploymentId']}/promote"
        await operator.ask("POST", where, {"toEnvironmentId": target})


async def publish(operator: Operator) -> None:
    environment = await operator.environment()
    if environment is None:
        return
    scope: dict[str, Any] = operator.drawn.choice(
        (
            {"layer": "tenant"},
            {"layer": "environment", "environmentId": environment},
            {
                "layer": "module",
                "environmentId": environment,
                "moduleId": operator.drawn.choice(MODULES),
            },
        )
    )
    status, listed = await operator.ask("GET", "/runtime/configurations")
    heads = listed["value"] if status == 200 else []
    head = next((each["version"] for each in heads if each["scope"].items() >= scope.items()), 0)
    body = {
        "scope": scope,
        "values": {"number": operator.drawn.randrange(100)},
        "expectedVersion": head,
    }
    await operator.ask("POST", "/runtime/configurations", body)


async def return_configuration(operator: Operator) -> None:
    if found := await operator.one_of("/runtime/configurations"):
        body = {"toVersion": 1, "expectedVersion": found["version"]}
        where = f"/runtime/configurations/{found['configurationId']}/rollback"
        await operator.ask("POST", where, body)


async def bind(operator: Operator) -> None:
    if environment := await operator.environment():
        name = operator.drawn.choice(_SECRETS)
        body = {
            "environmentId": environment,
            "moduleId": operator.drawn.choice(MODULES),
            "secretName": name,
            "generator": {"kind": "random"},
            "target": name.upper().replace("-", "_"),
        }
        await operator.ask("POST", "/runtime/secret-bindings", body)


async def rotate(operator: Operator) -> None:
    if found := await operator.one_of("/runtime/secret-bindings", status=("Bound",)):
        await operator.ask("POST", f"/runtime/secret-bindings/{found['bindingId']}/rotate", {})


async def revoke(operator: Operator) -> None:
    if found := await operator.one_of("/runtime/secret-bindings", status=("Bound",)):
        where = f"/runtime/secret-bindings/{found['bindingId']}/revoke"
        await operator.ask("POST", where, {"reason": "not needed"})


async def look_at_the_other_tenant(operator: Operator) -> None:
    """Ask for what is another's: each id leads nowhere."""
    other = next(each for each in TENANTS if each != operator.tenant)
    for path, key in (("environments", "environmentId"), ("deployments", "deploymentId")):
        _, listed = await operator.world.call("GET", f"/runtime/{path}", tenant=other)
        for each in (listed or {}).get("value", [])[:2]:
            status, _ = await operator.ask("GET", f"/runtime/{path}/{each[key]}")
            if status not in {404, 503}:
                operator.world.history.broke(
                    "7", f"{operator.tenant} got {status} for {each[key]} of {other}"
                )
