"""The environments service over an in-memory engine, driven without a host."""

from dataclasses import dataclass
from typing import Any

from function_apps.environments.activities import ACTIVITIES
from function_apps.environments.orchestrations import ORCHESTRATIONS
from function_apps.environments.ports import EnvironmentsApp
from shared.contracts.environments import ProvisionEnvironment
from shared.durable.steps import Orchestration, durable_name
from shared.infrastructure.memory import World, memory_engine
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.service import Bench, bench


@dataclass
class Environments:
    bench: Bench
    world: World
    app: EnvironmentsApp

    async def run_started(self, **how: Any) -> list[Any]:
        """Drive every orchestration that was started and not yet run; return their outcomes."""
        outcomes = []
        while self.bench.nudges.started:
            name, instance_id, argument = self.bench.nudges.started.pop(0)
            outcomes.append(await self.run(name, instance_id, argument, **how))
        return outcomes

    async def run(self, name: str, instance_id: str, argument: Any, **how: Any) -> Any:
        context = DrivenContext(
            instance_id, argument, by_name(ACTIVITIES), self.app, self.app.service.clock,
            self.bench.nudges, **how,
        )  # fmt: skip
        return await drive(_orchestration(name), context)


def _orchestration(name: str) -> Orchestration:
    return next(each for each in ORCHESTRATIONS if durable_name(each) == name)


def environments() -> Environments:
    made, world = bench("environments"), World()
    return Environments(made, world, EnvironmentsApp(made.service, memory_engine(world)))


def a_request(**changes: Any) -> ProvisionEnvironment:
    return ProvisionEnvironment.model_validate(
        {
            "name": "shop",
            "projectId": "proj-web",
            "stage": "test",
            "region": "westeurope",
            "computeTargets": [{"kind": "LocalProcess"}],
            "dataResources": [{"kind": "LocalFolder", "name": "files"}],
            **changes,
        }
    )
