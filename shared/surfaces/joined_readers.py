"""Several surfaces read as one: a component of an environment may be on any of them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.observed_state import Inventory, LiveComponent, LiveProof, Unread
from shared.surfaces.port import ComponentReader
from shared.surfaces.properties import Properties
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import TrafficSample

T = TypeVar("T")
_log = logging.getLogger(__name__)


class JoinedReaders:
    """What is on one of *readers* is Present; Absent is what none of them has."""

    def __init__(self, readers: Sequence[ComponentReader]) -> None:
        self._readers = readers

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        return await self._first(lambda reader: reader.observe(component))

    async def prove(
        self, component: SurfaceComponent, revision: int | None = None
    ) -> Reading[tuple[LiveProof, ...]]:
        return await self._first(lambda reader: reader.prove(component, revision))

    async def traffic(self, component: SurfaceComponent) -> Reading[TrafficSample]:
        return await self._first(lambda reader: reader.traffic(component))

    async def properties(self, component: SurfaceComponent) -> Reading[Mapping[int, Properties]]:
        return await self._first(lambda reader: reader.properties(component))

    async def logs(
        self, component: SurfaceComponent, instance: str, tail: int
    ) -> Reading[tuple[str, ...]]:
        return await self._first(lambda reader: reader.logs(component, instance, tail))

    async def kept_outputs(
        self, component: SurfaceComponent, revision: int
    ) -> Reading[tuple[str, ...]]:
        return await self._first(lambda reader: reader.kept_outputs(component, revision))

    async def inventory(self, environment: EnvironmentId) -> Reading[Inventory]:
        """Return what all of them have; one that is Unknown is a part that was not read."""
        readings = await self._all(lambda reader: reader.inventory(environment))
        found = [reading.value for reading in readings if isinstance(reading, Present)]
        unread = [Unread(reading.reason) for reading in readings if isinstance(reading, Unknown)]
        if not found:
            return Unknown(unread[0].reason) if unread else Absent()
        components = (each for inventory in found for each in inventory.components)
        parts = (part for inventory in found for part in inventory.unread)
        return Present(Inventory(tuple(components), (*parts, *unread)))

    async def _first(
        self, read: Callable[[ComponentReader], Coroutine[Any, Any, Reading[T]]]
    ) -> Reading[T]:
        """Return what one of them has, as soon as that is known: another may be away."""
        asked = [asyncio.ensure_future(_read(reader, read)) for reader in self._readers]
        readings: list[Reading[T]] = []
        try:
            for answered in asyncio.as_completed(asked):
                readings.append(await answered)
                if isinstance(readings[-1], Present):
                    return readings[-1]
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return min(readings, key=_rank, default=Absent())

    async def _all(
        self, read: Callable[[ComponentReader], Coroutine[Any, Any, Reading[T]]]
    ) -> list[Reading[T]]:
        return await asyncio.gather(*(_read(reader, read) for reader in self._readers))


async def _read(
    reader: ComponentReader, read: Callable[[ComponentReader], Coroutine[Any, Any, Reading[T]]]
) -> Reading[T]:
    """Return what *reader* says; a defect of one keeps nobody from what the others have."""
    try:
        return await read(reader)
    except Exception as defect:  # noqa: BLE001  of one surface, not of the others
        _log.exception("a surface cannot be read")
        return Unknown(f"a surface cannot be read: {type(defect).__name__}")


def _rank(reading: Reading[T]) -> int:
    """Return the place of *reading* where none is Present: what is Unknown may be there."""
    return 0 if isinstance(reading, Unknown) else 1


def joined(readers: Sequence[ComponentReader]) -> ComponentReader:
    """Return *readers* as one."""
    return readers[0] if len(readers) == 1 else JoinedReaders(readers)
