"""An objective is set once, counted by each sweep, and raises and clears each alert once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from function_apps.health.errors import HealthNotFound, ObjectiveNotFound
from function_apps.health.triggers import put_service_slo
from function_apps.health.use_cases import queries
from function_apps.health.use_cases.delete_objective import delete_objective
from function_apps.health.use_cases.set_objective import set_objective
from shared.contracts.health import BurnRate, SetObjective, UnmeasuredBurn
from shared.kernel.context import Scope
from shared.kernel.fence import Fence
from shared.kernel.ids import TenantId
from shared.web.request import Answer, Request
from tests.health.watching import Health, health
from tests.kit.memory_cluster import Behaviour
from tests.kit.memory_surface import MemorySurface
from tests.kit.open_alerts import require_listed
from tests.kit.told import DIGEST, WEB, component_of, ended, released, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual

PROBES = {"sli": "probes", "objective": 0.99, "window": "P30D"}
REQUESTS = {"sli": "availability", "objective": 0.99, "window": "P30D"}


async def watched(objective: Mapping[str, Any] | None = None, *, sweeps: int = 1) -> Health:
    made = health()
    await made.hear_all(ended(1, [released(WEB)], at=EPOCH))
    await run(made.world, WEB)
    await made.app.service.clock.sleep(30)
    fence = Fence(1, "op-1", "3")
    await MemorySurface(made.world).set_weights(component_of(WEB), {1: 100}, fence)
    if objective is not None:
        await put(made, objective)
    for _ in range(sweeps):
        await made.sweep()
    return made


async def put(made: Health, content: Mapping[str, Any]) -> None:
    await set_objective(service_of(WEB), SetObjective.model_validate(content), made.ctx, made.app)


def alerts(made: Health) -> Sequence[tuple[str, str, int]]:
    """Return what was published of alerts: raised or cleared, which, and its revision."""
    return [
        (
            body["eventType"].removeprefix("RuntimeAlert"),
            body["payload"]["alert"],
            body["payload"]["revision"],
        )
        for body in made.bench.sent.bodies()
        if body["eventType"].startswith("RuntimeAlert")
    ]


async def sweep_until(made: Health, module: str, status: str, sweeps_max: int = 20) -> None:
    for _ in range(sweeps_max):
        await made.sweep()
        if (await made.health(module)).status == status:
            return
    raise AssertionError(f"{module} is not {status} after {sweeps_max} sweeps")


def test_a_service_that_fails_is_one_alert_which_its_recovery_clears_once() -> None:
    async def main() -> Health:
        made = await watched()
        made.prober.failing.add("/health")
        for _ in range(10):
            await made.sweep()
        await require_listed(made.bench, "ServiceUnhealthy")
        made.prober.failing.clear()
        for _ in range(5):
            await made.sweep()
        return made

    made = run_virtual(main())

    assert alerts(made) == [("Raised", "ServiceUnhealthy", 1), ("Cleared", "ServiceUnhealthy", 2)]


def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on() -> None:
    async def main() -> Mapping[str, Any]:
        made = await watched()
        made.prober.failing.add("/health")
        await sweep_until(made, WEB, "Unhealthy")
        payload: Mapping[str, Any] = made.bench.sent.bodies("RuntimeAlertRaised")[0]["payload"]
        return payload

    payload = run_virtual(main())

    assert payload["aggregateId"] == f"{service_of(WEB)}/ServiceUnhealthy"
    assert payload["serviceId"] == service_of(WEB)
    assert payload["severity"] == "Critical"
    assert "0 of 2 instances pass" in payload["evidence"][0]
    assert payload["runbook"] == "https://factory-runtime.dev/alerts/ServiceUnhealthy"


def test_unknown_raises_no_alert_and_clears_none() -> None:
    async def main() -> tuple[Sequence[Any], Sequence[Any]]:
        never = await watched()
        never.world.unreadable = "away"
        before = await watched()
        before.prober.failing.add("/health")
        await sweep_until(before, WEB, "Unhealthy")
        before.world.unreadable = "away"
        for made in (never, before):
            await sweep_until(made, WEB, "Unknown")
        return alerts(never), alerts(before)

    assert run_virtual(main()) == ([], [("Raised", "ServiceUnhealthy", 1)])


def test_the_alerts_of_a_service_that_is_retired_are_cleared() -> None:
    async def main() -> tuple[Sequence[Any], Sequence[Any]]:
        made = await watched()
        made.prober.failing.add("/health")
        await sweep_until(made, WEB, "Unhealthy")
        raised = (await made.health()).alerts
        await made.hear_all(ended(9, [], removed=[WEB]), ended(9, [], removed=[WEB]))
        assert not (await made.health()).alerts
        return raised, alerts(made)

    raised, published = run_virtual(main())

    assert [each.alert for each in raised] == ["ServiceUnhealthy"]
    assert published[-1:] == [("Cleared", "ServiceUnhealthy", 2)]
    assert len(published) == 2


def test_probes_that_fail_burn_the_budget_and_are_published_with_the_health() -> None:
    async def main() -> tuple[Health, Sequence[BurnRate]]:
        made = await watched(PROBES, sweeps=60)
        made.prober.failing.add("/health")
        for _ in range(20):
            await made.sweep()
        return made, (await made.health()).slo_burn

    made, burn = run_virtual(main())

    assert ("Raised", "ErrorBudgetBurnsFast", 1) in alerts(made)
    published = made.told()[-1]["sloBurn"]
    assert [(each["longWindow"], each["shortWindow"]) for each in published] == [
        ("PT1H", "PT5M"), ("PT6H", "PT30M"), ("P1D", "PT2H"), ("P3D", "PT6H"),
    ]  # fmt: skip
    # 20 of 80 probes of the hour failed, and all of the last five minutes, of a budget of 1 %.
    assert burn[0].short == pytest.approx(100, rel=0.05)
    assert burn[0].long == pytest.approx(25, rel=0.05)


def test_requests_are_counted_by_the_proxy_since_the_objective_was_set() -> None:
    async def main() -> tuple[Sequence[float], Sequence[Any], Sequence[float]]:
        made = await watched(REQUESTS)
        made.world.requests_per_s = 10.0
        for _ in range(40):
            await made.sweep()
        good = [each.long for each in (await made.health()).slo_burn]
        made.world.behaviours[DIGEST] = Behaviour(error_ratio=0.5)
        for _ in range(40):
            await made.sweep()
        bad = [each.short for each in (await made.health()).slo_burn[:1]]
        return good, alerts(made), bad

    good, published, bad = run_virtual(main())

    assert good == [0.0, 0.0, 0.0, 0.0]
    assert ("Raised", "ErrorBudgetBurnsFast", 1) in published
    assert bad[0] == pytest.approx(50, rel=0.15)


def test_windows_with_too_few_events_are_told_as_not_measured() -> None:
    async def main() -> tuple[Sequence[UnmeasuredBurn], Sequence[UnmeasuredBurn]]:
        made = await watched(REQUESTS)
        before = (await made.health()).slo_unmeasured
        made.world.requests_per_s = 10.0
        for _ in range(40):
            await made.sweep()
        return before, (await made.health()).slo_unmeasured

    before, after = run_virtual(main())

    assert {(each.long, each.short) for each in before} == {(None, None)}
    minutes = [each.long_window.total_seconds() / 60 for each in before]
    assert minutes == [60, 6 * 60, 24 * 60, 3 * 24 * 60]
    assert not after


def test_a_long_window_keeps_its_rate_while_the_short_one_has_too_few_events() -> None:
    async def main() -> Sequence[UnmeasuredBurn]:
        made = await watched(REQUESTS)
        made.world.requests_per_s = 10.0
        for _ in range(40):
            await made.sweep()
        made.world.requests_per_s = 0.0
        for _ in range(40):
            await made.sweep()
        return (await made.health()).slo_unmeasured

    (fast,) = run_virtual(main())

    assert (fast.long, fast.short) == (0.0, None)


def test_slow_requests_are_bad_for_latency_alone() -> None:
    async def main() -> tuple[float, float]:
        burns = []
        for content in (
            {**REQUESTS, "sli": "latency", "latencyMsMax": 100.0},
            REQUESTS,
        ):
            made = await watched(content)
            made.world.requests_per_s = 10.0
            made.world.behaviours[DIGEST] = Behaviour(latency_ms=400.0)
            for _ in range(20):
                await made.sweep()
            burns.append((await made.health()).slo_burn[0].long)
        return burns[0], burns[1]

    assert run_virtual(main()) == (pytest.approx(100, rel=0.01), 0.0)


def test_a_proxy_that_began_anew_and_one_that_is_away_lose_no_alert_and_invent_none() -> None:
    async def main() -> Sequence[Any]:
        made = await watched(REQUESTS)
        made.world.requests_per_s = 10.0
        for _ in range(20):
            await made.sweep()
        made.world.unreadable = "away"
        for _ in range(20):
            await made.sweep()
        made.world.unreadable = ""
        await made.sweep()
        return [each for each in alerts(made) if "Budget" in each[1]]

    assert run_virtual(main()) == []


def test_the_same_objective_again_changes_nothing_and_another_one_counts_anew() -> None:
    async def main() -> tuple[list[int], list[int]]:
        made = await watched(PROBES, sweeps=60)
        revisions, rules = [], []
        for content in (PROBES, {**PROBES, "objective": 0.9}, REQUESTS):
            await put(made, content)
            objective, _ = await queries.get_objective(service_of(WEB), made.ctx, made.app)
            revisions.append(objective.revision)
            rules.append(len(objective.burn))
        return revisions, rules

    # The same probes count for another objective; requests were not counted until now.
    assert run_virtual(main()) == ([1, 2, 3], [4, 4, 0])


def test_an_objective_that_is_deleted_ends_with_its_alerts_and_leaves_nothing_counted() -> None:
    async def main() -> tuple[Health, Sequence[BurnRate], Sequence[str]]:
        made = await watched(PROBES, sweeps=60)
        made.prober.failing.add("/health")
        for _ in range(20):
            await made.sweep()
        await delete_objective(service_of(WEB), made.ctx, made.app)
        for _ in range(3):
            await made.sweep()
        health = await made.health()
        await put(made, PROBES)
        anew, _ = await queries.get_objective(service_of(WEB), made.ctx, made.app)
        return made, [*health.slo_burn, *anew.burn], [each.alert for each in health.alerts]

    made, burn, raised = run_virtual(main())

    assert alerts(made)[-2:] == [
        ("Cleared", "ErrorBudgetBurnsFast", 2),
        ("Cleared", "ErrorBudgetBurnsSlowly", 2),
    ]
    assert ("Raised", "ServiceUnhealthy", 1) in alerts(made)
    assert (burn, raised) == ([], ["ServiceUnhealthy"])


def test_a_deletion_that_is_repeated_takes_nothing_of_the_objective_after_it() -> None:
    async def main() -> tuple[Sequence[BurnRate], Sequence[BurnRate]]:
        made = await watched(PROBES)
        ctx = made.bench.ctx(marker="idem-1")
        await delete_objective(service_of(WEB), ctx, made.app)
        await put(made, PROBES)
        for _ in range(60):
            await made.sweep()
        before, _ = await queries.get_objective(service_of(WEB), made.ctx, made.app)
        assert (await delete_objective(service_of(WEB), ctx, made.app)).is_repeat
        after, _ = await queries.get_objective(service_of(WEB), made.ctx, made.app)
        return before.burn, after.burn

    before, after = run_virtual(main())

    assert before
    assert after == before


def test_an_objective_is_deleted_by_its_tenant_once() -> None:
    async def main() -> None:
        made = await watched(PROBES)
        foreign = made.bench.ctx(Scope(TenantId("globex"), "user:eve"))
        with pytest.raises(HealthNotFound):
            await delete_objective(service_of(WEB), foreign, made.app)
        outcome = await delete_objective(service_of(WEB), made.ctx, made.app)
        assert outcome.value["objective"] == 0.99
        with pytest.raises(ObjectiveNotFound):
            await delete_objective(service_of(WEB), made.ctx.without_marker(), made.app)

    run_virtual(main())


def test_a_service_without_one_and_that_of_another_tenant_are_not_found() -> None:
    async def main() -> None:
        made = await watched()
        with pytest.raises(ObjectiveNotFound):
            await queries.get_objective(service_of(WEB), made.ctx, made.app)
        foreign = made.bench.ctx(Scope(TenantId("globex"), "user:eve"))
        content = SetObjective.model_validate(PROBES)
        with pytest.raises(HealthNotFound):
            await set_objective(service_of(WEB), content, foreign, made.app)
        with pytest.raises(HealthNotFound):
            await set_objective(service_of("module-none"), content, made.ctx, made.app)

    run_virtual(main())


def test_the_same_objective_again_says_that_it_is_a_repeat() -> None:
    async def main() -> list[Answer]:
        made = await watched()
        content, path = SetObjective.model_validate(PROBES), {"serviceId": service_of(WEB)}
        return [await put_service_slo(Request(content, made.ctx, path), made.app) for _ in range(2)]

    first, again = run_virtual(main())

    assert "Repeatability-Result" not in first.headers
    assert (again.status, again.headers["Repeatability-Result"]) == (200, "accepted")
