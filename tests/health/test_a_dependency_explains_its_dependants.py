"""A failing dependency explains its dependants, which raise no alert, unless a fault is theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from shared.contracts.health import HealthStatus
from shared.probing.health_body import ReportedHealth
from tests.health.watching import Health, health
from tests.kit.told import component_of, ended, released, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual

WEB, ORDERS, DB = "module-web", "module-orders", "module-db"
CHAIN = {WEB: (ORDERS,), ORDERS: (DB,), DB: ()}


async def watched(edges: Mapping[str, Sequence[str]] = CHAIN) -> Health:
    made = health()
    components = [
        released(module, dependsOn=list(needs), probes={"readiness": {"path": f"/ready-{module}"}})
        for module, needs in edges.items()
    ]
    await made.hear_all(ended(1, components, at=EPOCH))
    for module in edges:
        await run(made.world, module)
    await made.app.service.clock.sleep(30)
    await made.sweep()
    return made


async def fail(made: Health, *modules: str, sweeps: int = 4) -> None:
    """Let the readiness of *modules* fail from now on, seen by *sweeps*."""
    made.prober.failing |= {f"/ready-{module}" for module in modules}
    for _ in range(sweeps):
        await made.sweep()


async def recover(made: Health, *modules: str, sweeps: int = 3) -> None:
    made.prober.failing -= {f"/ready-{module}" for module in modules}
    for _ in range(sweeps):
        await made.sweep()


def alerted(made: Health) -> Sequence[str]:
    """Return the modules that have raised an alert, in order."""
    names = {service_of(module): module for module in (WEB, ORDERS, DB)}
    bodies = made.bench.sent.bodies("RuntimeAlertRaised")
    return [names[body["payload"]["serviceId"]] for body in bodies]


async def causes(made: Health, *modules: str) -> Sequence[str | None]:
    found = [(await made.health(module)).root_cause for module in modules]
    return [None if cause is None else cause.module_id for cause in found]


@pytest.mark.parametrize(
    "first",
    [pytest.param(DB, id="the-dependency-first"), pytest.param(WEB, id="the-dependant-first")],
)
def test_the_last_of_a_chain_is_the_cause_and_alone_is_alerted(first: str) -> None:
    async def main() -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        made = await watched()
        await fail(made, first, sweeps=1)
        await fail(made, WEB, ORDERS, DB)
        in_events = [each.get("rootCause") for each in made.told()[-3:]]
        return alerted(made), await causes(made, WEB, ORDERS, DB), in_events

    alerts, named, in_events = run_virtual(main())

    assert alerts == [DB]
    assert named == [DB, DB, None]
    assert {cause["moduleId"] for cause in in_events if cause} == {DB}


def test_a_dependency_that_is_well_or_fails_much_later_explains_nothing() -> None:
    async def main() -> Sequence[str]:
        made = await watched()
        await fail(made, WEB, sweeps=8)
        await fail(made, ORDERS, DB)
        return alerted(made)

    assert run_virtual(main()) == [WEB, DB]


def test_a_dependant_whose_own_process_restarts_is_alerted_too() -> None:
    async def main() -> tuple[Sequence[str], Sequence[Any]]:
        made = await watched()
        await fail(made, ORDERS, DB, sweeps=1)
        made.world.crash(component_of(ORDERS), f"{ORDERS}-1-1", 1, "Exited")
        await fail(made, ORDERS, DB, WEB)
        return alerted(made), await causes(made, WEB, ORDERS)

    alerts, named = run_virtual(main())

    assert sorted(alerts) == [DB, ORDERS]
    assert named == [ORDERS, None]


def test_a_dependant_that_does_not_recover_with_its_dependency_is_alerted_later() -> None:
    async def main() -> tuple[Sequence[str], Sequence[str]]:
        made = await watched()
        await fail(made, WEB, ORDERS, DB)
        await recover(made, ORDERS, DB, sweeps=4)
        shortly_after = alerted(made)
        await recover(made, sweeps=12)
        return shortly_after, alerted(made)

    assert run_virtual(main()) == ([DB], [DB, WEB])


def test_services_that_need_each_other_have_one_cause_between_them() -> None:
    async def main() -> tuple[Sequence[str], Sequence[Any]]:
        made = await watched({WEB: (ORDERS,), ORDERS: (WEB, DB), DB: ()})
        await fail(made, ORDERS, sweeps=1)
        await fail(made, WEB, ORDERS)
        return alerted(made), await causes(made, WEB, ORDERS)

    assert run_virtual(main()) == ([ORDERS], [ORDERS, None])


def test_what_a_health_body_names_is_an_edge_that_nobody_declared() -> None:
    async def main() -> tuple[Sequence[str], Sequence[Any]]:
        made = await watched({WEB: (), DB: ()})
        made.prober.reported = ReportedHealth(HealthStatus.UNHEALTHY, "db is Unhealthy: timed out")
        await fail(made, WEB, DB)
        return alerted(made), await causes(made, WEB)

    assert run_virtual(main()) == ([DB], [DB])


def test_a_service_that_comes_back_after_its_removal_is_explained_by_nothing() -> None:
    async def main() -> tuple[Sequence[Any], Sequence[Any]]:
        made = await watched()
        await fail(made, WEB, ORDERS, DB)
        before = await causes(made, WEB)
        await made.hear_all(
            ended(8, [], removed=[WEB]), ended(9, [released(WEB, 2, dependsOn=[ORDERS])])
        )
        return before, await causes(made, WEB)

    assert run_virtual(main()) == ([DB], [None])


def test_a_dependency_whose_probe_is_defective_explains_as_it_was() -> None:
    async def main() -> Sequence[str]:
        made = await watched()
        await fail(made, ORDERS, DB)
        broken = made.app.surface

        class Surface:
            def __getattr__(self, name: str) -> Any:
                return getattr(broken, name)

            async def observe(self, component: Any) -> Any:
                if component.module == DB:
                    raise ZeroDivisionError
                return await broken.observe(component)

        object.__setattr__(made.app, "surface", Surface())
        await fail(made, WEB, ORDERS, sweeps=5)
        return alerted(made)

    assert run_virtual(main()) == [DB]
