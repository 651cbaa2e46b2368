"""Triggers on a Cosmos DB account, which the official SDK reaches over a real connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import azure.functions as func
import pytest

from local_host.cosmos_db.account_leases import (
    HELD_BESIDE_OTHERS_S,
    HELD_FOR_S,
    AccountLeases,
)
from local_host.cosmos_db.leases import LeaseLost
from local_host.cosmos_db.settings import FeedSettings
from local_host.host import Host
from shared.kernel.errors import Unavailable
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.store import Partition, Upsert
from tests.kit.cosmos import KEY, Wire, wired
from tests.kit.cut_proxy import CutAfter, CutProxy
from tests.kit.hosting import embedded, hosting, new_app, refusals
from tests.kit.patience import PATIENCE_S
from tests.kit.real_system import free_port
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.stores import HandClock
from tests.kit.virtual_time import LoopClock

pytestmark = pytest.mark.real
FEED = FeedSettings(
    "runtime", "deployments", "runtime", "deployments-leases", "a", 0.05, 100, from_beginning=True
)
TRIGGER = {
    "arg_name": "documents",
    "connection": "DB",
    "database_name": "runtime",
    "container_name": "deployments",
    "lease_container_name": "deployments-leases",
    "start_from_beginning": True,
    "feed_poll_delay": 50,
}


@asynccontextmanager
async def an_account() -> AsyncIterator[Wire]:
    """Serve `runtime/deployments` and its lease container."""
    async with wired(LoopClock()) as wire:
        await wire.account.create_leases("runtime", "deployments-leases")
        yield wire


class HungClock(HandClock):
    """The clock of a host that hangs: whoever sleeps there wakes no more."""

    async def sleep(self, delay_s: float) -> None:
        await asyncio.Event().wait()


def following(wire: Wire, seen: list[str], seed: int = 1) -> AbstractAsyncContextManager[Host]:
    """Run a host of an app that notes the ids of what changed in the account."""
    app = new_app()

    @app.cosmos_db_trigger(**TRIGGER)
    async def on_change(documents: func.DocumentList) -> None:
        seen.extend(document["id"] for document in documents)

    connection = f"AccountEndpoint={wire.endpoint.url};AccountKey={KEY}"
    return hosting(embedded(app, values={"DB": connection}), seed=seed)


async def write(wire: Wire, *ids: str) -> None:
    for document_id in ids:
        # Partitions lie in both feed ranges.
        await wire.store().batch(Partition("tenant", document_id), [Upsert(document_id, {})])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await LoopClock().sleep(0.02)


async def test_what_is_written_to_an_account_is_shown_once() -> None:
    async with an_account() as wire:
        seen: list[str] = []
        async with following(wire, seen):
            await write(wire, *(str(number) for number in range(20)))
            await until(lambda: len(seen) >= 20)

        assert sorted(seen) == sorted(str(number) for number in range(20))


async def test_two_hosts_of_one_trigger_share_the_changes() -> None:
    async with an_account() as wire:
        first, second = [], []
        async with following(wire, first, 1), following(wire, second, 2):
            await write(wire, *(str(number) for number in range(20)))
            await until(lambda: len(first) + len(second) >= 20)

        assert sorted(first + second) == sorted(str(number) for number in range(20))


async def test_the_next_host_goes_on_where_the_last_one_stopped() -> None:
    async with an_account() as wire:
        first: list[str] = []
        second: list[str] = []
        async with following(wire, first):
            await write(wire, "a", "b")
            await until(lambda: len(first) == 2)
        async with following(wire, second):
            await write(wire, "c")
            await until(lambda: bool(second))

        assert second == ["c"]


@pytest.mark.parametrize(
    "held_for_s",
    [
        pytest.param(HELD_FOR_S, id="of-a-host-alone"),
        pytest.param(HELD_BESIDE_OTHERS_S, id="of-one-beside-others"),
    ],
)
async def test_a_lease_that_is_renewed_no_more_is_taken_with_its_continuation(
    held_for_s: float,
) -> None:
    clock = HungClock()
    async with an_account() as wire:
        held = AccountLeases(wire.account, clock, SeededEntropy(1), held_for_s=held_for_s)
        dead = await held.take(FEED, "0")
        assert dead is not None
        await dead.move("somewhere")
        # How long it is held is for its holder to say.
        others = AccountLeases(wire.account, clock, SeededEntropy(2), held_for_s=1.0)

        clock.pass_by(held_for_s - 1)
        assert await others.take(FEED, "0") is None
        clock.pass_by(1)
        taken = await others.take(FEED, "0")

        assert taken is not None
        assert taken.continuation == "somewhere"
        with pytest.raises(LeaseLost):
            await dead.move("elsewhere")
        assert dead.is_lost
        await dead.release()
        await taken.release()


async def test_a_host_whose_clock_was_ahead_keeps_others_away_for_a_minute_at_most() -> None:
    clock, ahead = HungClock(), HungClock()
    ahead.pass_by(3600)
    async with wired(clock) as wire:
        await wire.account.create_leases("runtime", "deployments-leases")
        assert await AccountLeases(wire.account, ahead, SeededEntropy(1)).take(FEED, "0")
        others = AccountLeases(wire.account, clock, SeededEntropy(2))

        clock.pass_by(HELD_FOR_S - 1)
        assert await others.take(FEED, "0") is None
        clock.pass_by(2)
        taken = await others.take(FEED, "0")

        assert taken is not None
        await taken.release()


async def test_a_lease_whose_renewal_lost_its_answer_is_not_taken_for_another_host_s() -> None:
    async with an_account() as wire, CutProxy(urlsplit(wire.endpoint.url).port or 0) as proxy:
        account = CosmosAccount(f"http://127.0.0.1:{proxy.port}/", key=KEY)
        lease = await AccountLeases(account, HungClock(), SeededEntropy(1)).take(FEED, "0")
        assert lease is not None
        proxy.will(CutAfter(b"PUT "))
        with pytest.raises(Unavailable):
            await lease.move("somewhere")

        await lease.move("elsewhere")

        assert (lease.is_lost, lease.continuation) == (False, "elsewhere")
        assert sum(head.startswith(b"PUT ") for head in proxy.heads) == 3
        await lease.release()
        await account.close()


async def test_a_released_lease_is_taken_at_once() -> None:
    async with an_account() as wire:
        first = await AccountLeases(wire.account, HungClock(), SeededEntropy(1)).take(FEED, "0")
        assert first is not None
        await first.release()

        second = await AccountLeases(wire.account, HungClock(), SeededEntropy(2)).take(FEED, "0")
        assert second is not None
        await second.release()


async def test_a_missing_lease_container_is_named() -> None:
    async with wired(LoopClock()) as wire:
        leases = AccountLeases(wire.account, HungClock(), SeededEntropy(1))

        with pytest.raises(Unavailable, match="deployments-leases does not exist: create it"):
            await leases.take(FEED, "0")


async def test_a_missing_lease_container_is_made_where_the_trigger_says_so() -> None:
    async with wired(LoopClock()) as wire:
        leases = AccountLeases(wire.account, HungClock(), SeededEntropy(1))

        lease = await leases.take(replace(FEED, creates_leases=True), "0")

        assert lease is not None
        await lease.move("somewhere")
        await lease.release()


async def test_an_account_that_is_away_at_the_start_is_waited_for_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = new_app()

    @app.cosmos_db_trigger(**TRIGGER)
    async def on_change(documents: func.DocumentList) -> None: ...

    where = f"http://127.0.0.1:{free_port()}/"
    async with hosting(embedded(app, values={"DB": f"AccountEndpoint={where};AccountKey={KEY}"})):
        told = f"on_change waits for Cosmos DB at {where.rstrip('/')} (DB): Cosmos DB cannot be"
        await until(lambda: told in caplog.text)
        await LoopClock().sleep(0.5)

    lines = [record for record in caplog.records if "on_change" in record.getMessage()]
    assert [(record.levelname, record.exc_info) for record in lines] == [("WARNING", None)]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"DB": "AccountEndpoint=http://127.0.0.1:1"}, "has no 'AccountKey'"),
        ({"DB__clientId": "x"}, "has no DB__accountEndpoint"),
    ],
)
async def test_a_connection_that_cannot_be_used_is_refused(
    values: dict[str, str], named: str, tmp_path: Path
) -> None:
    app = new_app()

    @app.cosmos_db_trigger(**TRIGGER)
    async def on_change(documents: func.DocumentList) -> None: ...

    async with hosting(embedded(app, values=values)) as host:
        assert named in refusals(host)["on_change"]


async def test_an_output_to_an_account_is_refused() -> None:
    app = new_app()

    @app.route("write")
    @app.cosmos_db_output(
        arg_name="out", connection="DB", database_name="runtime", container_name="deployments"
    )
    async def write_one(req: func.HttpRequest, out: func.Out[func.Document]) -> str:
        return ""

    values = {"DB": "AccountEndpoint=http://127.0.0.1:1;AccountKey=a2V5"}
    async with hosting(embedded(app, values=values)) as host:
        assert "call azure-cosmos in the function" in refusals(host)["write_one"]
