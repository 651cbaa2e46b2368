"""Three deployments of one module are served one after the other, in the order they were asked."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from function_apps.deployments.errors import QueueTaken
from function_apps.deployments.use_cases import queries
from shared.contracts.deployments import Deployment
from shared.persistence.store import Upsert, partition_of
from tests.deployments.driven import CART, SHOP, TEST, Driven, driven
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual


async def listed(world: Driven) -> Sequence[Deployment]:
    documents = await world.rows("deployment")
    return await queries.list_resources(documents, world.ctx, world.app, module=None)


def test_a_queue_of_three_is_served_in_order_one_at_a_time() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("zero")

        answers = [await world.deploy(await world.component(name)) for name in ("a", "b", "c")]
        shown = [await world.shown(each["deploymentId"]) for each in answers]
        await world.settle()

        assert [(each.waiting_for, each.holder) for each in shown[1:]] == [
            ("queue", answers[0]["deploymentId"]),
            ("queue", answers[0]["deploymentId"]),
        ]
        done = [await world.deployment(each["deploymentId"]) for each in answers]
        assert [each.status for each in done] == ["Completed"] * 3
        for earlier, later in pairwise(done):
            assert earlier.ended_at is not None
            assert later.opened_at is not None
            assert earlier.ended_at <= later.opened_at
        assert world.live() == ({4: 1}, {4: 100})

    run_virtual(main())


def test_the_one_behind_starts_also_when_the_one_before_it_is_turned_back() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        await world.release("zero")
        world.health.bad.add(await world.upload("a"))

        first = await world.deploy(await world.component("a"))
        second = await world.deploy(await world.component("b"))
        await world.settle()

        assert await world.status(first["deploymentId"]) == "RolledBack"
        done = await world.deployment(second["deploymentId"])
        assert done.status == "Completed"
        assert done.before(SHOP) is not None
        assert done.before(SHOP).release_revision == 1  # type: ignore[union-attr]

    run_virtual(main())


def test_other_modules_do_not_wait() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()

        await world.deploy(await world.component("a"))
        other = await world.deploy(await world.component("b", CART))

        assert other["waitingFor"] is None

    run_virtual(main())


def test_reject_answers_with_the_holder_and_leaves_nothing() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await world.deploy(await world.component("a"))

        with pytest.raises(QueueTaken) as refused:
            await world.deploy(await world.component("b"), onConflict="reject")

        assert refused.value.holder == first["deploymentId"]
        assert len((await world.target()).queue) == 1

    run_virtual(main())


def test_a_list_shows_who_waits_in_the_queue_and_for_whom() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        first = await world.deploy(await world.component("a"))
        second = await world.deploy(await world.component("b"))

        value = await listed(world)

        shown = {each.deployment_id: each for each in value}
        waiting = shown[second["deploymentId"]]
        assert (waiting.waiting_for, waiting.holder) == ("queue", first["deploymentId"])
        assert shown[first["deploymentId"]].waiting_for is None

    run_virtual(main())


def test_a_list_shows_who_waits_for_an_environment() -> None:
    async def main() -> None:
        world = driven()
        await world.deploy(await world.component("a"))

        value = await listed(world)

        assert [each.waiting_for for each in value] == ["environment"]

    run_virtual(main())


def test_a_list_leaves_out_a_document_that_cannot_be_read() -> None:
    async def main() -> None:
        world = driven()
        await world.tell()
        answer = await world.deploy(await world.component("a"))
        later = Upsert("dep-later", {"type": "deployment", "schema": 99})
        partition = partition_of(TENANT, TEST)
        await world.app.service.store.batch(partition, [later])

        assert [each.deployment_id for each in await listed(world)] == [answer["deploymentId"]]

    run_virtual(main())
