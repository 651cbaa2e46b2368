"""Operations that a released version stored are read, and started again, by every later one."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

import shared.kernel.operation as operations
from shared.durable.operations import OPERATIONS, WAITING_TIMEOUT, OperationInput
from shared.kernel.clock import isoformat
from shared.kernel.operation import HEARTBEAT_TIMEOUT, Operation, OperationStatus
from shared.persistence.store import UnreadableDocument
from tests.kit.virtual_time import EPOCH

GOLDEN: Final = (
    Path(__file__).parents[1] / "golden" / "documents" / "operations_of_each_status.schema1.json"
)
SCHEMA_1: Final[dict[str, dict[str, Any]]] = json.loads(GOLDEN.read_text())
LATER: Final = EPOCH + timedelta(seconds=30)


def accepted() -> Operation:
    return operations.accept("op-1", "Do", "/v1/things/1", "user:ann", "things_do", {"a": 1}, EPOCH)


def running() -> Operation:
    return accepted().begin_step("first", EPOCH, percent=10)


MAKES: dict[str, Callable[[], Operation]] = {
    "accepted": accepted,
    "running": running,
    "waiting": lambda: running().wait("approval", "w-1", LATER),
    "succeeded": lambda: running().succeed({"n": 1}, LATER),
    "failed": lambda: running().fail("Broken", "it broke", LATER),
    "canceled": lambda: running().cancel(LATER),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())
def test_an_operation_is_read_back_equal(make: Callable[[], Operation]) -> None:
    assert OPERATIONS.decode(json.loads(json.dumps(OPERATIONS.encode(make())))) == make()


@pytest.mark.parametrize(("name", "body"), SCHEMA_1.items(), ids=SCHEMA_1.keys())
def test_an_operation_of_schema_1_has_the_status_that_pollers_know(
    name: str, body: dict[str, Any]
) -> None:
    operation = OPERATIONS.decode(body)

    assert operation.status.value.lower() == name.replace("waiting", "running")
    assert {step.state for step in operation.steps} <= {"Running", *OperationStatus}


def test_recorded_work_of_schema_1_stays_recorded() -> None:
    assert OPERATIONS.decode(SCHEMA_1["running"]).recorded == {"0001-plan": None, "apply 1": None}


def test_an_operation_of_schema_1_is_started_again_for_its_aggregate() -> None:
    given = OPERATIONS.decode(SCHEMA_1["running"]).input

    assert OperationInput.read(given) == OperationInput("acme", "env-abcdefghijkl")  # type: ignore[arg-type]


def test_a_later_schema_is_unreadable_and_says_what_this_version_reads() -> None:
    body = {**OPERATIONS.encode(running()), "schema": OPERATIONS.schema + 1}

    with pytest.raises(UnreadableDocument, match="this version reads 1 to 2"):
        OPERATIONS.decode(body)


DUE = {
    "accepted": EPOCH + HEARTBEAT_TIMEOUT,
    "running": EPOCH + HEARTBEAT_TIMEOUT,
    "waiting": LATER + WAITING_TIMEOUT,
    "succeeded": None, "failed": None, "canceled": None,
}  # fmt: skip


@pytest.mark.parametrize("name", DUE)
def test_only_an_open_operation_is_ever_due_and_by_its_last_heartbeat(name: str) -> None:
    due_at = DUE[name]

    assert OPERATIONS.encode(MAKES[name]()).get("dueAt") == (due_at and isoformat(due_at))
