"""A sweep looks at every target side by side, writes what is new, and knows its own blindness."""

from datetime import datetime, timedelta

import pytest

from function_apps.health.errors import HealthNotFound
from function_apps.health.model.status_hysteresis import ProbeOutcome
from function_apps.health.triggers import SAMPLES_TOP_MAX
from function_apps.health.use_cases import queries, sweep
from function_apps.health.use_cases.probe_service import ServiceProbe
from function_apps.health.use_cases.record_probe import ProbedTarget, judge_probe, record_probe
from shared.contracts.catalog import RuntimeInventoryUpdated
from shared.kernel.clock import isoformat
from shared.kernel.context import Scope
from shared.kernel.errors import NotFound
from shared.kernel.ids import TenantId
from tests.health.watching import Health, health
from tests.kit.memory_cluster import Behaviour
from tests.kit.told import ENVIRONMENT, WEB, ended, released, run, service_of, vanish
from tests.kit.virtual_time import EPOCH, run_virtual

REFERENCE = "http://203.1.113.1/alive"


async def watched(*modules: str, sweeps: int = 1, **parts: object) -> Health:
    made = health(**parts)
    await made.hear_all(ended(1, [released(module) for module in modules], at=EPOCH))
    for module in modules:
        await run(made.world, module)
    await made.app.service.clock.sleep(30)
    for _ in range(sweeps):
        await made.sweep()
    return made


def retired(module: str = WEB) -> RuntimeInventoryUpdated:
    """Return what catalog tells when it has retired a service."""
    component = released(module)
    return RuntimeInventoryUpdated.model_validate(
        {
            **component, "aggregateId": service_of(module), "revision": 7,
            "environmentId": ENVIRONMENT, "stage": "test", "status": "Retired",
            "cause": {"kind": "environment", "id": ENVIRONMENT}, "validFrom": isoformat(EPOCH),
        }
    )  # fmt: skip


def test_a_release_that_passes_is_healthy_after_the_first_sweep() -> None:
    async def main() -> tuple[str, list[str], list[str]]:
        made = await watched(WEB)
        return (
            (await made.health()).status,
            [each["status"] for each in made.told()],
            [each["source"] for each in made.told()],
        )

    assert run_virtual(main()) == ("Healthy", ["Healthy"], ["change"])


def test_sweeps_that_find_nothing_new_write_samples_and_no_state() -> None:
    async def main() -> tuple[bool, int, str | None]:
        made = await watched(WEB)
        before = await made.document()
        for _ in range(5):
            await made.sweep()
        now, after = made.app.service.clock.now(), await made.document()
        assert before is not None
        assert after is not None
        history, _ = await queries.get_history(
            service_of(), made.ctx, made.app, limit=100, continuation=None
        )
        checked_at = (await made.health()).checked_at
        assert checked_at == now
        return after.etag == before.etag, len(history), history[0].status

    assert run_virtual(main()) == (True, 6, "Healthy")


def test_a_heartbeat_is_told_every_five_minutes_with_a_newer_revision() -> None:
    async def main() -> list[tuple[str, str]]:
        made = await watched(WEB)
        for _ in range(25):
            await made.sweep()
        revisions = [each["revision"] for each in made.told()]
        assert revisions == sorted(set(revisions))
        return [(each["source"], each["status"]) for each in made.told()]

    assert run_virtual(main()) == [("change", "Healthy")] + [("heartbeat", "Healthy")] * 2


def test_three_failing_sweeps_make_it_unhealthy_and_two_passing_ones_healthy() -> None:
    async def main() -> list[str]:
        made, found = await watched(WEB), []
        made.prober.failing.add("/health")
        for _ in range(3):
            await made.sweep()
            found.append((await made.health()).status.value)
        made.prober.failing.clear()
        for _ in range(2):
            await made.sweep()
            found.append((await made.health()).status.value)
        return found

    assert run_virtual(main()) == ["Healthy", "Healthy", "Unhealthy", "Unhealthy", "Healthy"]


def test_one_lost_answer_is_asked_for_again() -> None:
    async def main() -> int:
        made = await watched(WEB)
        made.prober.asked.clear()
        made.prober.failing.add("/health")
        await made.sweep()
        return len(made.prober.asked)

    assert run_virtual(main()) == 2 * 4  # instances, and the first try with three more


def test_path_and_timeout_are_the_components_own() -> None:
    async def main() -> set[tuple[str, float]]:
        made = health()
        probe = {"readiness": {"path": "/ready?deep=1", "timeout": "PT1.5S"}}
        await made.hear_all(ended(1, [released(probes=probe)], at=EPOCH))
        await run(made.world)
        await made.sweep()
        return set(made.prober.asked)

    assert run_virtual(main()) == {("http://127.0.0.1:1/ready?deep=1", 1.5)}


@pytest.mark.parametrize(
    "probes",
    [
        pytest.param({}, id="without-a-probe"),
        pytest.param({"readiness": {"kind": "tcp"}}, id="with-a-tcp-probe"),
        pytest.param({"readiness": {"kind": "command", "command": ["x"]}}, id="with-a-command"),
    ],
)
def test_a_component_without_an_http_question_is_as_its_surface_says(
    probes: dict[str, object],
) -> None:
    async def main() -> tuple[str, int]:
        made = health()
        await made.hear_all(ended(1, [released(probes=probes)], at=EPOCH))
        await run(made.world)
        await made.sweep()
        return (await made.health()).status, len(made.prober.asked)

    assert run_virtual(main()) == ("Healthy", 0)


def artifacts(made: Health) -> list[str]:
    """Return what runs."""
    sites = made.world.sites.values()
    components = [each for site in sites for each in site.components.values()]
    return [each.spec.artifact for component in components for each in component.revisions.values()]


@pytest.mark.parametrize(
    ("runs", "status"),
    [(Behaviour(), "Healthy"), (Behaviour(becomes_ready=False), "Unhealthy")],
    ids=["ready", "not-ready"],
)
def test_an_instance_that_may_not_be_asked_from_here_is_as_its_surface_says(
    runs: Behaviour, status: str
) -> None:
    async def main() -> tuple[str, int, set[tuple[object, str]]]:
        made = await watched(WEB)
        made.prober.may_ask, before = False, len(made.prober.asked)
        for artifact in artifacts(made):
            made.world.behaviours[artifact] = runs
        for _ in range(3):
            await made.sweep()
        found = await made.health()
        checks = {(check.probe, check.description) for check in found.checks}
        return found.status, len(made.prober.asked) - before, checks

    found, asked, checks = run_virtual(main())

    assert found == status
    assert asked == 6  # both instances, once in each sweep: what is denied is not asked again
    ((probe, why),) = checks
    assert probe is None
    assert "is in no network that health may ask: the probe of its surface counts" in why


def test_a_surface_that_cannot_be_read_makes_it_unknown_and_never_healthy() -> None:
    async def main() -> list[str]:
        made, found = await watched(WEB), []
        made.world.unreadable = "the surface is away"
        for _ in range(3):
            await made.sweep()
            found.append((await made.health()).status.value)
        return found

    assert run_virtual(main()) == ["Healthy", "Healthy", "Unknown"]


def test_what_runs_no_more_is_unhealthy() -> None:
    async def main() -> tuple[str, str]:
        made = await watched(WEB)
        vanish(made.world, WEB)
        for _ in range(3):
            await made.sweep()
        found = await made.health()
        return found.status, found.reason

    assert run_virtual(main()) == ("Unhealthy", "nothing of it runs")


MANY = [f"module-m{number}" for number in range(6)]


def test_an_outage_of_the_prober_makes_everything_unknown_and_nothing_unhealthy() -> None:
    async def main() -> tuple[set[str], set[str]]:
        made = await watched(*MANY)
        made.prober.code = "Timeout"
        made.prober.failing.add("/health")
        for _ in range(3):
            await made.sweep()
        found = [await made.health(module) for module in MANY]
        return {each.status.value for each in found}, {each.reason for each in found}

    statuses, reasons = run_virtual(main())

    assert statuses == {"Unknown"}
    assert reasons == {"most services were lost at once: the prober itself is cut off"}


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        pytest.param({"/health"}, "Unhealthy", id="which-answers"),
        pytest.param({"/health", "/alive"}, "Unknown", id="which-fails-too"),
    ],
)
def test_a_failure_is_held_against_the_reference(failing: set[str], status: str) -> None:
    async def main() -> str:
        made = await watched(WEB, reference=REFERENCE)
        made.prober.failing |= failing
        for _ in range(3):
            await made.sweep()
        return (await made.health()).status

    assert run_virtual(main()) == status


def test_the_reference_is_left_alone_while_everything_passes() -> None:
    async def main() -> list[str]:
        made = await watched(WEB, sweeps=3, reference=REFERENCE)
        return [url for url, _ in made.prober.asked if url == REFERENCE]

    assert run_virtual(main()) == []


def test_a_sweep_takes_as_long_as_its_slowest_target_and_asks_so_many_at_once() -> None:
    modules = [f"module-s{number}" for number in range(24)]

    async def main() -> tuple[float, int]:
        made = await watched(*modules)
        made.prober.takes_s, made.prober.most_at_once = 4.0, 0
        began_s = made.app.service.clock.monotonic_s()
        await made.sweep(after_s=0)
        return made.app.service.clock.monotonic_s() - began_s, made.prober.most_at_once

    took_s, at_once = run_virtual(main())

    assert took_s == pytest.approx(4.0)
    assert at_once == 48


def test_more_targets_than_one_page_are_all_looked_at() -> None:
    modules = [f"module-p{number:03d}" for number in range(120)]

    async def main() -> tuple[int, int]:
        made = health()
        for start in range(0, 120, 20):
            page = [released(module) for module in modules[start : start + 20]]
            await made.hear_all(ended(start + 1, page, at=EPOCH))
        return await made.sweep(), await made.sweep()

    assert run_virtual(main()) == (120, 120)


def test_two_sweeps_that_meet_count_one_look() -> None:
    async def main() -> tuple[int, str]:
        made = await watched(WEB)
        document = await made.document()
        assert document is not None
        failing = ServiceProbe(ProbeOutcome.FAIL, (), "no answer")
        probed = ProbedTarget(document, await made.target(), failing)
        for _ in range(3):
            await record_probe(await judge_probe(probed, made.app), made.app)
        target = await made.target()
        return target.streak, target.status

    assert run_virtual(main()) == (1, "Healthy")


@pytest.mark.parametrize("by", ["its-deployment", "its-inventory"])
def test_a_retired_service_is_no_longer_probed(by: str) -> None:
    async def main() -> tuple[int, str, str]:
        made = await watched(WEB)
        event = ended(2, [], removed=[WEB]) if by == "its-deployment" else retired()
        await made.hear_all(event)
        found = await made.health()
        return await made.sweep(), found.status, found.reason

    assert run_virtual(main()) == (0, "Unknown", "retired")


def test_a_retirement_that_comes_before_its_release_is_kept() -> None:
    async def main() -> tuple[int, int]:
        made = health()
        await made.hear_all(retired(), ended(1, [released()], at=EPOCH))
        retired_only = await made.sweep()
        await made.hear_all(ended(2, [released(revision=2)], at=EPOCH + timedelta(days=1)))
        return retired_only, await made.sweep(2 * 86_400)

    assert run_virtual(main()) == (0, 1)


def test_a_service_that_comes_back_begins_unknown_and_is_probed_again() -> None:
    async def main() -> tuple[str, int, str]:
        made = await watched(WEB)
        await made.hear_all(ended(2, [], removed=[WEB]), ended(3, [released(revision=2)]))
        before = (await made.health()).status
        return before, await made.sweep(600), (await made.health()).status

    assert run_virtual(main()) == ("Unknown", 1, "Healthy")


def test_a_new_release_of_a_healthy_service_does_not_make_it_unhealthy() -> None:
    async def main() -> tuple[str, int]:
        made = await watched(WEB)
        await made.hear_all(ended(2, [released(revision=2)]))
        found = await made.health()
        return found.status, found.release_revision

    assert run_virtual(main()) == ("Healthy", 2)


def test_samples_older_than_they_are_kept_are_forgotten() -> None:
    async def main() -> tuple[int, int, int]:
        made = await watched(WEB, sweeps=3)
        kept = await sweep.delete_old_samples(made.app)
        await made.sweep(after_s=31 * 86_400)
        forgotten = await sweep.delete_old_samples(made.app)
        history, _ = await queries.get_history(
            service_of(), made.ctx, made.app, limit=100, continuation=None
        )
        return kept, forgotten, len(history)

    assert run_virtual(main()) == (0, 3, 1)


def test_a_full_last_page_of_the_history_has_no_next_one() -> None:
    async def main() -> tuple[int, str | None]:
        made = await watched(WEB, sweeps=4)
        page, continuation = await queries.get_history(
            service_of(), made.ctx, made.app, limit=4, continuation=None
        )
        return len(page), continuation

    assert run_virtual(main()) == (4, None)


def test_the_history_is_read_by_as_many_as_a_page_may_have() -> None:
    async def main() -> tuple[int, str | None]:
        made = await watched(WEB, sweeps=4)
        page, continuation = await queries.get_history(
            service_of(), made.ctx, made.app, limit=SAMPLES_TOP_MAX, continuation=None
        )
        return len(page), continuation

    assert run_virtual(main()) == (4, None)


def test_the_history_is_paged_newest_first_without_gaps() -> None:
    async def main() -> tuple[list[datetime], list[datetime]]:
        made = await watched(WEB, sweeps=7)
        whole, _ = await queries.get_history(
            service_of(), made.ctx, made.app, limit=100, continuation=None
        )
        paged, continuation = [], None
        while True:
            page, continuation = await queries.get_history(
                service_of(), made.ctx, made.app, limit=3, continuation=continuation
            )
            paged += page
            if continuation is None:
                return [each.window.until_at for each in whole], [
                    each.window.until_at for each in paged
                ]

    whole, paged = run_virtual(main())

    assert paged == whole == sorted(whole, reverse=True)
    assert len(whole) == 7


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_an_unknown_service_and_a_foreign_one_are_not_found(tenant: str) -> None:
    async def main() -> None:
        made = await watched(WEB)
        ctx = made.bench.ctx(Scope(TenantId(tenant), "user:eve"))
        identity = service_of("module-none") if tenant == "acme" else service_of()
        with pytest.raises(HealthNotFound):
            await queries.get_health(identity, ctx, made.app)
        with pytest.raises(NotFound):
            await queries.get_health("nonsense", ctx, made.app)

    run_virtual(main())
