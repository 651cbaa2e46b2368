"""A deployment that has ended leaves no gate open, and ends no gate that it asks for later."""

from datetime import timedelta
from typing import Any

import pytest

from function_apps.health.activities import ACTIVITIES
from function_apps.health.orchestrations import evaluate_gate
from shared.contracts import deployments
from shared.contracts.deployments import DeploymentEnded
from shared.durable.operations import OPERATIONS
from shared.kernel.clock import isoformat
from shared.persistence.store import Delete, Partition, Replace
from tests.health.test_evaluating_a_gate import GATE, asked
from tests.health.watching import Health, health
from tests.kit.drive import DrivenContext, by_name, drive
from tests.kit.service import TENANT
from tests.kit.told import KEY, ended, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual

PLACE = Partition(TENANT, KEY, service_of())
OTHER = f"{GATE[:-1]}1"


def ending(status: str = "Failed", after_s: float = 30) -> DeploymentEnded:
    """Return the end of the deployment that asked for the gate, *after_s* after it began."""
    payload: Any = getattr(deployments, f"RuntimeDeployment{status}")
    told = ended(0, [], at=EPOCH + timedelta(seconds=after_s))
    fields = {**told.model_dump(mode="json", by_alias=True), "status": status}
    kept = {name: fields[name] for name in fields if name in _fields(payload)}
    end: DeploymentEnded = payload.model_validate(kept)
    return end


def _fields(payload: Any) -> set[str]:
    return {field.alias or name for name, field in payload.model_fields.items()}


async def gating(*gates: str) -> Health:
    made = health()
    await run(made.world)
    for gate in gates:
        await made.hear(asked(made, gateId=gate, askedAt=isoformat(EPOCH)))
    await made.app.service.clock.sleep(60)
    return made


async def gate_of(made: Health, gate: str = GATE) -> tuple[str | None, str]:
    """Return the verdict of a gate and the status of its operation."""
    store = made.app.service.store
    record = await store.read(PLACE, f"gate/{gate}")
    assert record is not None
    operation = await store.read(PLACE, OPERATIONS.document_id(record.body["operation_id"]))
    assert operation is not None
    return record.body["verdict"], OPERATIONS.decode(operation.body).status


@pytest.mark.parametrize("status", ["Completed", "RolledBack", "Failed", "Cancelled"])
def test_an_open_gate_is_canceled_and_its_verdict_is_sent_to_nobody(status: str) -> None:
    async def main() -> Any:
        made = await gating(GATE)
        await made.hear_all(ending(status), ending(status))
        return await gate_of(made), made.told()

    assert run_virtual(main()) == (("Inconclusive", "Canceled"), [])


def test_its_orchestration_observes_no_more() -> None:
    async def main() -> Any:
        made = await gating(GATE)
        await made.hear_all(ending())
        _, instance, argument = made.bench.starts.started.pop(0)
        context = DrivenContext(
            instance, argument, by_name(ACTIVITIES), made.app, made.app.service.clock,
            made.bench.starts,
        )  # fmt: skip
        return await drive(evaluate_gate, context), made.prober.asked, made.told()

    assert run_virtual(main()) == ("OperationAlreadyEnded", [], [])


def test_a_gate_that_is_asked_for_after_that_end_goes_on() -> None:
    async def main() -> Any:
        made = await gating(GATE)
        await made.hear_all(ending(after_s=-30))
        return await gate_of(made)

    assert run_virtual(main()) == (None, "NotStarted")


def test_a_gate_of_another_deployment_goes_on() -> None:
    async def main() -> Any:
        made = await gating(GATE)
        await made.hear_all(ended(7, [], at=EPOCH + timedelta(minutes=1)))
        return await gate_of(made)

    assert run_virtual(main()) == (None, "NotStarted")


def test_a_gate_that_cannot_be_read_leaves_the_others_to_end() -> None:
    async def main() -> Any:
        made = await gating(GATE, OTHER)
        store = made.app.service.store
        bad = await store.read(PLACE, f"gate/{OTHER}")
        assert bad is not None
        await store.batch(PLACE, [Replace(bad.id, {**bad.body, "revision": "many"}, bad.etag)])
        await made.hear_all(ending())
        return await gate_of(made)

    assert run_virtual(main()) == ("Inconclusive", "Canceled")


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "unreadable"])
def test_a_gate_ends_without_its_operation(*, is_lost: bool) -> None:
    async def main() -> Any:
        made = await gating(GATE)
        store = made.app.service.store
        record = await store.read(PLACE, f"gate/{GATE}")
        assert record is not None
        document_id = OPERATIONS.document_id(record.body["operation_id"])
        operation = await store.read(PLACE, document_id)
        assert operation is not None
        damaged = Replace(document_id, {**operation.body, "percent": "many"}, operation.etag)
        await store.batch(PLACE, [Delete(document_id) if is_lost else damaged])
        await made.hear_all(ending())
        ended_gate = await store.read(PLACE, f"gate/{GATE}")
        return ended_gate and ended_gate.body["verdict"]

    assert run_virtual(main()) == "Inconclusive"
