"""What people and tenants do in a run, at times and in an order that its seed draws."""

import random  # noqa: TID251  the runs of tests are drawn here
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kit.memory_cluster import Behaviour
from tests.kit.releases import a_component, archive
from tests.simulator.simulated_world import SimulatedWorld

TENANTS: Final = ("acme", "globex")
ENVIRONMENTS: Final = ("blue", "green")
MODULES: Final = ("module-a", "module-b", "module-c")
_BEHAVIOURS: Final = {
    "good": Behaviour(),
    "slow": Behaviour(latency_ms=400.0),
    "wrong": Behaviour(error_ratio=0.3),
    "dead": Behaviour(becomes_ready=False),
    "crashing": Behaviour(exit_code=1),
}
_SECRETS: Final = ("db-password", "api-key")
_HOUR_S: Final = 3600.0


@dataclass
class Operator:
    """One tenant's people. Each method does one thing; what they know, they ask for."""

    world: SimulatedWorld
    tenant: str
    drawn: random.Random
    versions: int = 0

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {}
        if method != "GET" and self.drawn.random() < 0.3:
            headers["idempotency-key"] = f"key-{self.drawn.randrange(10**9)}"
        asked = await self.world.call(method, path, body, tenant=self.tenant, headers=headers)
        if headers and self.drawn.random() < 0.5:
            return await self.world.call(method, path, body, tenant=self.tenant, headers=headers)
        return asked

    async def _one_of(self, path: str, **holds: Any) -> Any:
        """Return one of the collection at *path* whose fields are as *holds* says, or None."""
        status, answer = await self.ask("GET", path)
        found = answer["value"] if status == 200 else []
        fitting = [
            each for each in found if all(each.get(name) in some for name, some in holds.items())
        ]
        return self.drawn.choice(fitting) if fitting else None

    async def _environment(self, *statuses: str) -> str | None:
        found = await self._one_of("/runtime/environments", status=statuses or ("Provisioned",))
        return found["environmentId"] if found else None

    async def provision(self) -> None:
        body = {
            "name": self.drawn.choice(ENVIRONMENTS),
            "projectId": "proj-web",
            "stage": self.drawn.choice(("dev", "test")),
            "region": "local",
            "computeTargets": [{"kind": "LocalProcess"}],
        }
        await self.ask("POST", "/runtime/environments", body)

    async def update(self) -> None:
        if environment := await self._environment():
            where = f"/runtime/environments/{environment}"
            body = {
                "computeTargets": [{"kind": "LocalProcess"}],
                "tags": {"team": f"t{self.drawn.randrange(3)}"},
            }
            await self.ask("PUT", where, body)

    async def decommission(self) -> None:
        if environment := await self._environment():
            await self.ask("DELETE", f"/runtime/environments/{environment}")

    async def deploy(self) -> None:
        environment = await self._environment("Provisioned", "Provisioning", "Updating")
        if environment is None:
            return
        self.versions += 1
        components = []
        for module in self.drawn.sample(MODULES, self.drawn.choice((1, 1, 2))):
            version = f"{self.tenant}-{module}-{self.versions}"
            status, artifact = await self.ask("POST", "/runtime/artifacts", archive(version))
            if status not in {200, 201}:
                return
            behaviour = self.drawn.choices(tuple(_BEHAVIOURS), (6, 1, 1, 1, 1))[0]
            self.world.surface.behaviours[artifact["digest"]] = _BEHAVIOURS[behaviour]
            mode = self.drawn.choice(("pinned", "pinned", "floating"))
            more = {"replicas": self.drawn.choice((1, 2, 3)), "configurationMode": mode}
            components.append(a_component(artifact["digest"], version, module, **more))
        strategy = self.drawn.choice(({}, {}, {"strategy": {"kind": "recreate"}}))
        body = {
            "environmentId": environment,
            "releaseRef": f"v{self.versions}",
            "components": components,
            **strategy,
        }
        await self.ask("POST", "/runtime/deployments", body)

    async def act_on_deployment(self) -> None:
        action = self.drawn.choice(
            ("rollback", "cancel", "pause", "resume", "retry", "release-hold")
        )
        if found := await self._one_of("/runtime/deployments"):
            body = {"reason": "seen"} if action != "rollback" else {}
            await self.ask("POST", f"/runtime/deployments/{found['deploymentId']}/{action}", body)

    async def promote(self) -> None:
        found = await self._one_of("/runtime/deployments", status=("Completed",))
        target = await self._environment()
        if found and target:
            where = f"/runtime/deployments/{found['deploymentId']}/promote"
            await self.ask("POST", where, {"toEnvironmentId": target})

    async def publish(self) -> None:
        environment = await self._environment()
        if environment is None:
            return
        scope: dict[str, Any] = self.drawn.choice(
            (
                {"layer": "tenant"},
                {"layer": "environment", "environmentId": environment},
                {
                    "layer": "module",
                    "environmentId": environment,
                    "moduleId": self.drawn.choice(MODULES),
                },
            )
        )
        status, listed = await self.ask("GET", "/runtime/configurations")
        heads = listed["value"] if status == 200 else []
        head = next(
            (each["version"] for each in heads if each["scope"].items() >= scope.items()), 0
        )
        body = {
            "scope": scope,
            "values": {"number": self.drawn.randrange(100)},
            "expectedVersion": head,
        }
        await self.ask("POST", "/runtime/configurations", body)

    async def return_configuration(self) -> None:
        if found := await self._one_of("/runtime/configurations"):
            body = {"toVersion": 1, "expectedVersion": found["version"]}
            where = f"/runtime/configurations/{found['configurationId']}/rollback"
            await self.ask("POST", where, body)

    async def bind(self) -> None:
        if environment := await self._environment():
            name = self.drawn.choice(_SECRETS)
            body = {
                "environmentId": environment,
                "moduleId": self.drawn.choice(MODULES),
                "secretName": name,
                "generator": {"kind": "random"},
                "target": name.upper().replace("-", "_"),
            }
            await self.ask("POST", "/runtime/secret-bindings", body)

    async def rotate(self) -> None:
        if found := await self._one_of("/runtime/secret-bindings", status=("Bound",)):
            await self.ask("POST", f"/runtime/secret-bindings/{found['bindingId']}/rotate", {})

    async def revoke(self) -> None:
        if found := await self._one_of("/runtime/secret-bindings", status=("Bound",)):
            where = f"/runtime/secret-bindings/{found['bindingId']}/revoke"
            await self.ask("POST", where, {"reason": "not needed"})

    async def look_at_the_other_tenant(self) -> None:
        """Ask for what is another's: each id leads nowhere."""
        other = next(each for each in TENANTS if each != self.tenant)
        for path, key in (("environments", "environmentId"), ("deployments", "deploymentId")):
            _, listed = await self.world.call("GET", f"/runtime/{path}", tenant=other)
            for each in (listed or {}).get("value", [])[:2]:
                status, _ = await self.ask("GET", f"/runtime/{path}/{each[key]}")
                if status not in {404, 503}:
                    self.world.history.broke(
                        f"{self.tenant} got {status} for {each[key]} of {other}"
                    )

    async def break_an_instance(self) -> None:
        for environment, site in list(self.world.surface.sites.items()):
            for component in site.components:
                revisions = self.world.surface.component(component).revisions.values()
                instances = [each for found in revisions for each in found.instances]
                if instances and self.drawn.random() < 0.2:
                    self.world.history.note(f"crash in {environment}")
                    self.world.surface.crash(component, self.drawn.choice(instances).id)

    async def make_the_surface_unreadable(self) -> None:
        self.world.surface.unreadable = "simulated: the surface cannot be read"
        try:
            await self.world.clock.sleep(self.drawn.random() * _HOUR_S / 4)
        finally:
            self.world.surface.unreadable = ""

    async def make_probes_fail(self) -> None:
        module = self.drawn.choice(MODULES)
        self.world.prober.failing.add(module)
        try:
            await self.world.clock.sleep(self.drawn.random() * _HOUR_S / 4)
        finally:
            self.world.prober.failing.discard(module)


Action = Callable[[Operator], Awaitable[None]]
ACTIONS: Final[Mapping[Action, int]] = {
    Operator.provision: 6,
    Operator.update: 2,
    Operator.decommission: 1,
    Operator.deploy: 12,
    Operator.act_on_deployment: 6,
    Operator.promote: 2,
    Operator.publish: 6,
    Operator.return_configuration: 2,
    Operator.bind: 4,
    Operator.rotate: 4,
    Operator.revoke: 1,
    Operator.look_at_the_other_tenant: 1,
    Operator.break_an_instance: 2,
    Operator.make_the_surface_unreadable: 1,
    Operator.make_probes_fail: 1,
}
"""How often each is done beside the others, before the seed doubles or drops some."""


@dataclass
class Day:
    """The actions of a run, drawn by its seed: what, by whom, and how long after the last."""

    seed: int
    actions: int
    hours: float
    drawn: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.drawn = random.Random(f"actions {self.seed}")
        self.weights = [
            weight * self.drawn.choice((0, 1, 1, 2)) if action is not Operator.provision else weight
            for action, weight in ACTIONS.items()
        ]

    def next(self) -> tuple[float, str, Action]:
        """Return how many seconds to wait, whose turn it is, and what is done."""
        hasty = self.drawn.random() < 0.4
        mean_s = 20.0 if hasty else self.hours * _HOUR_S / self.actions
        action = self.drawn.choices(tuple(ACTIONS), self.weights)[0]
        return self.drawn.expovariate(1 / mean_s), self.drawn.choice(TENANTS), action
