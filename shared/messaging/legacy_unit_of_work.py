"""The write path of services that are not yet in the new shape; goes with the last of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.kernel.cause import Cause
from shared.kernel.context import Context
from shared.kernel.scope import Scope
from shared.messaging import unit_of_work as current
from shared.messaging.outbox import Row
from shared.messaging.unit_of_work import Audited, Put, Remove, UnitOfWork, View
from shared.persistence.store import Partition

__all__ = ["NOTHING", "Audited", "Decision", "Outcome", "Put", "Remove", "UnitOfWork", "View"]


@dataclass(frozen=True)
class Decision:
    result: Mapping[str, Any] = field(default_factory=dict)
    writes: Sequence[Put | Remove] = ()
    outbox: Sequence[Row] = ()
    audited: Audited | None = None


@dataclass(frozen=True)
class Outcome:
    result: Mapping[str, Any]
    is_repeat: bool = False


NOTHING: Final = Decision()


async def write(
    work: UnitOfWork,
    scope: Scope,
    partition: Partition,
    reads: Sequence[str],
    decide: Callable[[View], Decision],
    cause: Cause,
) -> Outcome:
    ctx = Context(scope, cause, work.clock, work.entropy)

    def decide_now(view: View) -> current.Decision[Mapping[str, Any]]:
        old = decide(view)
        return current.Decision(dict(old.result), old.writes, old.outbox, old.audited)

    outcome = await work.commit(ctx, partition, reads, decide_now)
    return Outcome(outcome.value, outcome.is_repeat)
