"""An operation whose environment is gone, unreadable or not named can be given up, and ends."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from function_apps.environments.use_cases.abandon_operation import abandon_operation
from shared.persistence.store import Delete, Replace, partition_of
from tests.environments.driven import Environments, environments
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual


async def _damage(world: Environments, identity: str) -> None:
    store, partition = world.app.service.store, partition_of(TENANT, identity)
    document = await store.read(partition, f"environment/{identity}")
    assert document is not None
    damaged = {**document.body, "revision": "many"}
    await store.batch(partition, [Replace(document.id, damaged, document.etag)])


async def _delete(world: Environments, identity: str) -> None:
    partition = partition_of(TENANT, identity)
    await world.app.service.store.batch(partition, [Delete(f"environment/{identity}")])


@pytest.mark.parametrize("lose", [_damage, _delete], ids=["unreadable", "gone"])
def test_an_operation_whose_environment_is_lost_can_be_abandoned(lose: Any) -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        operation = world.bench.starts.started[0][1]
        await lose(world, identity)
        await abandon_operation(await world.operation(operation), world.ctx, world.app)

        assert (await world.operation(operation)).is_terminal

    run_virtual(main())


@pytest.mark.parametrize("lose", [_damage, _delete], ids=["unreadable", "gone"])
def test_an_operation_whose_environment_is_lost_ends_by_itself(lose: Any) -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        started = world.bench.starts.started.pop()
        await lose(world, identity)
        await world.run(*started)

        assert (await world.operation(started[1])).is_terminal

    run_virtual(main())


@pytest.mark.parametrize(
    "argument",
    [{}, {"tenantId": TENANT}, {"aggregateId": 5}, {"aggregateId": "env-aaaaaaaaaaaa"}],
    ids=["empty", "without-aggregate", "no-text", "another-environment"],
)
def test_an_operation_with_a_damaged_input_can_be_abandoned(argument: Mapping[str, Any]) -> None:
    async def main() -> None:
        world = environments()
        await world.request()
        operation = world.bench.starts.started[0][1]
        damaged = replace(await world.operation(operation), input=argument)
        await abandon_operation(damaged, world.ctx, world.app)

        assert (await world.operation(operation)).is_terminal

    run_virtual(main())


def test_a_decommissioning_takes_over_from_an_operation_that_cannot_be_read() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        update = str((await world.update(identity, tags={"a": "b"})).value["operationId"])
        store, partition = world.app.service.store, partition_of(TENANT, update)
        document = await store.read(partition, f"operation/{update}")
        assert document is not None
        damaged = {**document.body, "percent": "many"}
        await store.batch(partition, [Replace(document.id, damaged, document.etag)])
        await world.decommission(identity)

        assert (await world.environment(identity)).status == "Decommissioning"

    run_virtual(main())
