"""A service that starts again after a planned stop is Unknown for a while, and not Unhealthy."""

from datetime import timedelta

from function_apps.health.ports import HealthRules
from shared.contracts.health import HealthDefaults
from tests.health.watching import Health, health
from tests.kit.memory_cluster import Behaviour
from tests.kit.told import DIGEST, WEB, ended, released, run
from tests.kit.virtual_time import EPOCH, run_virtual

RULES = HealthDefaults(sweep=timedelta(seconds=2), resumed_within=timedelta(seconds=90))
FAILING = "/"


async def healthy_service() -> Health:
    made = health(rules=HealthRules(RULES))
    await made.hear_all(ended(1, [released(WEB)], at=EPOCH))
    await run(made.world, WEB)
    await made.sweep()
    return made


async def sweeps(made: Health, *, for_s: float) -> list[str]:
    """Sweep every 2 s; return the statuses that were published from the beginning."""
    for _ in range(int(for_s / 2)):
        await made.sweep(2.0)
    return [each["status"] for each in made.told() if each["source"] == "change"]


def test_a_service_that_starts_again_with_its_host_is_never_unhealthy() -> None:
    async def main() -> list[str]:
        made = await healthy_service()
        made.world.behaviours[DIGEST] = Behaviour(start_s=30.0)
        made.world.stop()
        made.prober.failing.add(FAILING)
        await sweeps(made, for_s=28.0)
        made.prober.failing.clear()
        return await sweeps(made, for_s=10.0)

    assert run_virtual(main()) == ["Healthy", "Unknown", "Healthy"]


def test_a_service_that_does_not_come_back_is_unhealthy_after_its_time() -> None:
    async def main() -> tuple[list[str], list[str]]:
        made = await healthy_service()
        made.world.behaviours[DIGEST] = Behaviour(start_s=1e6)
        made.world.stop()
        made.prober.failing.add(FAILING)
        return await sweeps(made, for_s=90.0), await sweeps(made, for_s=10.0)

    early, late = run_virtual(main())

    assert early == ["Healthy", "Unknown"]
    assert late == ["Healthy", "Unknown", "Unhealthy"]


def test_a_service_that_fails_without_a_stop_is_unhealthy_after_three_probes() -> None:
    async def main() -> list[str]:
        made = await healthy_service()
        made.prober.failing.add(FAILING)
        return await sweeps(made, for_s=6.0)

    assert run_virtual(main()) == ["Healthy", "Unhealthy"]
