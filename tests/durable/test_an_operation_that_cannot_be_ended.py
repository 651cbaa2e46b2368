"""An operation that nothing can end is tried ever more rarely, and operators are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from shared.durable.operations import OPERATIONS
from shared.kernel.operation import HEARTBEAT_TIMEOUT
from shared.persistence.store import Create, Document, Replace, Store, partition_of
from tests.durable.test_lost_operations_are_started_again import PARTITION, _operation, _recovery
from tests.kit.releases import ENVIRONMENT, deploy, provisioned
from tests.kit.service import bench
from tests.kit.virtual_time import run_virtual
from tests.kit.world import TENANT, World


@dataclass(frozen=True)
class Stuck:
    """An operation on its way, and what its service stored of the aggregate that it holds."""

    service: str
    operation: str
    document: str

    def store(self, world: World) -> Store:
        return world.services[self.service].store

    async def read(self, world: World, document_id: str) -> Document:
        partition = partition_of(TENANT, self.operation)
        document = await self.store(world).read(partition, document_id)
        assert document is not None
        return document

    async def change(self, world: World, **fields: Any) -> Mapping[str, Any]:
        """Change *fields* of the aggregate's document; return what it was."""
        document = await self.read(world, self.document)
        changed = Replace(document.id, {**document.body, **fields}, document.etag)
        await self.store(world).batch(document.partition, [changed])
        return {name: document.body[name] for name in fields}

    async def abandoned(self, world: World) -> tuple[int, Any]:
        path = f"/v1/platform/{self.service}/operations/{self.operation}/abandon"
        return await world.call("POST", path)

    async def health(self, world: World) -> Mapping[str, Any]:
        _, body = await world.call("GET", f"/v1/platform/{self.service}/health")
        return dict(body["entries"])


async def _environment(world: World) -> Stuck:
    _, shown = await world.call("POST", "/runtime/environments", ENVIRONMENT)
    identity, operation = shown["environmentId"], shown["lastOperationId"]
    return Stuck("environments", operation, f"environment/{identity}")


async def _deployment(world: World) -> Stuck:
    identity = await deploy(world, await provisioned(world), "1")
    _, shown = await world.call("GET", f"/runtime/deployments/{identity}")
    return Stuck("deployments", shown["operation"]["operationId"], identity)


UNSAYABLE: Final = "\u0000"
"""Text that is read back, and that no event may carry."""
BEGUN: Final[Mapping[str, tuple[Callable[[World], Any], str]]] = {
    "environments": (_environment, "region"),
    "deployments": (_deployment, "release_ref"),
}


@pytest.mark.long
@pytest.mark.parametrize(("begin", "field"), BEGUN.values(), ids=BEGUN.keys())
def test_it_is_postponed_shown_in_health_and_ends_once_its_document_is_repaired(
    begin: Callable[[World], Any], field: str
) -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            stuck: Stuck = await begin(world)
            whole = await stuck.change(world, **{field: UNSAYABLE})
            attempts, healths = 0, []
            for _ in range(60):
                await world.clock.sleep(30)
                kept = await stuck.read(world, OPERATIONS.document_id(stuck.operation))
                attempts = kept.body["attempts"]
                healths.append("end_operations" in await stuck.health(world))
            status, refused = await stuck.abandoned(world)
            await stuck.change(world, **whole)
            await world.clock.sleep(600)
            ended = await stuck.read(world, OPERATIONS.document_id(stuck.operation))
            health = await stuck.health(world)
        finally:
            await world.stop()

        assert 4 <= attempts <= 10
        assert all(healths[10:])
        assert (status, refused["error"]["code"]) == (409, "AbandonNotPossible")
        assert stuck.operation in refused["error"]["message"]
        assert OPERATIONS.decode(ended.body).is_terminal
        assert set(health) == {"store"}

    run_virtual(main())


def test_once_its_document_is_repaired_it_can_be_abandoned_and_health_is_well_at_once() -> None:
    async def main() -> None:
        world = World()
        await world.boot()
        try:
            stuck = await _environment(world)
            whole = await stuck.change(world, region=UNSAYABLE)
            await world.clock.sleep(300)
            before = await stuck.health(world)
            await stuck.change(world, **whole)
            status, operation = await stuck.abandoned(world)
            after = await stuck.health(world)
        finally:
            await world.stop()

        assert (status, operation["status"]) == (200, "Failed")
        assert (set(before), set(after)) == ({"store", "end_operations"}, {"store"})

    run_virtual(main())


def test_one_without_its_input_is_never_started_and_shown_in_health() -> None:
    async def main() -> None:
        at = bench("environments")
        operation = _operation(at)
        body = {**OPERATIONS.encode(operation), "input": {"tenantId": "acme"}}
        kept = Create(OPERATIONS.document_id(operation.operation_id), body)
        await at.service.store.batch(PARTITION, [kept])
        recovery = _recovery(at, at.starts)
        await at.service.clock.sleep(HEARTBEAT_TIMEOUT.total_seconds())
        await recovery.sweep()

        assert at.starts.started == []
        assert at.service.sweeps.failures(at.service.clock.now()) == {"recover_operations": 1}

    run_virtual(main())
