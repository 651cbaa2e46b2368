"""Days of two tenants under the faults of a seed end quiet, whole, and with every promise kept."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.persistence.store import BatchOperation, Etag, Partition, Replace
from tests.simulator.simulated_world import RecordedStore, SimulatedWorld
from tests.simulator.simulation import Outcome, simulate

SAMPLE = (3,)
LONG = tuple(range(101, 105))
_SMALL = {"actions": 20, "hours": 1.0}


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_day_under_faults_keeps_every_promise(seed: int) -> None:
    outcome = simulate(seed, **_SMALL)

    assert outcome.broken == ()
    assert outcome.reached["operation ProvisionEnvironment Succeeded"]


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG)
def test_more_days_under_faults_keep_every_promise(seed: int) -> None:
    assert simulate(seed).broken == ()


def test_a_seed_replays_exactly() -> None:
    def run() -> Outcome:
        return simulate(SAMPLE[0], actions=8, hours=0.5)

    assert run().digest == run().digest


class _ForgetsOperations(RecordedStore):
    """A store that takes each change of an operation, and keeps none."""

    async def batch(
        self, partition: Partition, operations: Sequence[BatchOperation]
    ) -> Sequence[Etag | None]:
        kept = [each for each in operations if not _is_change_of_an_operation(each)]
        etags = iter(await super().batch(partition, kept) if kept else ())
        return [next(etags) if each in kept else Etag("lost") for each in operations]


def _is_change_of_an_operation(operation: BatchOperation) -> bool:
    return isinstance(operation, Replace) and operation.id.startswith("operation/")


class _ForgetfulWorld(SimulatedWorld):
    def _store(self, inner: Any, name: str) -> Any:
        return _ForgetsOperations(inner, name, self.fate, self.faults, self.history)


@pytest.mark.long
def test_a_store_that_forgets_how_operations_ended_is_found() -> None:
    outcome = simulate(SAMPLE[0], actions=4, hours=0.2, world=_ForgetfulWorld)

    assert any("not quiet" in each for each in outcome.broken), outcome
