"""Drift over in-memory parts: what others tell it, what the surface has, what it answers."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Final, ParamSpec

from pydantic import BaseModel

from function_apps.drift.ports import DriftApp, DriftRules
from function_apps.drift.repository import BASELINES
from function_apps.drift.triggers import COMMANDS, EVENTS, ROUTES
from function_apps.drift.use_cases import scan_environments, scan_services
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentFailed,
    RuntimeDeploymentRequested,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.drift import RemediationPolicy
from shared.contracts.releases import ReleasedComponent
from shared.contracts.scaling import ScalingPolicyApplied
from shared.contracts.storage import DRIFT_SNAPSHOTS
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.validation import read
from shared.contracts.values import ComputeTargetKind
from shared.kernel.context import Context
from shared.kernel.fence import Fence
from shared.kernel.ids import EnvironmentId
from shared.messaging.dispatcher import Dispatcher
from shared.messaging.unit_of_work import Decision, Json, View
from shared.surfaces.configuration import configuration
from shared.surfaces.released_component import revision_spec
from shared.surfaces.spec import RevisionSpec, SiteSpec
from shared.web.request import Answer, Request
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_repositories import git_parts
from tests.kit.memory_surface import MemorySurface
from tests.kit.messages import envelope_of, taken
from tests.kit.service import TENANT, Bench, bench
from tests.kit.told import (
    ENVIRONMENT,
    WEB,
    component_of,
    deployment_of,
    ended,
    environment,
    released,
    service_of,
)
from tests.kit.virtual_time import run_virtual

T = ParamSpec("T")


def virtual(test: Callable[T, Coroutine[Any, Any, None]]) -> Callable[T, None]:
    """Run *test* on virtual time; what it waits for costs nothing."""

    @wraps(test)
    def run(*args: T.args, **kwargs: T.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run


QUEUE: Final = "runtime-drift-commands"
ROOT: Final = f"v1/runtime/drift/{ENVIRONMENT}"
OWN_WORK_S: Final = 121.0
HASH: Final = "sha256:" + "c" * 64


@dataclass(kw_only=True)
class DriftService:
    """The service on whatever surface it reads: what it hears, when it scans, what it tells."""

    bench: Bench
    app: DriftApp
    dispatcher: Dispatcher
    heard: int = 0
    tokens: int = 1

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    async def hear(self, *payloads: BaseModel) -> None:
        """Deliver *payloads*, and what drift sends itself because of them."""
        for payload in payloads:
            await self.hear_alone(payload)
            await self.hear_itself()

    async def hear_itself(self) -> None:
        """Deliver what drift sent itself."""
        for sent in taken(self.bench.sent, QUEUE):
            await self.dispatcher.dispatch(sent)

    async def hear_alone(self, payload: BaseModel) -> None:
        """Deliver *payload*; what drift sends itself because of it is on its way still."""
        self.heard += 1
        at = self.app.service.clock.now()
        await self.dispatcher.dispatch(envelope_of(payload, self.heard, at))

    def fence(self) -> Fence:
        self.tokens += 1
        return Fence(self.tokens, "op-1", str(self.tokens))

    async def settled(self) -> None:
        """Wait until the platform's own work is over, and scan what is due then."""
        await self.app.service.clock.sleep(OWN_WORK_S)
        await self.scan()

    async def scan(self, after_s: float = 0.0) -> None:
        """Run the timers: scan the services that are due, then the environments."""
        await self.app.service.clock.sleep(after_s)
        await scan_services.scan_due_services(self.app)
        await self.scan_environments()

    async def scan_environments(self) -> int:
        """Scan the environments that are due; return how many there were."""
        return await scan_environments.scan_due_environments(self.app)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [each["payload"] for each in self.bench.sent.bodies(event)]

    async def call(
        self,
        method: str,
        template: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        *,
        content: bytes = b"",
        signature: str = "",
        **path: Any,
    ) -> Answer:
        """Ask the handler of a route, its body and query read as the app reads them."""
        route = next(each for each in ROUTES if (each.method, each.template) == (method, template))
        asked = {name: str(value) for name, value in (query or {}).items()}
        assert set(asked) <= {*route.query}, asked
        given: Any = None if route.body is None else read(route.body, body or {})
        where = {"environmentId": ENVIRONMENT, **path}
        request: Request[Any] = Request(
            given, self.ctx, where, asked, content=content, signature=signature
        )
        return await route.handler(request, self.app)

    async def get(self, template: str, query: Any = None, **path: Any) -> Mapping[str, Any]:
        return shown(await self.call("GET", template, None, query, **path))

    async def post(self, template: str, body: Any = None, **path: Any) -> Mapping[str, Any]:
        return shown(await self.call("POST", template, body, **path))

    async def report(self, **query: Any) -> Mapping[str, Any]:
        return await self.get("v1/runtime/drift/{environmentId}", query)

    async def findings(self, **query: Any) -> list[Mapping[str, Any]]:
        value: list[Mapping[str, Any]] = (await self.report(**query))["value"]
        return sorted(value, key=lambda each: each["path"])

    async def only(self) -> Mapping[str, Any]:
        (finding,) = await self.findings()
        return finding

    async def decide(
        self, finding: Mapping[str, Any], verb: str, body: Any = None
    ) -> Mapping[str, Any]:
        template = f"v1/runtime/drift-findings/{{findingId}}/{verb}"
        return await self.post(template, body, findingId=finding["findingId"])


@dataclass
class Meanwhile:
    """A surface, and something that happens while its services are listed."""

    surface: Any
    act: Callable[[], Awaitable[object]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.surface, name)

    async def inventory(self, environment: EnvironmentId) -> Any:
        await self.act()
        return await self.surface.inventory(environment)


@dataclass(kw_only=True)
class Drift(DriftService):
    """The service on a surface in memory."""

    world: MemoryCluster
    surface: MemorySurface

    async def scan_while(self, act: Callable[[], Awaitable[object]], after_s: float = 300) -> None:
        """Scan the environments, and *act* when their findings are read and their services not."""
        app = self.app
        await app.service.clock.sleep(after_s)
        self.app = replace(app, surface=Meanwhile(app.surface, act))
        await self.scan_environments()
        self.app = app

    async def apply(self, component: Mapping[str, Any]) -> None:
        """Have deployments bring *component* to the surface, with all its traffic."""
        unit = ReleasedComponent.model_validate(component)
        pin = unit.configuration.hash
        given = configuration(pin, files={"configuration.json": "{}\n"}) if pin else None
        spec = revision_spec(unit, ENVIRONMENT, TENANT, RolloutDefaults(), given)
        await self.surface.apply(spec, self.fence())
        await self.app.service.clock.sleep(5)
        if unit.port is not None:
            weights = {unit.release_revision: 100}
            await self.surface.set_weights(component_of(unit.module_id), weights, self.fence())

    async def release(self, number: int = 1, module: str = WEB, **changes: Any) -> dict[str, Any]:
        """Bring a release to the surface, and hear of its end; return its component."""
        component = component_with(module, number, **changes)
        await self.apply(component)
        await self.remove_older(module, number)
        await self.hear(ended(number, [component], at=self.app.service.clock.now()))
        return component

    async def remove_older(self, module: str, number: int) -> None:
        state = self.world.sites[ENVIRONMENT].components[component_of(module)]
        for older in [each for each in state.revisions if each != number]:
            await self.surface.remove(component_of(module), older, self.fence())

    async def scan_anew(self, **order: Any) -> Mapping[str, Any]:
        """Order a scan, and return the report of it."""
        await self.post("v1/runtime/drift/{environmentId}/scan", order)
        await self.scan()
        return await self.report()

    def tamper(self, module: str = WEB, revision: int = 1, **changes: Any) -> None:
        """Change a revision on the surface behind everybody's back."""
        state = self.world.sites[ENVIRONMENT].components[component_of(module)]
        spec: RevisionSpec = replace(state.revisions[revision].spec, **changes)
        state.revisions[revision].spec = spec

    async def store(self, **changes: Any) -> None:
        """Change the stored baseline of WEB to one that an earlier version of drift left."""

        def decide(view: View) -> Decision[Json]:
            stored = view.find(BASELINES, service_of(WEB))
            return Decision({}, writes=[BASELINES.put(replace(stored, **changes))])

        work = self.app.service.work
        await work.change(self.ctx.without_marker(), BASELINES, service_of(WEB), decide)

    def vanish(self, *modules: str) -> None:
        for module in modules:
            del self.world.sites[ENVIRONMENT].components[component_of(module)]

    def open_paths(self) -> list[str]:
        """Return the paths of which drift told as open, in the order in which it did."""
        return [each["path"] for each in self.told("RuntimeDriftDetected")]


def component_with(module: str = WEB, revision: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a released component that a surface can run, as JSON."""
    weights = {} if changes.get("port", 8080) is None else {str(revision): 100}
    return released(
        module,
        revision,
        **{"command": ["serve"], "routing": {"weights": weights}, **changes},
    )


def step(number: int, *modules: str, revision: int = 3) -> RuntimeDeploymentStepChanged:
    """Return that the deployment *number* is about to change *modules*."""
    return RuntimeDeploymentStepChanged.model_validate(
        {**_facts(number, modules, revision), "status": "RollingOut", "step": 0, "name": "10 %",
         "weight": 10}
    )  # fmt: skip


def requested(number: int, *modules: str) -> RuntimeDeploymentRequested:
    return RuntimeDeploymentRequested.model_validate(
        {**_facts(number, modules, revision=1), "status": "Requested"}
    )


def cancelled(number: int, *modules: str) -> RuntimeDeploymentCancelled:
    return RuntimeDeploymentCancelled.model_validate(
        {**_facts(number, modules, revision=5), "status": "Cancelled", "releaseUnit": None,
         "endedAt": "2026-01-01T00:00:00Z"}
    )  # fmt: skip


def failed(number: int, *modules: str, revision: int = 5) -> RuntimeDeploymentFailed:
    return RuntimeDeploymentFailed.model_validate(
        {**_facts(number, modules, revision), "status": "Failed", "releaseUnit": None,
         "endedAt": "2026-01-01T00:00:00Z"}
    )  # fmt: skip


def scaled(revision: int, status: str = "Enforced", **changes: Any) -> ScalingPolicyApplied:
    """Return that a policy scales the service of WEB."""
    policy = service_of(WEB).replace("svc", "sp", 1)
    return ScalingPolicyApplied.model_validate(
        {
            "aggregateId": policy, "revision": revision, "policyId": policy,
            "serviceId": service_of(WEB), "environmentId": ENVIRONMENT, "moduleId": WEB,
            "min": 1, "max": 9, "desired": 5, "actuator": "platform", "status": status,
            "reason": "Policy", "policyRevision": 1, **changes,
        }
    )  # fmt: skip


def _facts(number: int, modules: tuple[str, ...], revision: int) -> dict[str, Any]:
    return {
        "aggregateId": deployment_of(number),
        "revision": revision,
        "deploymentId": deployment_of(number),
        "environmentId": ENVIRONMENT,
        "projectId": "proj-web",
        "stage": "test",
        "kind": "release",
        "releaseRef": f"v{number}",
        "strategy": "canary",
        "modules": list(modules or (WEB,)),
    }


def shown(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON of *answer*."""
    found: Mapping[str, Any] = json.loads(answer.content)
    return found


def dispatcher_of(app: DriftApp) -> Dispatcher:
    service, handlers = app.service, {**EVENTS, **COMMANDS}
    return Dispatcher(handlers, app, service.work, service.clock, service.entropy)


async def drift(
    *, policy: RemediationPolicy = RemediationPolicy.ASK, knows_environment: bool = True
) -> Drift:
    """Return the service, which has heard of its environment unless it is not to."""
    on = bench("drift")
    service = on.service
    world = MemoryCluster(service.clock, service.entropy)
    surface = MemorySurface(world)
    await surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), Fence(1, "op-1", "1"))
    sites = {ComputeTargetKind.LOCAL_PROCESS: surface}
    table = on.storage.table(DRIFT_SNAPSHOTS)
    parts = git_parts(service)
    app = DriftApp(service, surface, sites, sites, {}, table, *parts, DriftRules(), policy)
    made = Drift(bench=on, app=app, dispatcher=dispatcher_of(app), world=world, surface=surface)
    if knows_environment:
        await made.hear(environment(1))
    return made


async def released_and_settled(**changes: Any) -> Drift:
    """Return the service after one release, when nothing of the platform's is at work."""
    made = await drift(policy=changes.pop("policy", RemediationPolicy.ASK))
    await made.release(1, **changes)
    await made.scan()
    await made.settled()
    return made
