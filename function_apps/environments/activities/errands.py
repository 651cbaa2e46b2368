"""What activities are given and answer, and how one of them changes an environment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import shared.kernel.operation as operations
from function_apps.environments.model import documents
from function_apps.environments.model.environment import RuntimeEnvironment, evolve
from function_apps.environments.model.states import (
    EnvironmentEvent,
)
from function_apps.environments.ports import EnvironmentsApp
from function_apps.environments.use_cases.dossier import Errand, announce, stored
from shared.contracts.values import Reason
from shared.durable.progress import Recorded, record, stored_operation
from shared.durable.steps import Step
from shared.infrastructure.port import Run
from shared.infrastructure.port import Step as RunStep
from shared.kernel.operation import Operation
from shared.messaging.unit_of_work import Audited, Decision, Put, View


@dataclass(frozen=True)
class ApprovedPlan:
    """What is to be applied, by the hash of its plan."""

    errand: Errand
    plan_hash: str


@dataclass(frozen=True)
class Piece:
    """One resource step of a run, and its place in it."""

    errand: Errand
    step: RunStep
    position: int
    total: int


@dataclass(frozen=True)
class Ending:
    """The end of a run that went well."""

    errand: Errand
    run_id: str


@dataclass(frozen=True)
class Failure:
    """Why a run ended early."""

    errand: Errand
    code: str
    message: str


@dataclass(frozen=True)
class Begun:
    """`goes_on` is False when the operation had ended, so that nothing is to be done."""

    goes_on: bool


@dataclass(frozen=True)
class PlannedRun:
    """The steps that are still to do."""

    run_id: str
    steps: Sequence[RunStep]


@dataclass(frozen=True)
class PieceDone:
    """`cancelled`: someone asked for the operation to stop; `left` names what a destroy left."""

    cancelled: bool
    left: str | None = None


Change = tuple[Sequence[EnvironmentEvent], Operation]
"""What a step decides: events of the environment in their order, and the operation after them."""


async def load(
    errand: Errand, step: Step, app: EnvironmentsApp
) -> tuple[RuntimeEnvironment, Operation]:
    """Return the environment and this step's operation as they are stored."""
    view = await app.service.work.read(
        errand.partition,
        documents.document_id(errand.environment_id),
        operations.document_id(step.operation_id),
    )
    return stored(view, errand.environment_id), stored_operation(view, step.operation_id)


async def change(
    errand: Errand,
    step: Step,
    app: EnvironmentsApp,
    decide: Callable[[RuntimeEnvironment, Operation], Change],
    *,
    key: str | None = None,
) -> RuntimeEnvironment:
    """Commit the events and the operation that *decide* gives, once; return the environment.

    *key* says which piece of work it is where an activity runs more than once in an operation.
    """
    cause = errand.cause(step)
    document_id = documents.document_id(errand.environment_id)
    latest: RuntimeEnvironment | None = None

    def decide_on(view: View, operation: Operation) -> Recorded:
        nonlocal latest
        before = stored(view, errand.environment_id)
        events, operation_after = decide(before, operation)
        latest = before
        for event in events:
            latest = evolve(latest, event, app.service.clock.now())
        if not events:
            return Recorded(Decision(), operation_after)
        decision = Decision(
            writes=[Put(document_id, documents.to_body(latest))],
            outbox=announce(latest, cause, app),
            audited=Audited(type(events[-1]).__name__, latest.environment_id, latest.status),
        )
        return Recorded(decision, operation_after)

    await record(
        app.service.work,
        step,
        decide_on,
        scope=errand.scope,
        partition=errand.partition,
        reads=[document_id],
        cause=cause,
        key=key,
    )
    return latest or (await load(errand, step, app))[0]


REASON_MAX: Final = 500
"""A reason is a sentence for people; the log has the rest."""


def reason_of(code: str, message: str) -> Reason:
    """Return the reason that a failed environment shows."""
    return Reason(code=code, message=message[:REASON_MAX])


def planned(run: Run) -> PlannedRun:
    """Return what is left to do of *run*."""
    return PlannedRun(run.id, run.remaining)
