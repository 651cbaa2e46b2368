"""A store whose first batches lose against another writer, so that decisions are made again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from shared.composition.service import Service
from shared.persistence.store import BatchOperation, BatchRefused, Etag, Partition, Store


@dataclass
class LosingStore:
    inner: Store
    losses: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        if self.losses > 0:
            self.losses -= 1
            raise BatchRefused(412, 0, "another writer's")
        return await self.inner.batch(partition, operations)


def losing(service: Service, losses: int = 3) -> Service:
    """Return *service*, whose first decisions are refused *losses* times."""
    store = cast("Store", LosingStore(service.store, losses))  # the rest by `__getattr__`
    return replace(service, work=replace(service.work, store=store))
