"""Whatever a connection to Cosmos DB does, a caller learns if a batch may have taken effect."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from shared.kernel.errors import Unavailable
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.store import AnswerLost, Create, Partition, Store
from tests.kit.cosmos import KEY, wired
from tests.kit.cut_proxy import Answer, CutAfter, CutProxy, Stall
from tests.kit.stores import HandClock

pytestmark = pytest.mark.real
HERE = Partition("tenant-a", "k1")
BATCH, QUERY = b"x-ms-cosmos-is-batch-request", b"x-ms-documentdb-isquery"


@dataclass(frozen=True)
class Wire:
    proxy: CutProxy
    through: Store
    direct: Store


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with wired(HandClock()) as served:
        port = urlsplit(served.endpoint.url).port
        assert port is not None
        async with CutProxy(port) as proxy:
            account = CosmosAccount(f"http://127.0.0.1:{proxy.port}/", key=KEY, within_s=1.5)
            store = CosmosStore(account, "runtime", "deployments")
            assert await store.read(HERE, "none") is None
            yield Wire(proxy, store, served.store())
            await account.close()


async def test_a_batch_whose_answer_breaks_off_may_have_taken_effect(wire: Wire) -> None:
    wire.proxy.will(CutAfter(BATCH, 600))

    with pytest.raises(AnswerLost):
        await wire.through.batch(HERE, [Create(f"a{n}", {}) for n in range(40)])

    assert await wire.direct.read(HERE, "a39") is not None


async def test_a_batch_whose_answer_is_lost_is_not_sent_again_by_the_sdk(wire: Wire) -> None:
    wire.proxy.will(CutAfter(BATCH))

    with pytest.raises(AnswerLost):
        await wire.through.batch(HERE, [Create("a", {})])

    assert await wire.direct.read(HERE, "a") is not None
    assert sum(BATCH in head for head in wire.proxy.heads) == 1


async def test_of_a_query_whose_answer_breaks_off_nothing_is_believed(wire: Wire) -> None:
    await wire.direct.batch(HERE, [Create("a", {"text": "x" * 1000})])
    wire.proxy.will(*[CutAfter(QUERY, 600)] * 4)

    with pytest.raises(Unavailable) as caught:
        await wire.through.read_many(HERE, ["a"])

    assert not isinstance(caught.value, AnswerLost)


async def test_a_token_that_ends_on_the_way_is_no_defect(wire: Wire) -> None:
    wire.proxy.will(Answer(QUERY, 401), Answer(BATCH, 401))

    with pytest.raises(Unavailable):
        await wire.through.read_many(HERE, ["a"])
    with pytest.raises(Unavailable) as caught:
        await wire.through.batch(HERE, [Create("a", {})])

    assert not isinstance(caught.value, AnswerLost)
    assert await wire.direct.read(HERE, "a") is None


@pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")
async def test_an_answer_that_stops_is_none(wire: Wire) -> None:
    wire.proxy.will(Stall(BATCH, 20), *[Stall(QUERY, 20)] * 3)

    with pytest.raises(AnswerLost):
        await wire.through.batch(HERE, [Create("a", {})])
    with pytest.raises(Unavailable):
        await wire.through.read_many(HERE, ["a"])

    assert await wire.direct.read(HERE, "a") is not None
