"""Each write to a surface or a store is compared with those before it, whatever it writes."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import pytest

from shared.kernel.fence import Fence
from shared.persistence.store import Create, partition_of
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from shared.surfaces.spec import RevisionSpec, Schedule
from tests.kit.memory_cluster import MemoryCluster
from tests.kit.memory_surface import MemorySurface
from tests.kit.mortal import Fate
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import TENANT
from tests.kit.told import DIGEST, ENVIRONMENT, component_of, run
from tests.kit.virtual_time import LoopClock, run_virtual
from tests.simulator.commit_checks import TABLES
from tests.simulator.history import History
from tests.simulator.surface_checks import WRITES, RecordedSurface

REPORT: Final = "module-report"
ARGUMENTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "apply": (RevisionSpec(component_of(), 2, "2.0", DIGEST, ("serve",)),),
    "scale": (component_of(), 1, 3),
    "set_weights": (component_of(), {1: 0}),
    "remove": (component_of(), 1),
    "set_scaling": (
        component_of(),
        1,
        ScalingRules(1, 3, (UtilizationRule(Measure.CPU, 60),)),
    ),
    "restart": (component_of(), 1),
    "activate_schedule": (component_of(REPORT), 1),
}


def test_every_write_has_its_example() -> None:
    assert set(ARGUMENTS) == WRITES


@pytest.mark.parametrize("name", sorted(WRITES))
def test_a_write_with_an_older_token_than_before_breaks_a_promise(name: str) -> None:
    async def main() -> None:
        clock = LoopClock()
        world = MemoryCluster(clock, SeededEntropy(1))
        history = History(clock, world)
        await run(world, port=8080, path_prefix="/")
        await run(world, REPORT, replicas=1, port=None, schedule=Schedule("0 * * * *", 300.0))
        surface = RecordedSurface(MemorySurface(world), Fate(), asyncio.Event(), world, history)
        history.tokens = {component_of(): 5, component_of(REPORT): 5}

        await getattr(surface, name)(*ARGUMENTS[name], Fence(6, "op-1", "3"))
        kept = [*history.broken]
        await getattr(surface, name)(*ARGUMENTS[name], Fence(6, "op-1", "4"))
        history.tokens = dict.fromkeys(history.tokens, 7)
        await getattr(surface, name)(*ARGUMENTS[name], Fence(6, "op-1", "5"))

        assert kept == []
        assert [each.number for each in history.broken] == ["6"]

    run_virtual(main())


@pytest.mark.parametrize(("service", "kind"), TABLES)
def test_an_aggregate_that_begins_without_an_entry_of_the_audit_trail_breaks_a_promise(
    service: str, kind: str
) -> None:
    async def main() -> None:
        clock = LoopClock()
        history = History(clock, MemoryCluster(clock, SeededEntropy(1)))
        state = str(next(iter(TABLES[service, kind].rows)))
        body = {"type": kind, "status": state, "revision": 1, "components": [], "plane": "routing",
                "path": "weight", "finding_id": "f-1", "environment_id": ENVIRONMENT,
                "module_id": "module-web", "tenant_id": TENANT}  # fmt: skip
        history.changed_by_hand.add((ENVIRONMENT, "module-web"))

        history.committed(service, partition_of(TENANT, ENVIRONMENT), [Create("a-1", body)])

        assert [each.number for each in history.broken] == ["12"]

    run_virtual(main())


OF_DATA: Final = {"tenant": TENANT, "actor_tenant": "globex"}
OF_ACTOR: Final = {"tenant": "globex", "target_tenant": TENANT}


@pytest.mark.parametrize(
    ("records", "broken"),
    [
        pytest.param([{"tenant": TENANT}], [], id="an-actor-of-its-own"),
        pytest.param([OF_DATA, OF_ACTOR], [], id="one-in-each-trail"),
        pytest.param([OF_DATA], ["12"], id="none-in-the-actors-trail"),
        pytest.param([OF_DATA, OF_ACTOR, OF_ACTOR], ["12"], id="two-in-the-actors-trail"),
        pytest.param([{"tenant": TENANT}, OF_ACTOR], ["12"], id="one-of-no-actor"),
        pytest.param([OF_DATA, {"tenant": "globex"}], ["12"], id="one-that-names-no-target"),
    ],
)
def test_an_actor_of_another_tenant_has_one_entry_in_the_trail_of_its_own(
    records: list[dict[str, str]], broken: list[str]
) -> None:
    async def main() -> None:
        clock = LoopClock()
        history = History(clock, MemoryCluster(clock, SeededEntropy(1)))
        rows = [
            Create(f"outbox/{index}", {"kind": "record", "record": {
                "record_id": f"r-{index}", "events": [], "cause_kind": "http", **record,
            }})
            for index, record in enumerate(records)
        ]  # fmt: skip

        history.committed("tenants", partition_of(TENANT, ENVIRONMENT), rows)

        assert [each.number for each in history.broken] == broken

    run_virtual(main())
