"""An application that answers 200 and says Degraded is Degraded, and its entries are the reason."""

import pytest

from shared.contracts.health import HealthStatus
from shared.probing.health_body import ReportedHealth
from tests.health.test_sweeps import watched
from tests.health.watching import Health
from tests.kit.told import WEB
from tests.kit.virtual_time import run_virtual

REDIS = "redis is Unhealthy: connection refused"


async def swept(made: Health, sweeps: int = 3) -> list[str]:
    """Return the statuses after each of *sweeps*, and the last reason."""
    statuses = []
    for _ in range(sweeps):
        await made.sweep()
        statuses.append((await made.health()).status.value)
    return [*statuses, (await made.health()).reason]


def test_degraded_at_200_is_degraded_and_names_the_dependency() -> None:
    async def main() -> tuple[list[str], list[str]]:
        made = await watched(WEB)
        made.prober.reported = ReportedHealth(HealthStatus.DEGRADED, REDIS)
        worse = await swept(made)
        made.prober.reported = ReportedHealth(HealthStatus.HEALTHY, "")
        return worse, await swept(made, 2)

    worse, better = run_virtual(main())

    assert worse == [
        "Healthy", "Healthy", "Degraded", f"2 of 2 instances pass; {WEB}-1-0: {REDIS}",
    ]  # fmt: skip
    assert better == ["Degraded", "Healthy", "2 of 2 instances pass"]


def test_what_fails_names_the_dependency_too() -> None:
    async def main() -> list[str]:
        made = await watched(WEB)
        made.prober.failing.add("/health")
        made.prober.reported = ReportedHealth(HealthStatus.UNHEALTHY, REDIS)
        return await swept(made)

    assert run_virtual(main())[2:] == [
        "Unhealthy", f"0 of 2 instances pass; {WEB}-1-0: {REDIS}",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [HealthStatus.HEALTHY, HealthStatus.DEGRADED])
def test_a_check_has_what_its_instance_reports(status: HealthStatus) -> None:
    async def main() -> tuple[str, str]:
        made = await watched(WEB)
        made.prober.reported = ReportedHealth(status, REDIS)
        await made.sweep()
        check = (await made.health()).checks[0]
        return check.status, check.description

    assert run_virtual(main()) == (status, REDIS)
