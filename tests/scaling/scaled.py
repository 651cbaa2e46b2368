"""Scaling over in-memory parts: what it is told, what is measured, and what it makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel

from function_apps.scaling.ports import ScalingApp, ScalingRules
from function_apps.scaling.triggers import COMMANDS, EVENTS, ROUTES
from function_apps.scaling.use_cases.delete_samples import delete_old_samples
from function_apps.scaling.use_cases.evaluate_policies import evaluate_policies
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.deployments import (
    RuntimeDeploymentCancelled,
    RuntimeDeploymentFailed,
    RuntimeDeploymentStepChanged,
)
from shared.contracts.health import HealthCheckCompleted
from shared.contracts.metrics import MetricSource
from shared.contracts.storage import SCALING_SAMPLES
from shared.contracts.validation import read
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import isoformat
from shared.kernel.context import Context
from shared.kernel.fence import Fence
from shared.kernel.ids import module_key, scaling_policy_id
from shared.messaging.dispatcher import Dispatcher
from shared.metrics.port import Measured, Measurement, MetricsQuery, Resolution, Unmeasurable
from shared.metrics.surface_metrics import SurfaceMetrics
from shared.surfaces.capabilities import Feature
from shared.web.request import Answer, Request
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.messages import envelope_of, taken
from tests.kit.service import TENANT, Bench, bench
from tests.kit.told import (
    DIGEST,
    ENVIRONMENT,
    KEY,
    WEB,
    component_of,
    deployment_of,
    ended,
    released,
    run,
    service_of,
)
from tests.kit.virtual_time import EPOCH

QUEUE: Final = "runtime-scaling-commands"
ROOT: Final = "v1/runtime/scaling-policies"
ONE: Final = f"{ROOT}/{{policyId}}"
RULE: Final = {"signal": "requests", "target": 10}
QUEUED: Final = {
    "signal": "queueLength",
    "target": 5,
    "settings": {"source": "prometheus", "query": "sum(jobs_waiting[{{window}}])"},
}


def policy_of(module: str = WEB) -> str:
    return scaling_policy_id(KEY, module_key(TENANT, module))  # type: ignore[arg-type]


@dataclass
class Gauge:
    """A provider that measures one number; None: it is away."""

    value: float | None = 0.0
    asked: list[MetricsQuery] = field(default_factory=list)
    resolution: Resolution = field(default_factory=Resolution)

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        self.asked += queries
        if self.value is None:
            return [Unmeasurable("the provider is away") for _ in queries]
        return [Measured(self.value, query.until) for query in queries]


@dataclass
class Scaling:
    bench: Bench
    world: MemoryCluster
    surface: MemorySurface
    gauge: Gauge
    app: ScalingApp
    dispatcher: Dispatcher
    heard: int = 0

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    async def hear(self, *payloads: BaseModel) -> None:
        """Deliver *payloads*, and what scaling sends itself because of them."""
        for payload in payloads:
            self.heard += 1
            at = self.app.service.clock.now()
            await self.dispatcher.dispatch(envelope_of(payload, self.heard, at))
            for sent in taken(self.bench.sent, QUEUE):
                await self.dispatcher.dispatch(sent)

    async def call(
        self,
        method: str,
        template: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        if_match: str | None = None,
        **path: Any,
    ) -> Answer:
        """Ask the handler of a route, its body read as the app reads it."""
        route = next(each for each in ROUTES if (each.method, each.template) == (method, template))
        content: Any = None if route.body is None else read(route.body, body or {})
        named = {name: str(value) for name, value in path.items()}
        ctx = self.ctx
        if if_match is not None:
            ctx = replace(ctx, cause=replace(ctx.cause, if_match=(if_match,)))
        request: Request[Any] = Request(content, ctx, named, dict(query or {}))
        return await route.handler(request, self.app)

    async def apply(self, *rules: Mapping[str, Any], **changes: Any) -> Mapping[str, Any]:
        """Give the service a policy, and return it as it is answered."""
        content = {"min": 1, "max": 10, "rules": list(rules or [RULE])}
        body = {"serviceId": service_of(), **content, **changes}
        return shown(await self.call("POST", ROOT, body))

    async def policy(self) -> Mapping[str, Any]:
        return shown(await self.call("GET", ONE, policyId=policy_of()))

    async def decisions(self) -> Sequence[Mapping[str, Any]]:
        answer = shown(await self.call("GET", f"{ONE}/decisions", policyId=policy_of()))
        return answer["value"]  # type: ignore[no-any-return]

    async def evaluate(self, times: int = 1, *, after_s: float = 60.0) -> int:
        """Let the timer fire, each time *after_s* after the last."""
        count = 0
        for _ in range(times):
            await self.app.service.clock.sleep(after_s)
            count = await evaluate_policies(self.app)
        return count

    async def delete_old_samples(self) -> int:
        return await delete_old_samples(self.app)

    def replicas(self, revision: int = 1, module: str = WEB) -> int:
        """Return how many instances there are on the surface."""
        component = self.world.component(component_of(module))
        return len(component.revisions[revision].instances)

    async def serve(self, **weights: int) -> None:
        """Give revisions their percent of the requests: `r1=100`."""
        split = {int(name[1:]): percent for name, percent in weights.items()}
        live = self.world.component(component_of())
        await self.surface.set_weights(component_of(), split, Fence(live.fence, "op-1", "3"))

    def told(self, event: str = "ScalingPolicyApplied") -> list[dict[str, Any]]:
        return [each["payload"] for each in self.bench.sent.bodies(event)]


def shown(answer: Answer) -> Any:
    return json.loads(answer.content)


def scaling() -> Scaling:
    made = bench("scaling")
    service = made.service
    world = MemoryCluster(service.clock, service.entropy)
    surface, gauge = MemorySurface(world), Gauge()
    counted = SurfaceMetrics(surface, service.clock)
    sources = {
        MetricSource.SURFACE: counted,
        MetricSource.PROMETHEUS: gauge,
        MetricSource.KUBERNETES: gauge,
    }
    app = ScalingApp(
        service,
        {ComputeTargetKind.LOCAL_PROCESS: surface},
        sources.__getitem__,
        made.storage.table(SCALING_SAMPLES),
        ScalingRules(),
    )
    handlers = {**EVENTS, **COMMANDS}
    dispatcher = Dispatcher(handlers, app, service.work, service.clock, service.entropy)
    return Scaling(made, world, surface, gauge, app, dispatcher)


async def serving(*, replicas: int = 2, **component: Any) -> Scaling:
    """Return scaling that knows one service, which runs with *replicas* and answers requests."""
    made = scaling()
    changes = {} if component.get("port", 8080) is None else {"port": 8080, "path_prefix": "/"}
    await run(made.world, replicas=replicas, **changes)
    await made.app.service.clock.sleep(5)
    if changes:
        await made.serve(r1=100)
    await made.hear(ended(1, [released(replicas=replicas, **component)]))
    return made


async def working(*, replicas: int = 1) -> Scaling:
    """Return scaling that knows one worker."""
    return await serving(
        replicas=replicas, port=None, endpoint=None, componentType="worker", probes={}
    )


def _facts(number: int, status: str, **more: Any) -> dict[str, Any]:
    return {
        "aggregateId": deployment_of(number),
        "revision": 3,
        "deploymentId": deployment_of(number),
        "environmentId": ENVIRONMENT,
        "projectId": "proj-web",
        "stage": "test",
        "kind": "release",
        "releaseRef": f"v{number}",
        "strategy": "canary",
        "status": status,
        "modules": [WEB],
        **more,
    }


def step(number: int) -> RuntimeDeploymentStepChanged:
    """Return that the deployment *number* took a step of its rollout."""
    return RuntimeDeploymentStepChanged.model_validate(
        _facts(number, "RollingOut", step=0, name="10 %", weight=10)
    )


def gave_up(number: int, at_s: float) -> RuntimeDeploymentFailed:
    at = isoformat(EPOCH + timedelta(seconds=at_s))
    return RuntimeDeploymentFailed.model_validate(
        _facts(number, "Failed", releaseUnit=None, endedAt=at)
    )


def cancelled(number: int, at_s: float) -> RuntimeDeploymentCancelled:
    at = isoformat(EPOCH + timedelta(seconds=at_s))
    return RuntimeDeploymentCancelled.model_validate(
        _facts(number, "Cancelled", releaseUnit=None, endedAt=at)
    )


def retired(at_s: float = 1000.0) -> RuntimeInventoryUpdated:
    return RuntimeInventoryUpdated.model_validate(
        {
            "aggregateId": service_of(),
            "revision": 9,
            "serviceId": service_of(),
            "environmentId": ENVIRONMENT,
            "stage": "test",
            "moduleId": WEB,
            "componentType": "gateway",
            "version": "1.0",
            "digest": DIGEST,
            "computeTarget": "LocalProcess",
            "replicas": 2,
            "status": "Retired",
            "releaseRevision": 1,
            "cause": {"kind": "environment", "id": ENVIRONMENT},
            "validFrom": isoformat(EPOCH + timedelta(seconds=at_s)),
        }
    )


def burning(revision: int, long: float, short: float) -> HealthCheckCompleted:
    """Return a heartbeat of health with the burn rate of an objective."""
    return HealthCheckCompleted.model_validate(
        {
            "aggregateId": service_of(),
            "revision": revision,
            "serviceId": service_of(),
            "environmentId": ENVIRONMENT,
            "moduleId": WEB,
            "status": "Healthy",
            "source": "heartbeat",
            "sloBurn": [
                {
                    "sli": "availability",
                    "longWindow": "PT1H",
                    "long": long,
                    "shortWindow": "PT5M",
                    "short": short,
                }
            ],
        }
    )


def without(made: Scaling, *features: Feature) -> Scaling:
    """Return *made* on a surface that lacks *features*."""
    surface = MemorySurface(made.world, without=features)
    surfaces = {ComputeTargetKind.LOCAL_PROCESS: surface}
    return replace(made, surface=surface, app=replace(made.app, surfaces=surfaces))
