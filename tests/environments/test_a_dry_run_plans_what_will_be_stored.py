"""The plan of a dry run is accepted by the request that follows it, in whatever trace."""

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from function_apps.environments.errors import EnvironmentExists, PlanChanged
from function_apps.environments.resources import CHANGED_MAX
from function_apps.environments.use_cases.plan_environment import plan_change, plan_request
from function_apps.environments.use_cases.provision_environment import provision_environment
from shared.contracts.environments import UpdateEnvironment
from shared.infrastructure.port import InfrastructureEngine, StackName
from shared.kernel.errors import Refused
from shared.kernel.transitions import TransitionRefused
from tests.environments.driven import (
    CONTENT,
    Environments,
    OtherEngine,
    a_request,
    environments,
)
from tests.kit.losing_store import losing
from tests.kit.virtual_time import run_virtual


@dataclass
class CountedEngine:
    """An engine that counts its previews."""

    engine: InfrastructureEngine
    previews: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def preview(self, *asked: Any) -> Any:
        self.previews += 1
        return await self.engine.preview(*asked)


async def _provision_by_plan(world: Environments) -> str:
    """Dry-run a request in one trace, and send it with its plan in another."""
    plan = await plan_request(a_request(), world.bench.ctx(trace_id="trace-plan"), world.app)
    ctx = world.bench.ctx(trace_id="trace-request")
    outcome = await provision_environment(a_request(planId=plan.plan_id), ctx, world.app)
    await world.run_started()
    return str(outcome.value["environment"]["environmentId"])


class GenerationEngine(OtherEngine):
    """Its plans differ with the generation, as those of the Azure program do (vault names)."""

    async def preview(self, stack: StackName, inputs: object) -> object:
        self.generation = inputs.generation  # type: ignore[attr-defined]
        return await self.inner.preview(stack, inputs)


def test_a_new_environment_is_applied_as_planned() -> None:
    async def main() -> None:
        world = environments()
        identity = await _provision_by_plan(world)

        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_a_retry_is_applied_as_planned() -> None:
    async def main() -> None:
        world = environments()
        world.world.refusing["site"] = Refused("port taken", code="PortTaken")
        await world.request()
        await world.run_started()
        world.world.refusing.clear()
        identity = await _provision_by_plan(world)

        assert (await world.environment(identity)).status == "Provisioned"

    run_virtual(main())


def test_a_new_generation_is_planned_as_one() -> None:
    async def main() -> None:
        world = environments()
        engine = world.use_engine(GenerationEngine)
        identity = await world.request()
        await world.run_started()
        await world.decommission(identity)
        await world.run_started()
        await plan_request(a_request(), world.ctx, world.app)

        assert engine.generation == 2
        assert await _provision_by_plan(world) == identity

    run_virtual(main())


def test_a_plan_names_the_revision_that_it_was_made_against() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        await world.run_started()
        known = await world.environment(identity)
        update = {**CONTENT, "tags": {"a": "b"}, "environmentId": identity}
        plan = await plan_change(UpdateEnvironment.model_validate(update), world.ctx, world.app)

        assert plan.base_revision == known.revision

    run_virtual(main())


def test_a_plan_of_more_changed_properties_than_it_shows_is_a_plan() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request(tags={f"a{n}" * 40: "1" for n in range(40)})
        await world.run_started()
        tags = {f"b{n}" * 40: "1" for n in range(40)}
        update = UpdateEnvironment.model_validate(
            {**CONTENT, "tags": tags, "environmentId": identity}
        )
        plan = await plan_change(update, world.ctx, world.app)

        assert max(len(each.changed) for each in plan.resources) == CHANGED_MAX

    run_virtual(main())


def test_a_dry_run_is_refused_where_the_request_would_be() -> None:
    async def main() -> None:
        world = environments()
        identity = await world.request()
        with pytest.raises(EnvironmentExists):
            await plan_request(a_request(tags={"a": "b"}), world.ctx, world.app)
        update = UpdateEnvironment.model_validate({**CONTENT, "environmentId": identity})
        with pytest.raises(TransitionRefused):
            await plan_change(update, world.ctx, world.app)

    run_virtual(main())


def test_a_dry_run_is_refused_where_another_plan_was_approved() -> None:
    async def main() -> None:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        same = await plan_request(a_request(planId=plan.plan_id), world.ctx, world.app)
        with pytest.raises(PlanChanged):
            await plan_request(a_request(planId="another"), world.ctx, world.app)
        identity = await world.request()
        await world.run_started()
        update = UpdateEnvironment.model_validate(
            {**CONTENT, "tags": {"a": "b"}, "environmentId": identity, "planId": plan.plan_id}
        )
        with pytest.raises(PlanChanged):
            await plan_change(update, world.ctx, world.app)

        assert same.plan_id == plan.plan_id

    run_virtual(main())


def test_an_approved_plan_is_looked_at_once_though_others_write_first() -> None:
    async def main() -> Any:
        world = environments()
        plan = await plan_request(a_request(), world.ctx, world.app)
        engine = CountedEngine(world.app.engine)
        app = replace(
            world.app,
            service=losing(world.app.service),
            engine=cast("InfrastructureEngine", engine),  # the rest by `__getattr__`
        )
        await provision_environment(a_request(planId=plan.plan_id), world.ctx, app)
        return engine.previews

    assert run_virtual(main()) == 1


def test_a_dry_run_of_a_repeat_is_answered_whatever_was_approved() -> None:
    async def main() -> None:
        world = environments()
        await world.request()
        repeat = a_request(planId="another")
        plan = await plan_request(repeat, world.ctx, world.app)
        outcome = await provision_environment(repeat, world.ctx, world.app)

        assert (plan.refusals, outcome.is_repeat) == ((), True)

    run_virtual(main())
