"""A job that ran is Healthy; a schedule is Degraded by one failed run, Unhealthy by three."""

import pytest

from shared.surfaces.observed_state import FAILED_RUNS_MAX
from shared.surfaces.spec import Schedule
from tests.health.watching import Health, health
from tests.kit.told import WEB, component_of, ended, released, run
from tests.kit.virtual_time import EPOCH, run_virtual

BARE = {"port": None, "probes": {}, "replicas": 1}
NIGHTLY = {"schedule": {"cron": "0 2 * * *"}, **BARE}


async def nightly(failed_runs: int) -> Health:
    made = health()
    await made.hear_all(ended(1, [released(WEB, **NIGHTLY)], at=EPOCH))
    await run(made.world, replicas=1, port=None, schedule=Schedule("0 2 * * *", 60))
    await made.sweep()
    (revision,) = made.world.component(component_of()).revisions.values()
    revision.failed_runs = failed_runs
    for _ in range(4):
        await made.sweep()
    return made


@pytest.mark.parametrize(
    ("failed_runs", "status"),
    [(0, "Healthy"), (1, "Degraded"), (FAILED_RUNS_MAX - 1, "Degraded"),
     (FAILED_RUNS_MAX, "Unhealthy")],
)  # fmt: skip
def test_runs_that_failed_are_told(failed_runs: int, status: str) -> None:
    async def main() -> tuple[str, str]:
        known = await (await nightly(failed_runs)).health()
        return known.status, known.reason

    found, reason = run_virtual(main())

    assert found == status
    assert (f"{failed_runs} runs failed" in reason) == (failed_runs > 0)


def test_a_job_of_a_release_in_force_is_healthy_whether_or_not_it_is_still_there() -> None:
    async def main() -> tuple[str, str, int]:
        made = health()
        await made.hear_all(ended(1, [released(WEB, runsOnce={}, **BARE)], at=EPOCH))
        await made.sweep()
        known = await made.health()
        return known.status, known.reason, len(made.prober.asked)

    assert run_virtual(main()) == ("Healthy", "it ran to its end with its release", 0)
