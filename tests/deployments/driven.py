"""Deployments over in-memory parts: a surface, a health that answers gates, and rollouts driven."""

import asyncio
import io
import zipfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps
from typing import Any, Final

from function_apps.deployments.activities import ACTIVITIES
from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.orchestrations import ORCHESTRATIONS
from function_apps.deployments.ports import DeploymentsApp, DeploymentsRules
from function_apps.deployments.repository import DEPLOYMENTS, TARGETS
from function_apps.deployments.triggers import CONTROLS
from function_apps.deployments.use_cases import queries
from function_apps.deployments.use_cases.cancel import cancel
from function_apps.deployments.use_cases.deploy import deploy
from function_apps.deployments.use_cases.record_environment import record_environment
from function_apps.deployments.use_cases.record_gate_evidence import record_gate_evidence
from function_apps.deployments.use_cases.roll_back import roll_back
from function_apps.deployments.use_cases.upload_artifact import upload_artifact
from shared.contracts.deployments import Deploy, DeploymentReason, RollbackDeployment
from shared.contracts.environments import (
    ComputeTarget,
    DataResourceSpec,
    EnvironmentFacts,
    EnvironmentStatus,
    RuntimeEnvironmentDecommissioned,
    RuntimeEnvironmentFailed,
    RuntimeEnvironmentProvisioned,
    RuntimeEnvironmentStatusChanged,
)
from shared.contracts.gates import EvaluateGate, GateEvidence, Verdict
from shared.contracts.health import (
    HealthCheckCompleted,
    HealthSource,
    HealthStatus,
    ServiceHealth,
)
from shared.contracts.storage import ARTIFACTS, AUDIT, AUDIT_HEADS, LOGS
from shared.contracts.values import (
    ComponentType,
    ComputeTargetKind,
    EnvironmentId,
    IsolationModel,
    ServiceId,
    Stage,
)
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import durable_name
from shared.images.port import Images
from shared.kernel.context import Context
from shared.kernel.ids import (
    ModuleId,
    ProjectId,
    TenantId,
    environment_id,
    environment_key,
    parse_id,
)
from shared.kernel.operation import Operation
from shared.messaging.audit_heads import HeadAnchors
from shared.persistence.store import (
    Comparison,
    Document,
    Partition,
    Query,
    Where,
    partition_of,
)
from shared.surfaces.spec import SiteSpec, SurfaceComponent
from tests.deployments.standstill import Surroundings, nothing_around, standstill
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_images import MemoryImages
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT, Bench, bench

PROJECT = ProjectId("proj-shop")
SHOP, CART, WEB = "module-shop", "module-cart", "module-web"


def environment(name: str = "test") -> EnvironmentId:
    return environment_id(environment_key(TENANT, PROJECT, name))


TEST = environment()
ORCHESTRATION = {durable_name(each): each for each in ORCHESTRATIONS}
ACTIVITY = by_name(ACTIVITIES, {kind: control.abandon for kind, control in CONTROLS.items()})
_DRIVEN: Final[ContextVar["Driven"]] = ContextVar("driven")
"""Whose orchestration runs."""


def _interfered(activity: Any) -> Any:
    """Return *activity* with what its world does before it."""

    @wraps(activity)
    async def run(*arguments: Any) -> Any:
        await _DRIVEN.get().before(activity.__name__)
        return await activity(*arguments)

    return run


# Made once: codecs are kept for each function.
_INTERFERED = {name: _interfered(each) for name, each in ACTIVITY.items()}


def archive(content: str) -> bytes:
    """Return a zip whose bytes depend on *content* alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), content)
    return buffer.getvalue()


@dataclass
class Health:
    """Answers every gate at once: Fail for artifacts listed as bad, silence for the silent."""

    bad: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    asked: list[EvaluateGate] = field(default_factory=list)

    def verdict(self, digest: str) -> Verdict | None:
        if digest in self.silent:
            return None
        if digest in self.unsure:
            return Verdict.INCONCLUSIVE
        return Verdict.FAIL if digest in self.bad else Verdict.PASS


class Soaked:
    """The `SoakVerdicts` port: every service has been as `status` says for an hour."""

    app: DeploymentsApp

    def __init__(self) -> None:
        self.status = HealthStatus.HEALTHY

    async def ask(self, services: Sequence[ServiceId], *, token: str) -> Sequence[ServiceHealth]:
        return [await self._one(service) for service in services]

    async def _one(self, service: ServiceId) -> ServiceHealth:
        partition = Partition(TENANT, parse_id(TEST, "env").environment)
        document = TARGETS.document_id(TEST)
        view = await self.app.service.work.read(partition, document)
        target = view.get(TARGETS, TEST)
        return ServiceHealth(
            service_id=service,
            tenant_id=TENANT,
            environment_id=TEST,
            stage=Stage.TEST,
            module_id=SHOP,
            deployment_id=None,
            release_revision=target.module(ModuleId(SHOP)).revision,
            digest=None,
            status=self.status,
            previous_status=None,
            reason="",
            since=self.app.service.clock.now() - timedelta(hours=1),
            checked_at=None,
            checks=(),
            window=None,
            slo_burn=(),
            root_cause=None,
            revision=1,
        )


async def _at_once(_gate: EvaluateGate) -> None:
    """Answer it as soon as it is asked."""


@dataclass
class Driven:
    """One world; `interfere` is called before every activity with its name."""

    bench: Bench
    world: MemoryCluster
    app: DeploymentsApp
    health: Health
    soaked: Soaked
    twice: bool = False
    interfere: Callable[[str], None] = lambda _name: None
    at_gate: Callable[[EvaluateGate], Awaitable[None]] = _at_once
    """Called before a gate is answered."""
    halt_at: str = ""
    """The activity before which everything stands still, until `go_on`."""
    contexts: list[DrivenContext] = field(default_factory=list)
    revision: int = 0
    patience_s: float = 3600.0
    """So long everything may take to come to rest; where time is real, somebody waits for it."""
    surroundings: Surroundings = nothing_around
    """What a failure to come to rest says besides."""
    _running: dict[str, asyncio.Task[Any]] = field(default_factory=dict)
    _answered: int = 0
    """So many messages have been looked at."""
    _halted: bool = False
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    @property
    def running(self) -> Mapping[str, asyncio.Task[Any]]:
        """The orchestrations that have begun, by instance."""
        return self._running

    # What other services do.

    async def tell(self, *arguments: Any, **more: Any) -> None:
        """Tell what `told` returns."""
        event = await self.told(*arguments, **more)
        await record_environment(event, self.bench.ctx(project=PROJECT), self.app)

    async def told(
        self,
        status: EnvironmentStatus = EnvironmentStatus.PROVISIONED,
        *,
        stage: Stage = Stage.TEST,
        name: str = "test",
        generation: int = 1,
        targets: Sequence[ComputeTargetKind] = (ComputeTargetKind.LOCAL_PROCESS,),
        data: Sequence[DataResourceSpec] = (),
        owner: TenantId = TENANT,
    ) -> EnvironmentFacts:
        """Return that the environment has come to *status*, with what it has once provisioned."""
        self.revision += 1
        facts: dict[str, Any] = {
            "aggregate_id": environment(name),
            "revision": self.revision,
            "environment_id": environment(name),
            "owner_tenant_id": owner,
            "name": name,
            "stage": stage,
            "region": "local",
            "isolation_model": IsolationModel.SHARED,
            "status": status,
            "generation": generation,
        }
        event: EnvironmentFacts
        match status:
            case EnvironmentStatus.PROVISIONED:
                await self.world_site(name)
                places = tuple(ComputeTarget(kind=kind) for kind in targets)
                event = RuntimeEnvironmentProvisioned(
                    **facts,
                    compute_targets=places,
                    data_resources=tuple(data),
                    pulumi_stack_ref="stack",
                )
            case EnvironmentStatus.FAILED:
                event = RuntimeEnvironmentFailed(
                    **facts, reason={"code": "Broken", "message": "no capacity"}
                )
            case EnvironmentStatus.DECOMMISSIONED:
                event = RuntimeEnvironmentDecommissioned(**facts)
            case _:
                event = RuntimeEnvironmentStatusChanged(**facts)
        return event

    async def world_site(self, name: str = "test") -> None:
        from shared.kernel.fence import Fence

        spec = SiteSpec(environment(name), TENANT, name, "test")
        await MemorySurface(self.world).ensure_site(spec, Fence(1, "op", "site"))

    async def upload(self, content: str) -> str:
        artifact, _ = await upload_artifact(archive(content), self.ctx, self.app)
        return artifact.digest

    # What callers do.

    async def component(
        self, content: str, module: str = SHOP, *, version: str = "1.0", **more: Any
    ) -> dict[str, Any]:
        return {
            "moduleId": module,
            "componentType": ComponentType.MICROSERVICE,
            "version": version,
            "artifactDigest": await self.upload(content),
            "command": ["python", "server.py"],
            "port": 8080,
            **more,
        }

    async def command(self, *components: Mapping[str, Any], **more: Any) -> Deploy:
        return Deploy.model_validate(
            {"environmentId": TEST, "releaseRef": "r", "components": components, **more}
        )

    async def deploy(self, *components: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
        command = await self.command(*components, **more)
        return (await deploy(command, self.ctx, self.app)).value

    async def release(self, content: str, **more: Any) -> Deployment:
        """Deploy one component of SHOP with *content* and run it to its end."""
        answer = await self.deploy(await self.component(content), **more)
        await self.settle()
        return await self.deployment(answer["deploymentId"])

    async def cancel(self, deployment: str) -> Mapping[str, Any]:
        reason = DeploymentReason(reason="enough")
        return (await cancel(deployment, reason, self.ctx, self.app)).value

    async def rollback(self, deployment: str, **more: Any) -> Mapping[str, Any]:
        command = RollbackDeployment.model_validate({"deploymentId": deployment, **more})
        return (await roll_back(command, self.ctx, self.app)).value

    # What the platform does.

    async def settle(self, *, within_s: float | None = None) -> None:
        """Run everything that was started until nothing runs; answer gates on the way.

        Fail after *within_s*, or `patience_s`, with what does not come to rest.
        """
        clock = self.app.service.clock
        give_up_at_s = clock.monotonic_s() + (self.patience_s if within_s is None else within_s)
        while self.begin() or self._running:
            assert clock.monotonic_s() < give_up_at_s, await standstill(self)
            await clock.sleep(0.5)
            await self.answer_gates()
            for instance, task in list(self._running.items()):
                if task.done():
                    del self._running[instance]
                    await task

    async def until(self, holds: Callable[[], Any], *, within_s: float = 600.0) -> None:
        """Run until *holds*."""
        clock = self.app.service.clock
        give_up_at_s = clock.monotonic_s() + within_s
        while not await holds():
            assert clock.monotonic_s() < give_up_at_s
            self.begin()
            await clock.sleep(0.25)
            await self.answer_gates()

    def begin(self) -> bool:
        started, self.bench.starts.started[:] = list(self.bench.starts.started), []
        _DRIVEN.set(self)
        for name, instance, argument in started:
            if instance in self._running:
                continue
            context = DrivenContext(
                instance,
                argument,
                _INTERFERED,
                self.app,
                self.app.service.clock,
                self.bench.starts,
                twice=self.twice,
            )
            self.contexts.append(context)
            self._running[instance] = asyncio.ensure_future(drive(ORCHESTRATION[name], context))
        return bool(started)

    async def before(self, activity: str) -> None:
        """Interfere with *activity*; what that raises, the activity raises."""
        self.interfere(activity)
        if activity == self.halt_at:
            self._halted = True
            await self._resumed.wait()

    async def is_halted(self) -> bool:
        return self._halted

    def go_on(self) -> None:
        self.halt_at = ""
        self._resumed.set()

    async def until_ended(self, deployment: str, *, within_s: float, every_s: float) -> None:
        """Run until *deployment* has ended, looking seldom: for waits of hours."""
        clock = self.app.service.clock
        give_up_at_s = clock.monotonic_s() + within_s
        while (await self.deployment(deployment)).ended_at is None:
            assert clock.monotonic_s() < give_up_at_s
            self.begin()
            await clock.sleep(every_s)
            await self.answer_gates()

    async def drop_running(self) -> None:
        """Lose every orchestration, as if its history was gone."""
        for task in self._running.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._running.clear()

    async def answer_gates(self) -> None:
        sent = len(self.bench.sent.messages)
        for envelope in self.bench.sent.bodies("EvaluateGate", since=self._answered):
            gate = EvaluateGate.model_validate(envelope["payload"])
            self.health.asked.append(gate)
            await self.at_gate(gate)
            deployment = await self.deployment(gate.deployment_id)
            unit = deployment.candidate(gate.module_id)
            assert unit is not None
            verdict = self.health.verdict(unit.digest)
            if verdict is not None:
                event = self.answer(gate, verdict)
                await record_gate_evidence(event, self.ctx, self.app)
        self._answered = sent

    def answer(self, gate: EvaluateGate, verdict: Verdict) -> HealthCheckCompleted:
        now = self.app.service.clock.now()
        return HealthCheckCompleted(
            aggregate_id=gate.gate_id,
            revision=1,
            service_id=gate.service_id,
            environment_id=gate.environment_id,
            module_id=gate.module_id,
            gate_id=gate.gate_id,
            status=HealthStatus.HEALTHY,
            source=HealthSource.GATE,
            verdict=verdict,
            evidence=GateEvidence(
                gate_id=gate.gate_id,
                module_id=gate.module_id,
                step=gate.step,
                weight=gate.weight,
                verdict=verdict,
                candidate_revision=gate.candidate.release_revision,
                from_at=now,
                until_at=now,
            ),
        )

    # What can be seen.

    async def target(self, name: str = "test") -> DeploymentTarget:
        return await self.app.service.work.load(TARGETS, environment(name), self.ctx.tenant)

    async def deployment(self, deployment: str) -> Deployment:
        return await self.app.service.work.load(DEPLOYMENTS, deployment, self.ctx.tenant)

    async def operation(self, deployment: str) -> Operation:
        """Return the operation that owns *deployment*, or owned it last."""
        return await self.operation_of((await self.deployment(deployment)).operation_id)

    async def operation_of(self, operation_id: str) -> Operation:
        partition = partition_of(TENANT, operation_id)
        document = OPERATIONS.document_id(operation_id)
        return (await self.app.service.work.read(partition, document)).get(OPERATIONS, operation_id)

    async def rows(self, kind: str) -> Sequence[Document]:
        """Return all documents of the environment that are of *kind*."""
        partition = Partition(TENANT, parse_id(TEST, "env").environment)
        query = Query([Where("type", Comparison.EQ, kind)])
        return (await self.app.service.store.query(partition, query)).documents

    async def status(self, deployment: str) -> str:
        return (await self.deployment(deployment)).status

    async def shown(self, deployment: str) -> Any:
        resource, _ = await queries.get_deployment(deployment, self.ctx, self.app)
        return resource

    def surface_component(self, module: str) -> SurfaceComponent:
        return SurfaceComponent(TEST, TENANT, ModuleId(module))

    def live(self, module: str = SHOP) -> tuple[dict[int, int], dict[int, int]]:
        """Return instances and weights by revision."""
        record = self.world.component(self.surface_component(module))
        counted = {number: len(each.instances) for number, each in record.revisions.items()}
        return counted, dict(record.weights)


def driven(
    *,
    rules: DeploymentsRules | None = None,
    images: Images | None = None,
    has_vault: bool = True,
) -> Driven:
    """Return a world without an environment, on the running loop's time.

    With *images* its surface runs those too; with *has_vault* it gives secrets.
    """
    parts = bench("deployments")
    world = MemoryCluster(parts.service.clock, parts.service.entropy)
    surface = MemorySurface(world, runs_images=images is not None, has_vault=has_vault)
    soaked = Soaked()
    app = DeploymentsApp(
        parts.service,
        {ComputeTargetKind.LOCAL_PROCESS: surface},
        parts.storage.blobs(ARTIFACTS),
        parts.storage.blobs(LOGS),
        HeadAnchors(parts.storage.table(AUDIT), parts.storage.blobs(AUDIT_HEADS)),
        images or MemoryImages(),
        soaked,
        rules or DeploymentsRules(),
    )
    soaked.app = app
    return Driven(parts, world, app, Health(), soaked)
