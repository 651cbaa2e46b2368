"""A long poll answers soon after a change, and reads few times while there is none."""

from dataclasses import dataclass, replace
from typing import Any

import shared.kernel.operation as operations
from shared.durable.operations import OPERATIONS
from shared.kernel.operation import Operation
from shared.persistence.store import Create, Document, Partition, Store
from shared.web.administration import Administration
from shared.web.operation_routes import get_operation
from shared.web.request import Answer, Request
from tests.kit.service import TENANT, Bench, bench
from tests.kit.virtual_time import run_virtual

KEY = "abcdefghijkl"
HOME = Partition(TENANT, KEY)
OPERATION_ID = f"op-environments-{KEY}-0000000000000001"


@dataclass
class CountedStore:
    inner: Store
    reads: int = 0

    async def read(self, partition: Partition, document_id: str) -> Document | None:
        self.reads += 1
        return await self.inner.read(partition, document_id)


def _operation(at: Bench) -> Operation:
    now = at.service.clock.now()
    return operations.accept(OPERATION_ID, "Do", "/v1/things/1", "user:ann", "things_do", {}, now)


async def _poll(at: Bench, store: Any) -> Answer:
    app: Any = Administration(replace(at.service, store=store), None, None, {})  # type: ignore[arg-type]
    path = {"operationId": OPERATION_ID}
    return await get_operation(Request(None, at.ctx(), path=path, query={"wait": "25"}), app)


def test_25_seconds_without_a_change_are_few_reads() -> None:
    async def main() -> None:
        at = bench("environments")
        put = OPERATIONS.put(_operation(at))
        await at.service.store.batch(HOME, [Create(put.id, put.body)])
        store = CountedStore(at.service.store)
        answer = await _poll(at, store)

        assert answer.status == 200
        assert store.reads <= 20
        assert 24.9 <= at.service.clock.monotonic_s() <= 25.1

    run_virtual(main())
