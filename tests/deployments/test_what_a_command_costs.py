"""One bounded read and one batch a command or event (contracts, section 8), whatever it is."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.use_cases.cancel import cancel
from function_apps.deployments.use_cases.deploy import deploy
from function_apps.deployments.use_cases.record_gate_evidence import record_gate_evidence
from function_apps.deployments.use_cases.roll_back import roll_back
from shared.contracts.deployments import DeploymentReason, RollbackDeployment
from shared.contracts.gates import Verdict
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.store import BatchOperation, Etag, Partition
from tests.deployments.driven import Driven, driven
from tests.kit.virtual_time import run_virtual


@dataclass
class Counting:
    """A store that counts; what the relay does with it is not the command's."""

    inner: Any
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def read(self, partition: Partition, document_id: str) -> Any:
        self.calls.append("read")
        return await self.inner.read(partition, document_id)

    async def read_many(self, partition: Partition, ids: Sequence[str]) -> Any:
        self.calls.append("read")
        return await self.inner.read_many(partition, ids)

    async def query(self, within: Any, query: Any) -> Any:
        self.calls.append("query")
        return await self.inner.query(within, query)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        self.calls.append("batch")
        result: Sequence[Etag | None] = await self.inner.batch(partition, operations)
        return result


def counted(world: Driven) -> tuple[DeploymentsApp, Counting]:
    """Return the app of *world* over a store that counts."""
    service = world.app.service
    store: Any = Counting(service.store)
    work = UnitOfWork(service.name, store, service.relay)
    return replace(world.app, service=replace(service, store=store, work=work)), store


async def deploys(world: Driven, app: DeploymentsApp) -> Callable[[], Awaitable[object]]:
    command = await world.command(await world.component("three"))
    return lambda: deploy(command, world.ctx, app)


async def undoes(world: Driven, app: DeploymentsApp) -> Callable[[], Awaitable[object]]:
    by = (await world.target()).module("module-shop").by  # type: ignore[arg-type]
    assert by is not None
    command = RollbackDeployment(deployment_id=by)
    return lambda: roll_back(command, world.ctx, app)


async def queued(world: Driven) -> str:
    await world.deploy(await world.component("three"))
    answer = await world.deploy(await world.component("four"))
    return str(answer["deploymentId"])


async def cancels(world: Driven, app: DeploymentsApp) -> Callable[[], Awaitable[object]]:
    identity = await queued(world)
    reason = DeploymentReason()
    return lambda: cancel(identity, reason, world.ctx, app)


async def hears(world: Driven, app: DeploymentsApp) -> Callable[[], Awaitable[object]]:
    world.health.silent.add(await world.upload("three"))
    answer = await world.deploy(await world.component("three"))

    async def is_gating() -> bool:
        return await world.status(answer["deploymentId"]) == "HealthGating"

    await world.until(is_gating)
    event = world.answer(world.health.asked[-1], Verdict.PASS)
    return lambda: record_gate_evidence(event, world.ctx, app)


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(undoes, id="RollbackDeployment"),
        pytest.param(hears, id="HealthCheckCompleted"),
    ],
)
def test_it_is_one_read_and_one_batch(
    prepare: Callable[[Driven, DeploymentsApp], Awaitable[Callable[[], Awaitable[object]]]],
) -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        await world.release("two")
        app, store = counted(world)
        act = await prepare(world, app)
        store.calls.clear()

        await act()

        assert store.calls == ["read", "batch"]

    run_virtual(main())


def test_a_release_also_reads_the_layer_of_configuration_that_is_the_tenants() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        app, store = counted(world)
        act = await deploys(world, app)
        store.calls.clear()

        await act()

        assert store.calls == ["read", "read", "batch"]

    run_virtual(main())


def test_a_command_on_one_that_is_at_work_also_reads_the_operation_that_it_ends() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        app, store = counted(world)
        act = await cancels(world, app)
        store.calls.clear()

        await act()

        assert store.calls == ["read", "read", "batch"]

    run_virtual(main())


def test_a_repeat_is_one_more_read_and_writes_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("one")
        app, store = counted(world)
        command = await world.command(await world.component("one"))
        store.calls.clear()

        await deploy(command, world.ctx, app)

        assert store.calls == ["read", "read", "read"]

    run_virtual(main())
