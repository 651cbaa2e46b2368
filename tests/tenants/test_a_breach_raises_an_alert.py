"""A breach of isolation is an alert of its layer, from its first proof until it passes or ends."""

from collections.abc import Mapping
from typing import Any

from function_apps.tenants.use_cases.prove_isolation import prove_isolation
from shared.contracts.isolation import IsolationLayer
from shared.surfaces.capabilities import Feature
from shared.surfaces.spec import SiteSpec
from tests.kit.open_alerts import require_listed
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import run_virtual
from tests.surfaces.harness import fence
from tests.tenants.bound import BINDING, Tenants, tenants, told

REACHED = {IsolationLayer.DATA: ("another's folder can be read",)}
ABLE = (Feature.ISOLATION_ATTEMPTS,)


async def _proved() -> Tenants:
    """Return the service with a bound tenant, of which nothing was reached yet."""
    on = await tenants(reads_boundaries=True, able=ABLE)
    on.cluster.reached = {}
    await on.surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "test", "test"), fence(1))
    asked = await on.bind()
    applied = {"revision": asked["revision"], "state": "Applied"}
    await on.hear(told(2, isolation=applied, able=ABLE))
    await _prove(on)
    return on


async def _prove(on: Tenants, times: int = 1) -> None:
    for _ in range(times):
        await on.bench.service.clock.sleep(on.app.rules.prove_every.total_seconds() + 1)
        await prove_isolation(on.app)


def _alerts(on: Tenants) -> list[Mapping[str, Any]]:
    """Return what was told of alerts, oldest first."""
    found = [
        {"type": name, **each["payload"]}
        for name in ("RuntimeAlertRaised", "RuntimeAlertCleared")
        for each in on.bench.sent.bodies(name)
    ]
    return sorted(found, key=lambda each: each["revision"])


def test_a_breach_is_raised_once_with_its_evidence_and_cleared_when_it_passes() -> None:
    async def main() -> Tenants:
        on = await _proved()
        on.cluster.reached = REACHED
        await _prove(on, 4)
        await require_listed(on.bench, "IsolationBreached")
        on.cluster.unreadable = "it is away"
        await _prove(on, 2)
        on.cluster.unreadable, on.cluster.reached = "", {}
        await _prove(on, 2)
        await require_listed(on.bench)
        return on

    raised, cleared = _alerts(run_virtual(main()))

    assert raised["type"] == "RuntimeAlertRaised"
    assert raised["aggregateId"] == f"{BINDING}/data/IsolationBreached"
    assert (raised["severity"], raised["environmentId"]) == ("Critical", ENVIRONMENT)
    (evidence,) = raised["evidence"]
    assert evidence.startswith("data: LocalProcess was tried from inside")
    assert evidence.endswith("another's folder can be read")
    assert raised["runbook"].endswith("/IsolationBreached")
    assert cleared["type"] == "RuntimeAlertCleared"
    assert cleared["raisedAt"] == raised["raisedAt"] < cleared["clearedAt"]


def test_its_proofs_say_since_when_it_is_raised() -> None:
    async def main() -> tuple[Mapping[str, Any], Any]:
        on = await _proved()
        on.cluster.reached = REACHED
        await _prove(on, 2)
        return _alerts(on)[0], (await on.binding())["proofs"]

    raised, shown = run_virtual(main())

    since = {each["layer"]: each["raisedAt"] for each in shown}
    assert since.pop("data") == raised["raisedAt"]
    assert set(since.values()) == {None}


def test_what_was_reached_once_alarms_nobody() -> None:
    async def main() -> Tenants:
        on = await _proved()
        on.cluster.reached = REACHED
        await _prove(on)
        on.cluster.reached = {}
        await _prove(on)
        return on

    assert _alerts(run_virtual(main())) == []


def test_the_alert_of_a_tenant_that_is_unbound_ends_once() -> None:
    async def main() -> Tenants:
        on = await _proved()
        on.cluster.reached = REACHED
        await _prove(on, 2)
        asked = await on.unbind()
        removed = {"revision": asked["revision"], "state": "Removed"}
        await on.hear(told(3, isolation=removed, able=ABLE))
        await _prove(on, 3)
        return on

    told_of = _alerts(run_virtual(main()))

    assert [each["type"] for each in told_of] == ["RuntimeAlertRaised", "RuntimeAlertCleared"]
    assert told_of[1]["evidence"] == ["data: the tenant is not bound any more"]
