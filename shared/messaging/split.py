"""Fan-out for services that are not yet in the new shape; goes with the last of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from shared.composition.service import Service
from shared.kernel.cause import Cause
from shared.kernel.context import Context
from shared.kernel.ids import EnvironmentKey
from shared.kernel.scope import Scope
from shared.messaging.fan_out import PAGE_MAX, fan_out
from shared.messaging.legacy_unit_of_work import Outcome
from shared.messaging.unit_of_work import Put, View
from shared.persistence.store import Partition

__all__ = ["NOTHING_BESIDE", "PAGE_MAX", "Beside", "split"]


@dataclass(frozen=True)
class Beside:
    reads: Sequence[str]
    writes: Callable[[View], Sequence[Put]]


NOTHING_BESIDE: Final = Beside((), lambda _view: ())


async def split(
    units: Sequence[tuple[str, BaseModel]],
    *,
    key: EnvironmentKey,
    project: str | None,
    scope: Scope,
    cause: Cause,
    service: Service,
    beside: Beside = NOTHING_BESIDE,
) -> Outcome:
    ctx = Context(scope, cause, service.clock, service.entropy)
    done = await fan_out(
        units, Partition(scope.tenant, key), ctx, service.work,
        project=project, reads=beside.reads, writes=beside.writes,
    )  # fmt: skip
    return Outcome(done.value, done.is_repeat)
