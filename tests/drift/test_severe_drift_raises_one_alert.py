"""One alert of a service, or of an environment itself, while something severe in it is open."""

from typing import Any

import pytest

from shared.contracts.drift import RemediationPolicy
from tests.drift.compared import Drift, released_and_settled, virtual
from tests.drift.isolated import SPEC, believed, bound, limit
from tests.kit.open_alerts import require_listed
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, WEB, service_of

RAISED, CLEARED = "RuntimeAlertRaised", "RuntimeAlertCleared"


async def tampered(**changes: Any) -> Drift:
    """Return the service, which has found that another version runs: that is severe."""
    made = await released_and_settled(**changes)
    made.tamper(version="6.6.6", command=("other",))
    await made.scan(300)
    return made


async def severe(made: Drift) -> list[Any]:
    return [each for each in await made.findings() if each["severity"] in {"High", "Critical"}]


@virtual
async def test_several_severe_findings_of_a_service_raise_one_alert() -> None:
    made = await tampered()

    assert len(await severe(made)) == 2
    (alert,) = made.told(RAISED)
    assert alert["aggregateId"] == f"{service_of(WEB)}/SevereDrift"
    assert (alert["serviceId"], alert["severity"]) == (service_of(WEB), "Warning")
    assert len(alert["evidence"]) == 2
    assert alert["runbook"].endswith("/SevereDrift")
    await require_listed(made.bench, "SevereDrift")


@virtual
async def test_an_alert_is_told_once_however_often_it_is_scanned() -> None:
    made = await tampered()

    await made.scan(300)
    await made.scan(300)

    assert len(made.told(RAISED)) == 1


@virtual
async def test_what_is_not_severe_raises_none() -> None:
    made = await released_and_settled(environ={"MODE": "fast"})

    made.tamper(environ={"MODE": "slow"})
    await made.scan(300)

    assert await made.findings() != []
    assert made.told(RAISED) == []


@virtual
async def test_it_ends_with_the_last_severe_finding() -> None:
    made = await tampered()

    made.tamper(version="1.0", command=("serve",))
    await made.scan(300)

    (raised,), (cleared,) = made.told(RAISED), made.told(CLEARED)
    assert cleared["raisedAt"] == raised["raisedAt"]
    assert cleared["revision"] == raised["revision"] + 1
    await require_listed(made.bench)


@pytest.mark.parametrize(
    ("verb", "body"),
    [("acknowledge", {}), ("suppress", {"length": "PT1H", "reason": "known"}), ("adopt", {})],
)
@virtual
async def test_it_ends_at_once_when_somebody_knows_of_the_last_one(verb: str, body: Any) -> None:
    made = await tampered()
    first, last = await severe(made)

    await made.decide(first, verb, body)
    assert made.told(CLEARED) == []
    await made.decide(last, verb, body)

    assert len(made.told(CLEARED)) == 1
    await made.scan(300)
    assert len(made.told(RAISED)) == 1


@virtual
async def test_a_suppression_that_ends_raises_it_again() -> None:
    made = await tampered()
    for finding in await severe(made):
        await made.decide(finding, "suppress", {"length": "PT1H", "reason": "known"})

    await made.scan(3700)

    assert [each["revision"] for each in made.told(RAISED)] == [1, 3]


@virtual
async def test_it_goes_on_while_the_owner_repairs_and_after_it_gave_up() -> None:
    made = await tampered(policy=RemediationPolicy.AUTO)

    for _ in range(30):
        await made.scan(3600)

    assert {each["status"] for each in await severe(made)} == {"Escalated"}
    assert (len(made.told(RAISED)), made.told(CLEARED)) == (1, [])


@virtual
async def test_a_read_that_fails_neither_raises_nor_ends_it() -> None:
    made = await tampered()

    made.world.unreadable = "the cluster is away"
    made.tamper(version="1.0", command=("serve",))
    await made.scan(300)

    assert made.told(CLEARED) == []


@virtual
async def test_an_environment_has_an_alert_of_its_own_without_a_service() -> None:
    made = await bound()

    made.world.sites[ENVIRONMENT].boundaries[TENANT].spec = None
    await believed(made)

    (alert,) = made.told(RAISED)
    assert alert["aggregateId"] == f"{ENVIRONMENT}/SevereDrift"
    assert alert["serviceId"] is None
    await require_listed(made.bench, "SevereDrift")

    made.world.sites[ENVIRONMENT].boundaries[TENANT].spec = SPEC
    await made.scan_anew()
    assert len(made.told(CLEARED)) == 1


@virtual
async def test_a_quota_alone_raises_none_and_acknowledging_ends_that_of_an_environment() -> None:
    made = await bound()
    limit(made, cpu=64.0)
    await believed(made)
    assert made.told(RAISED) == []

    made.world.sites[ENVIRONMENT].boundaries[TENANT].spec = None
    await believed(made)
    (gone,) = await made.findings(status="Open")
    await made.decide(gone, "acknowledge")

    assert len(made.told(CLEARED)) == 1


@virtual
async def test_a_scan_that_somebody_overtakes_does_not_raise_it_again() -> None:
    made = await tampered()
    first, last = await severe(made)
    await made.decide(first, "acknowledge")

    async def acknowledge_the_last() -> None:
        await made.decide(last, "acknowledge")

    await made.scan_while(acknowledge_the_last)

    assert len(made.told(CLEARED)) == 1
    assert len(made.told(RAISED)) == 1
