"""Health raises what a finding weighs, and the inventory has services from before drift."""

from itertools import permutations
from typing import Any

import pytest

from function_apps.drift.model.baseline import new_baseline, record_health
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.contracts.health import HealthCheckCompleted, HealthStatus
from tests.drift.compared import drift, released_and_settled, virtual
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, run, service_of
from tests.kit.virtual_time import EPOCH


def inventory(revision: int, status: str = "Running", **changes: Any) -> RuntimeInventoryUpdated:
    return RuntimeInventoryUpdated.model_validate(
        {
            "aggregateId": service_of(WEB), "revision": revision, "serviceId": service_of(WEB),
            "environmentId": ENVIRONMENT, "stage": "test", "moduleId": WEB,
            "componentType": "gateway", "version": "1.0", "digest": "sha256:" + "1" * 64,
            "computeTarget": "LocalProcess", "replicas": 2, "port": 8080, "status": status,
            "releaseRevision": 1, "cause": {"kind": "deployment", "id": "dep-1"},
            "validFrom": "2026-01-01T00:00:00Z", **changes,
        }
    )  # fmt: skip


def health(revision: int, status: str, **changes: Any) -> HealthCheckCompleted:
    return HealthCheckCompleted.model_validate(
        {
            "aggregateId": service_of(WEB), "revision": revision, "serviceId": service_of(WEB),
            "environmentId": ENVIRONMENT, "moduleId": WEB, "status": status, "source": "change",
            **changes,
        }
    )  # fmt: skip


@virtual
async def test_a_finding_of_a_service_that_is_not_well_weighs_more() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)
    before = (await made.only())["severity"]

    await made.hear(health(1, "Unhealthy"))
    await made.scan()

    assert (before, (await made.only())["severity"]) == ("Medium", "High")


@virtual
async def test_a_service_that_becomes_worse_is_scanned_at_once() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.scan(300)
    made.tamper(environ={"MODE": "slow"})
    await made.hear(health(1, "Degraded"))

    await made.scan()

    assert (await made.only())["status"] == "Open"


@pytest.mark.parametrize("order", [*permutations((5, 6, 7))])
def test_the_newest_health_counts_in_whatever_order_it_is_heard(order: tuple[int, ...]) -> None:
    said = {5: HealthStatus.HEALTHY, 6: HealthStatus.UNHEALTHY, 7: HealthStatus.HEALTHY}
    known = new_baseline(service_of(WEB), TENANT, ENVIRONMENT, WEB, None)

    for revision in order:
        known = record_health(known, said[revision], revision, EPOCH) or known

    assert (known.health, known.health_revision) == (HealthStatus.HEALTHY, 7)


@virtual
async def test_a_late_word_of_an_illness_that_is_over_weighs_nothing() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(health(5, "Healthy"), health(7, "Healthy"), health(6, "Unhealthy"))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    assert (await made.only())["severity"] == "Medium"


@virtual
async def test_what_a_gate_says_of_a_candidate_is_not_of_the_service() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    gate = f"gate-{'a' * 12}-{'b' * 10}-{'0' * 16}-1-1"
    await made.hear(health(1, "Unhealthy", gateId=gate, aggregateId=gate))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    assert (await made.only())["severity"] == "Medium"


@virtual
async def test_a_service_from_before_drift_is_compared_by_what_the_inventory_has() -> None:
    made = await drift()
    await run(made.world, environ={"ANY": "value"})
    await made.hear(inventory(1))
    await made.scan()
    await made.settled()
    as_inventoried = await made.findings()
    made.tamper(version="2.0", environ={"ANY": "other"})

    await made.scan(300)

    assert as_inventoried == []
    finding = await made.only()
    assert (finding["path"], finding["desired"], finding["actual"]) == ("version", "1.0", "2.0")


@virtual
async def test_a_service_that_the_inventory_retired_is_compared_no_more() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    made.vanish(WEB)
    await made.hear(inventory(2, "Retired", validFrom="2026-06-01T00:00:00Z"))

    for _ in range(3):
        await made.scan(300)

    assert await made.findings() == []


@virtual
async def test_older_news_of_the_inventory_changes_nothing() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})
    await made.hear(inventory(5))
    await made.hear(inventory(4, "Retired", validFrom="2026-06-01T00:00:00Z"))
    made.tamper(environ={"MODE": "slow"})

    await made.scan(300)

    assert (await made.only())["status"] == "Open"
