"""Generated environments: four services of a tenant, released on one surface and compared there.

A seed says what they are given. The platform's own work is done as deployments and scaling do it:
its events may come before what they announce, or after.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random  # noqa: TID251  a test's own seeded generator
from typing import Any, Final, Protocol

from function_apps.drift.ports import DriftApp
from function_apps.drift.use_cases.order_scan import scan_now
from shared.contracts.drift import ScanOrder
from shared.contracts.releases import ReleasedComponent
from shared.contracts.storage import DRIFT_SNAPSHOTS
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import ComputeTargetKind
from shared.kernel.fence import Fence
from shared.kernel.ids import ModuleId, secret_binding_id
from shared.surfaces.agent_calls import AGENT_API
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.configuration import configuration
from shared.surfaces.local_process import AgentSurface
from shared.surfaces.port import ComponentReader
from shared.surfaces.released_component import revision_spec
from shared.surfaces.spec import RevisionSpec, SiteSpec, SurfaceComponent
from tests.drift.compared import DriftService, dispatcher_of, step
from tests.drift.generated_cluster import GeneratedCluster
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_repositories import git_parts
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT, bench
from tests.kit.told import ENVIRONMENT, KEY, component_of, ended, environment, released

WEB: Final = ModuleId("module-web")
API: Final = ModuleId("module-api")
WORKER: Final = ModuleId("module-worker")
NIGHT: Final = ModuleId("module-night")
"""What runs at times, on a cluster; elsewhere a second worker."""
VAULT: Final = "https://shop-vault.vault.azure.net"
SITE: Final = SiteSpec(ENVIRONMENT, TENANT, "shop", "test")
WORDS: Final = ("alpha", "bravo", "charlie", "delta", "echo", "$(HOME)", "a=b", "", "ü", "1.0")


class Platform(Protocol):
    """What deployments and scaling write, on each of the surfaces."""

    async def apply(self, spec: RevisionSpec, fence: Fence) -> None: ...

    async def set_weights(
        self, component: SurfaceComponent, weights: Mapping[int, int], fence: Fence
    ) -> None: ...

    async def scale(
        self, component: SurfaceComponent, revision: int, replicas: int, fence: Fence
    ) -> None: ...

    async def activate_schedule(
        self, component: SurfaceComponent, revision: int, fence: Fence
    ) -> None: ...

    async def remove(self, component: SurfaceComponent, revision: int, fence: Fence) -> None: ...


class AgentOf:
    """Answers the calls of an agent with what *surface* has, each as the bytes that are sent."""

    def __init__(self, surface: MemorySurface) -> None:
        self._surface = surface

    async def call(self, method: str, arguments: Mapping[str, object], within_s: float) -> Any:
        call = AGENT_API.calls[method]
        asked = call.read_arguments(call.write_arguments(arguments))
        result = await getattr(self._surface, method)(**asked)
        return call.read_answer(call.write_answer(result))


@dataclass(kw_only=True)
class Environment(DriftService):
    """The environment of one seed, and drift over it."""

    random: Random
    platform: Platform
    machines: MemoryCluster
    cluster: GeneratedCluster | None
    """None where it is on machines."""
    released: dict[ModuleId, dict[str, Any]] = field(default_factory=dict)
    deployments: int = 0

    def spec(self, module: str) -> RevisionSpec:
        """Return what the surface was asked for last of *module*."""
        return spec_of(self.released[ModuleId(module)])

    async def scan(self, after_s: float = 0.0) -> None:
        """Run the timers, as an app that starts then: it has no list of before."""
        if self.cluster is None:
            await super().scan(after_s)
            return
        surface = self.cluster.surface()
        self.app = replace(self.app, surface=surface, authors={ComputeTargetKind.AKS: surface})
        await super().scan(after_s)
        await surface.close()

    async def scan_now(self, after_s: float) -> None:
        """Order a scan, as of an environment in which somebody is at work."""
        await self.app.service.clock.sleep(after_s)
        await scan_now(ENVIRONMENT, ScanOrder(), self.ctx, self.app)
        await self.scan()

    def fence_of_scaling(self, component: SurfaceComponent) -> Fence:
        """Return the fence with which scaling writes: its token is the one that it read."""
        on_machines = self.machines.component(component).fence
        token = self.cluster.tokens[component] if self.cluster else on_machines
        return Fence(token, "sp-1", "scale")

    async def release(self, module: str, **changes: Any) -> dict[str, Any]:
        """Bring the next release of *module* to the surface beside the one in force."""
        before = self.released.get(ModuleId(module))
        number = 1 if before is None else before["releaseRevision"] + 1
        component = {
            **(before or given(self.random, module, on_cluster=self.cluster is not None)),
            "releaseRevision": number, "version": f"{number}.0", **changes,
        }  # fmt: skip
        if component["port"] is not None:
            component["routing"] = {"weights": {str(number): 100}}
        await self.platform.apply(spec_of(component), self.fence())
        await self.app.service.clock.sleep(5)
        return component

    async def promote(self, component: dict[str, Any]) -> None:
        """Give all traffic to *component*, and take the release before away."""
        module, number = component["moduleId"], component["releaseRevision"]
        if component["port"] is not None:
            await self.platform.set_weights(component_of(module), {number: 100}, self.fence())
        if component.get("schedule"):
            await self.platform.activate_schedule(component_of(module), number, self.fence())
        if number > 1:
            await self.platform.remove(component_of(module), number - 1, self.fence())
        self.released[module] = component

    async def tell_end(self, *components: dict[str, Any], rolled_back: bool = False) -> None:
        self.deployments += 1
        now = self.app.service.clock.now()
        told = ended(self.deployments, components, at=now, rolled_back=rolled_back)
        await self.hear(told)

    async def tell_step(self, module: str) -> None:
        """Tell that the next deployment is changing *module*."""
        await self.hear(step(self.deployments + 1, module))


def spec_of(component: Mapping[str, Any]) -> RevisionSpec:
    unit = ReleasedComponent.model_validate(component)
    pin = unit.configuration.hash
    texts = {
        "variables": {"LOG_LEVEL": f"level of {pin}", "REGION": "north"},
        "files": {"app.json": f'{{"of": "{pin}"}}', "rules.yaml": "limits: 1"},
    }
    given_texts = configuration(pin, **texts) if pin else None
    return revision_spec(unit, ENVIRONMENT, TENANT, RolloutDefaults(), given_texts)


def given(random: Random, module: str, *, on_cluster: bool) -> dict[str, Any]:
    """Return what *random* gives to a service, as a release unit has it."""
    environ = {f"SETTING_{n}": random.choice(WORDS) for n in range(random.randint(2, 6))}
    secrets = [
        secret("database", "v1", "file", "db-password"),
        secret("mail", "v4", "environmentVariable", "MAIL_KEY"),
    ]
    serves = module in {WEB, API}
    probes = {
        "readiness": {"path": random.choice(("/ready", "/health"))},
        "liveness": {"path": "/live", "period": "PT10S", "failureThreshold": 5},
    }
    changes: dict[str, Any] = {
        "command": ["serve", "--threads", str(random.randint(1, 8))],
        "environ": environ,
        "replicas": random.randint(2, 4),
        "resources": {"memoryMib": random.choice((256, 512, 1024))},
        "configuration": {"module": 1, "hash": hash_of(random)},
        "secretVersions": {each["name"]: each["version"] for each in secrets},
        "secrets": secrets,
        "probes": probes if serves else {},
        "port": 8080 if serves else None,
        "pathPrefix": {WEB: "/", API: "/api"}.get(ModuleId(module)),
        "release": {"path": "/version", "field": "release.version"} if serves else None,
    }
    if on_cluster:
        changes |= {"computeTarget": "AKS", "image": "registry.test/shop/web:1"}
        changes["resources"]["cpu"] = random.choice((0.5, 1, 2))
        if module == NIGHT:
            changes |= {"schedule": {"cron": "0 3 * * *", "timeLimit": "PT1H"}, "replicas": 1}
    else:
        changes |= {"data": ["orders", "uploads"][: random.randint(0, 2)]}
        changes |= {"requires": ["ownProcesses", "ownUser"][: random.randint(0, 2)]}
    return released(module, 1, **changes)


def secret(name: str, version: str, delivery: str, target: str) -> dict[str, Any]:
    return {
        "name": name, "version": version, "vaultUri": VAULT, "delivery": delivery,
        "target": target, "bindingId": secret_binding_id(KEY, ModuleId("module-x"), name),
    }  # fmt: skip


def hash_of(random: Random) -> str:
    return f"sha256:{random.getrandbits(256):064x}"


async def generated(seed: int, surface: str) -> Environment:
    """Return the environment of *seed* on `memory`, `machine` or `cluster`, released and scanned.

    Nothing of the platform's is at work there any more.
    """
    on = bench("drift", seed=seed + 1)
    clock = on.service.clock
    machines = MemoryCluster(clock, on.service.entropy)
    cluster = GeneratedCluster(clock, SITE) if surface == "cluster" else None
    memory = MemorySurface(machines, has_vault=True)
    await memory.ensure_site(SITE, Fence(1, "op-1", "1"))
    reader: ComponentReader | AksSurface = memory
    if surface == "machine":
        agent = AgentSurface(Path("/nowhere"), lambda: None, clock)
        agent._agent = AgentOf(memory)  # type: ignore[assignment]
        reader = agent
    table = on.storage.table(DRIFT_SNAPSHOTS)
    app = DriftApp(on.service, reader, {}, {}, {}, table, *git_parts(on.service))
    made = Environment(
        bench=on, app=app, dispatcher=dispatcher_of(app), random=Random(seed),
        platform=cluster or memory, machines=machines, cluster=cluster,
    )  # fmt: skip
    await made.hear(environment(1))
    for module in (WEB, API, WORKER, NIGHT):
        await made.promote(await made.release(module))
    await made.tell_end(*made.released.values())
    await made.scan()
    await made.settled()
    return made
