"""Tenants take turns at fetches: slow repositories of one delay no other's sources."""

import asyncio
from collections.abc import Sequence
from typing import Any

from function_apps.drift.model.environment_scan import EnvironmentScan
from function_apps.drift.model.git_source import new_source
from function_apps.drift.repository import SCANS, SOURCES
from function_apps.drift.use_cases.fetch_git_sources import RUN, fetch_due_sources
from shared.contracts.drift import FollowGitSource
from shared.kernel.context import Context, timer_context
from shared.kernel.ids import TenantId, git_source_id
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.codec import DocumentCodec, Put
from tests.drift.compared import virtual
from tests.drift.followed import Followed, followed
from tests.kit.told import ENVIRONMENT

SLOW_S = 60.0


async def follow(made: Followed, tenant: str, urls: Sequence[str], takes_s: float = 0.0) -> None:
    """Store due sources of *tenant*, one for each of *urls*, which take *takes_s* to answer."""
    service, owner = made.drift.app.service, TenantId(tenant)
    ctx = timer_context("test", owner, service.clock, service.entropy).without_marker()
    known = SCANS.put(EnvironmentScan(ENVIRONMENT, revision=1))
    await store(made, ctx, SCANS, ENVIRONMENT, known)
    for url in urls:
        command = FollowGitSource.model_validate(
            {"repository": url, "environmentIds": [ENVIRONMENT]}
        )
        identity = git_source_id(owner, url, "main", "")
        source = new_source(command, identity, tenant, ctx.now())
        await store(made, ctx, SOURCES, identity, SOURCES.put(source))
        made.repository.slow_s[url] = takes_s


async def store(
    made: Followed, ctx: Context, codec: DocumentCodec[Any], identity: str, document: Put
) -> None:
    def decide(_: View) -> Decision[Json]:
        return Decision({}, writes=[document])

    await made.drift.app.service.work.change(ctx, codec, identity, decide)


def urls(tenant: str, count: int) -> list[str]:
    return [f"https://git.{tenant}.example/{number}.git" for number in range(count)]


@virtual
async def test_slow_repositories_of_two_tenants_do_not_delay_a_third() -> None:
    made = await followed()
    clock = made.drift.app.service.clock
    for slow in ("globex", "initech"):
        await follow(made, slow, urls(slow, 20), SLOW_S)
    await clock.sleep(1)
    (fast,) = urls("hooli", 1)
    await follow(made, "hooli", [fast])

    began_s = clock.monotonic_s()
    await fetch_due_sources(made.drift.app)

    assert made.repository.asked_at_s[fast] - began_s < 1


@virtual
async def test_what_is_due_while_slow_ones_are_fetched_does_not_wait_for_their_end() -> None:
    made = await followed()
    clock = made.drift.app.service.clock
    await follow(made, "globex", urls("globex", 20), SLOW_S)
    run = asyncio.create_task(fetch_due_sources(made.drift.app))
    await clock.sleep(1)
    (fast,) = urls("hooli", 1)
    await follow(made, "hooli", [fast])
    added_s = clock.monotonic_s()

    await run

    every = made.drift.app.rules.check_due_every
    assert made.repository.asked_at_s[fast] - added_s <= every.total_seconds()


@virtual
async def test_a_run_ends_and_the_next_fetches_what_had_no_turn() -> None:
    made = await followed()
    clock = made.drift.app.service.clock
    slow = urls("globex", 20)
    await follow(made, "globex", slow, SLOW_S)
    began_s = clock.monotonic_s()

    await fetch_due_sources(made.drift.app)
    assert clock.monotonic_s() - began_s <= RUN.total_seconds() + SLOW_S
    assert set(slow) > made.repository.asked_at_s.keys() & set(slow)
    await fetch_due_sources(made.drift.app)

    assert set(slow) <= made.repository.asked_at_s.keys()
