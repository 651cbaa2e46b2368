"""Health over its API: now, and page by page what each look said."""

from typing import Any

import pytest

from function_apps.health.use_cases import queries
from shared.contracts.health import HealthCheckResult, ServiceHealth
from shared.kernel.errors import Invalid
from tests.health.watching import health
from tests.kit.sending import send
from tests.kit.told import ended, released, run, service_of
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.kit.world import World

PATH = f"/runtime/services/{service_of()}/health"


async def told() -> World:
    world = World()
    await world.boot()
    await run(world.surface)
    await send("runtime-events", ended(1, [released()], at=EPOCH), number=1)
    await world.clock.sleep(200)
    return world


def test_the_answer_is_what_was_published() -> None:
    async def main() -> tuple[int, Any, bool]:
        world = await told()
        status, body = await world.call("GET", PATH)
        found = ServiceHealth.model_validate(body)
        age = world.clock.now() - found.checked_at if found.checked_at else None
        await world.stop()
        return status, body["status"], age is not None and age.total_seconds() <= 30

    assert run_virtual(main()) == (200, "Healthy", True)


def test_the_history_follows_its_own_links_to_the_end() -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        world = await told()
        _, whole = await world.call("GET", f"{PATH}/history")
        paged, link = [], f"{PATH}/history?top=2"
        while link:
            _, page = await world.call("GET", link)
            paged += page["value"]
            link = page["nextLink"]
        await world.stop()
        return whole["value"], paged

    whole, paged = run_virtual(main())
    rows = [HealthCheckResult.model_validate(each) for each in whole]

    assert paged == whole
    assert len(rows) >= 5
    assert {(row.status, row.window.samples, row.window.errors) for row in rows} == {
        ("Healthy", 2, 0)
    }


@pytest.mark.parametrize("token", ["", "~", "0", "9999", "2026-01-01", "x" * 3000, "\x00"])
def test_a_continuation_that_ends_no_page_is_refused(token: str) -> None:
    async def main() -> None:
        made = health()
        await made.hear_all(ended(1, [released()], at=EPOCH))
        with pytest.raises(Invalid):
            await queries.get_history(
                service_of(), made.ctx, made.app, limit=100, continuation=token
            )

    run_virtual(main())
