"""The environments service over an in-memory engine, driven without a host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from function_apps.environments import repository
from function_apps.environments.activities import ACTIVITIES
from function_apps.environments.model.environment import RuntimeEnvironment
from function_apps.environments.orchestrations import ORCHESTRATIONS
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.triggers import CONTROLS
from function_apps.environments.use_cases.decommission_environment import decommission_environment
from function_apps.environments.use_cases.provision_environment import provision_environment
from function_apps.environments.use_cases.update_environment import update_environment
from shared.contracts.environments import (
    DecommissionEnvironment,
    ProvisionEnvironment,
    UpdateEnvironment,
)
from shared.contracts.values import ComputeTargetKind
from shared.durable.operations import OPERATIONS
from shared.durable.orchestration import Orchestrator, durable_name
from shared.kernel.context import Context
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Json, Outcome
from shared.persistence.store import partition_of
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.memory_engine import MemoryCloud, memory_engine
from tests.kit.service import TENANT, Bench, bench


@dataclass
class Environments:
    bench: Bench
    world: MemoryCloud
    app: EnvironmentsApp

    @property
    def ctx(self) -> Context:
        return self.bench.ctx()

    async def request(self, **changes: Any) -> str:
        """Request an environment and return its id."""
        outcome = await provision_environment(a_request(**changes), self.ctx, self.app)
        return str(outcome.value["environment"]["environmentId"])

    async def update(self, identity: str, **changes: Any) -> Outcome[Json]:
        content = {**CONTENT, **changes, "environmentId": identity}
        command = UpdateEnvironment.model_validate(content)
        return await update_environment(command, self.ctx, self.app)

    async def decommission(self, identity: str, **changes: Any) -> Outcome[Json]:
        content = {"environmentId": identity, "confirm": "shop", **changes}
        command = DecommissionEnvironment.model_validate(content)
        return await decommission_environment(command, self.ctx, self.app)

    def use_engine(self, kind: Callable[[Any], Any]) -> Any:
        """Put an engine of *kind* around that of the app, and return it."""
        engine = kind(self.app.engine)
        self.app = replace(self.app, engine=engine)
        return engine

    async def environment(self, identity: str) -> RuntimeEnvironment:
        return await self.app.service.work.load(repository.ENVIRONMENTS, identity, self.ctx.tenant)

    async def operation(self, operation_id: str) -> Operation:
        partition = partition_of(TENANT, operation_id)
        document_id = OPERATIONS.document_id(operation_id)
        view = await self.app.service.work.read(partition, document_id)
        return view.get(OPERATIONS, operation_id)

    async def run_started(self, **how: Any) -> list[Any]:
        """Drive every orchestration that was started and not yet run; return their outcomes."""
        outcomes = []
        while self.bench.starts.started:
            name, instance_id, argument = self.bench.starts.started.pop(0)
            outcomes.append(await self.run(name, instance_id, argument, **how))
        return outcomes

    async def run(self, name: str, instance_id: str, argument: Any, **how: Any) -> Any:
        abandon = {kind: control.abandon for kind, control in CONTROLS.items()}
        context = DrivenContext(
            instance_id, argument, by_name(ACTIVITIES, abandon), self.app, self.app.service.clock,
            self.bench.starts, **how,
        )  # fmt: skip
        return await drive(_orchestration(name), context)


class OtherEngine:
    """The engine of a world, but for what a subclass does otherwise."""

    def __init__(self, engine: Any) -> None:
        self.inner = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def stop_at(activity: str) -> Callable[[str, int], None]:
    """Return what kills an orchestration before it runs *activity*: `run(interfere=…)`."""

    def interfere(name: str, _count: int) -> None:
        if name == activity:
            raise KeyboardInterrupt

    return interfere


def _orchestration(name: str) -> Orchestrator:
    return next(each for each in ORCHESTRATIONS if durable_name(each) == name)


def environments(surfaces: Mapping[ComputeTargetKind, Any] | None = None) -> Environments:
    """Return the service; with *surfaces*, what it provisions is there."""
    made, world = bench("environments"), MemoryCloud()
    app = EnvironmentsApp(made.service, memory_engine(world, surfaces), surfaces or {})
    return Environments(made, world, app)


CONTENT: Final = {
    "computeTargets": [{"kind": "LocalProcess"}],
    "dataResources": [{"kind": "LocalFolder", "name": "files"}],
}


def a_request(**changes: Any) -> ProvisionEnvironment:
    fixed = {"name": "shop", "projectId": "proj-web", "stage": "test", "region": "westeurope"}
    return ProvisionEnvironment.model_validate({**fixed, **CONTENT, **changes})
