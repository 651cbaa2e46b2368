"""Instances that follow live: what they are told stays what is in force, and their polls spread."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from function_apps.configurations.triggers import get_effective_configuration
from shared.kernel.context import Scope, Workload
from shared.kernel.errors import Denied
from shared.web.request import Answer, Request
from tests.configurations.configured import MODULE_LAYER, Configurations, configurations, shown
from tests.kit.service import SCOPE
from tests.kit.told import ENVIRONMENT, WEB
from tests.kit.virtual_time import run_virtual


async def _polled(on: Configurations, known: str, instance: str = "web-0") -> Answer:
    return await on.answered(if_none_match=f'"{known}"', wait=40, instance=instance)


def test_each_is_answered_by_one_publish_and_waits_again() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        first = (await on.effective())["hash"]
        polls = [asyncio.ensure_future(_polled(on, first, f"web-{n}")) for n in range(20)]
        await on.app.service.clock.sleep(5)
        await on.publish(MODULE_LAYER, {"a": 2}, 1)
        answers = [shown(await poll) for poll in polls]
        again = asyncio.ensure_future(_polled(on, answers[0]["hash"]))
        _, waiting = await asyncio.wait([again], timeout=5)
        again.cancel()
        return answers, len(waiting)

    answers, waiting = run_virtual(main())

    assert [each["values"] for each in answers] == [{"a": 2}] * 20
    assert waiting == 1


def test_who_has_another_version_than_those_who_wait_is_told_what_is_in_force() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        first = (await on.effective())["hash"]
        await on.publish(MODULE_LAYER, {"a": 2}, 1)
        second = (await on.effective())["hash"]
        waiting = asyncio.ensure_future(_polled(on, second, "web-1"))
        await on.app.service.clock.sleep(1)
        behind = shown(await _polled(on, first))
        waiting.cancel()
        return behind["values"]

    assert run_virtual(main()) == {"a": 2}


def test_those_who_began_together_do_not_end_together() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        known = (await on.effective())["hash"]
        clock = on.app.service.clock
        began_s = clock.monotonic_s()

        async def held(number: int) -> float:
            answer = await _polled(on, known, f"web-{number}")
            assert answer.status == 304
            return clock.monotonic_s() - began_s

        return await asyncio.gather(*(held(number) for number in range(100)))

    times = run_virtual(main())

    assert min(times) >= 30
    assert max(times) <= 40 + 0.01
    assert len({int(each) for each in times}) >= 9


def test_a_workload_is_given_its_own_configuration_and_no_other() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        mine = replace(SCOPE, workload=Workload(ENVIRONMENT, WEB))
        own = await _asked_as(on, mine, ENVIRONMENT, WEB)
        refused = []
        for environment, module in (
            (ENVIRONMENT, "module-other"), ("env-" + "b" * 12, WEB),
        ):  # fmt: skip
            with pytest.raises(Denied) as problem:
                await _asked_as(on, mine, environment, module)
            refused.append(problem.value.code)
        return shown(own)["values"], refused

    assert run_virtual(main()) == ({"a": 1}, ["ScopeMissing"] * 2)


def test_the_token_of_one_instance_reports_for_that_one_only() -> None:
    async def main() -> Any:
        on = await configurations()
        await on.publish(MODULE_LAYER, {"a": 1})
        mine = replace(SCOPE, workload=Workload(ENVIRONMENT, WEB, "web-1-0"))
        for itself in ({}, {"instance": "web-1-0"}):
            await _asked_as(on, mine, ENVIRONMENT, WEB, **itself)
        with pytest.raises(Denied) as refused:
            await _asked_as(on, mine, ENVIRONMENT, WEB, instance="web-1-1")
        return refused.value.code

    assert run_virtual(main()) == "ScopeMissing"


async def _asked_as(
    on: Configurations, scope: Scope, environment: str, module: str, **more: str
) -> Answer:
    query = {"environmentId": environment, "moduleId": module, **more}
    request: Request[None] = Request(None, on.bench.ctx(scope), {}, query)
    return await get_effective_configuration(request, on.app)
