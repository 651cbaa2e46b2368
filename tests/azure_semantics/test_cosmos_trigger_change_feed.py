"""What a Cosmos DB trigger shows. Sources: the protocol page, section 2 "Cosmos DB", and named."""

from collections import deque
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_cloud.cosmos_containers import CosmosContainers
from local_cloud.sqlite.database import MEMORY, Database
from local_cloud.storage import LocalStorage
from local_host.apps.configuration import Configuration
from local_host.cosmos_db.host_leases import HostLease, HostLeases
from local_host.cosmos_db.leases import LeaseLost
from local_host.cosmos_db.settings import FeedSettings
from local_host.cosmos_db.trigger import cosmos_db
from local_host.model import RetryPolicy
from shared.kernel.errors import Unavailable
from shared.persistence.cosmos_form import document_of
from shared.persistence.store import Delete, Upsert
from tests.kit.change_feeds import PARTITION, Handler, World, follows
from tests.kit.service_bus import until
from tests.kit.virtual_time import LoopClock, run_virtual


def test_a_write_is_shown_with_its_key_and_system_fields() -> None:
    async def main() -> None:
        world, handler = World(), Handler()

        async with world.following(follows(handler)):
            await world.write("deployments/one", weight=7)
            await until(lambda: bool(handler.ids))

        (document,) = handler.documents
        assert document["tenantId"] == "tenant"
        assert document["environmentKey"] == "environment"
        assert document["unit"] == "-"
        assert {"_etag", "_ts"} <= set(document)
        stored = await world.store.read(PARTITION, "deployments/one")
        assert document_of(document.to_dict()) == stored

    run_virtual(main())


def test_a_new_trigger_begins_now_and_start_from_beginning_at_the_start() -> None:
    """`startFromBeginning` is false unless given, and counts only while there is no lease."""

    async def main() -> None:
        world, late, early = World(), Handler(), Handler()
        await world.write("before")

        async with world.following(follows(late, leaseContainerPrefix="late")):
            await world.write("after")
            await until(lambda: late.ids == ["after"])
        async with world.following(
            follows(early, leaseContainerPrefix="early", startFromBeginning=True)
        ):
            await until(lambda: len(early.ids) == 2)

        assert early.ids == ["before", "after"]

    run_virtual(main())


class ShakyLeases(HostLeases):
    """Leases whose first takes fail as a test says."""

    def __init__(self, database: Database, *failures: Exception) -> None:
        super().__init__(database)
        self._failures = deque(failures)

    async def take(self, feed: FeedSettings, feed_range: str) -> HostLease:
        if self._failures:
            raise self._failures.popleft()
        return await super().take(feed, feed_range)


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([RuntimeError("a status that nobody knows")], id="defect-at-the-start"),
        pytest.param(
            [Unavailable("away", retry_after_s=60), RuntimeError("a defect")],
            id="outage-and-defect",
        ),
    ],
)
def test_a_feed_is_followed_whatever_failed_before(
    failures: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        world, handler = World(failures=deque(failures)), Handler()
        leases = ShakyLeases(world.host, LeaseLost("taken"), RuntimeError("another defect"))

        async with world.following(follows(handler, startFromBeginning=True), leases=leases):
            await LoopClock().sleep(120)
            await world.write("after")
            await until(lambda: handler.ids == ["after"])

    run_virtual(main())
    for failure in failures:
        assert str(failure) in caplog.text


def test_a_failed_batch_is_not_shown_again() -> None:
    """azure-webjobs-sdk-extensions#412 and #837: the continuation moves on whatever happened."""

    async def main() -> None:
        world, handler = World(), Handler(failures=1)

        async with world.following(follows(handler)):
            await world.write("first")
            await until(lambda: handler.ids == ["first"])
            await world.write("second")
            await until(lambda: handler.ids == ["first", "second"])
            await LoopClock().sleep(60)

        assert handler.ids == ["first", "second"]

    run_virtual(main())


def test_under_a_retry_policy_a_failed_batch_is_shown_until_it_succeeds() -> None:
    """https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages."""

    async def main() -> None:
        world, handler = World(), Handler(failures=2)
        policy = RetryPolicy("fixed_delay", -1, timedelta(seconds=5), timedelta(0))

        async with world.following(follows(handler, retry=policy)):
            await world.write("first")
            await until(lambda: len(handler.ids) == 3)
            await world.write("second")
            await until(lambda: len(handler.ids) == 4)

        assert handler.ids == ["first", "first", "first", "second"]

    run_virtual(main())


def test_a_batch_cut_off_by_the_end_of_the_host_is_shown_again() -> None:
    """At least once: the place moves after the function has ended, never before."""

    async def main() -> None:
        world, handler = World(), Handler(failures=1)
        policy = RetryPolicy("fixed_delay", -1, timedelta(hours=1), timedelta(0))

        async with world.following(follows(handler, retry=policy), grace_s=1):
            await world.write("first")
            await until(lambda: handler.ids == ["first"])
        async with world.following(follows(handler, retry=policy)):
            await until(lambda: handler.ids == ["first", "first"])

    run_virtual(main())


def test_what_was_written_while_no_host_ran_is_shown_to_the_next() -> None:
    async def main() -> None:
        world, first, second = World(), Handler(), Handler()

        async with world.following(follows(first)):
            await world.write("shown")
            await until(lambda: first.ids == ["shown"])
        await world.write("while away")
        async with world.following(follows(second, name="renamed")):
            await until(lambda: bool(second.ids))

        assert second.ids == ["while away"]

    run_virtual(main())


def test_only_the_latest_version_is_shown_and_no_delete() -> None:
    """Latest version mode of the change feed: intermediate versions and deletes are not in it."""

    async def main() -> None:
        world, handler = World(), Handler()
        await world.write("twice", version=1)
        await world.write("twice", version=2)
        await world.write("gone")
        await world.store.batch(PARTITION, [Delete("gone")])

        async with world.following(follows(handler, startFromBeginning=True)):
            await until(lambda: bool(handler.ids))
            await LoopClock().sleep(60)

        assert handler.ids == ["twice"]
        assert handler.documents[0]["body"] == {"version": 2}

    run_virtual(main())


def test_one_invocation_gets_no_more_items_than_the_binding_says() -> None:
    """`maxItemsPerInvocation`."""

    async def main() -> None:
        world, handler = World(), Handler()
        await world.write("a", "b", "c", "d", "e")

        async with world.following(
            follows(handler, startFromBeginning=True, maxItemsPerInvocation=2)
        ):
            await until(lambda: len(handler.ids) == 5)

        assert handler.shown == [["a", "b"], ["c", "d"], ["e"]]

    run_virtual(main())


def test_a_store_that_cannot_tell_is_asked_again_after_the_poll_delay() -> None:
    """`feedPollDelay`, 5 s unless given. Another process's writes are found this way."""

    async def main() -> None:
        world, handler = World(), Handler()
        elsewhere = World(things=world.things)
        clock = LoopClock()

        async with world.following(follows(handler)):
            await clock.sleep(1)
            await elsewhere.write("from elsewhere")
            await until(lambda: bool(handler.ids))

        assert clock.monotonic_s() == pytest.approx(5, abs=0.1)

    run_virtual(main())


def test_a_write_in_this_process_is_shown_without_waiting_for_the_poll() -> None:
    async def main() -> None:
        world, handler = World(), Handler()
        clock = LoopClock()

        async with world.following(follows(handler)):
            begun = clock.monotonic_s()
            await world.store.batch(PARTITION, [Upsert("here", {})])
            await until(lambda: bool(handler.ids))
            assert clock.monotonic_s() - begun < 0.1

    run_virtual(main())


@pytest.mark.parametrize(
    ("second", "refused"),
    [
        pytest.param({}, "give each its own lease_container_prefix", id="shared-leases"),
        pytest.param(
            {"leaseContainerPrefix": "b", "startFromTime": "2026-01-01T00:00:00Z"},
            "start_from_beginning",
            id="start-from-time",
        ),
        pytest.param({"leaseContainerPrefix": "b"}, None, id="own-leases"),
    ],
)
def test_a_trigger_that_could_not_work_is_refused_by_name(
    second: dict[str, str], refused: str | None
) -> None:
    clock = LoopClock()
    storage = LocalStorage(Path("/nowhere"), clock, in_memory=True)
    context = SimpleNamespace(
        database=lambda: Database(MEMORY),
        cloud=SimpleNamespace(cosmos=CosmosContainers(storage)),
        clock=clock,
        invoker=None,
        configurations={"app": Configuration("app", {}, {})},
        grace_s=1,
    )
    functions = [follows(Handler(), name="first"), follows(Handler(), name="second", **second)]

    extension = cosmos_db(context, functions)

    assert set(extension.refusals) == ({"second"} if refused else set())
    assert refused is None or refused in extension.refusals["second"]
