"""A dry run changes nothing, and lists whatever the request would refuse in the same state."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.deployments.errors import CannotBePlanned
from function_apps.deployments.use_cases.deploy import deploy, plan_deployment
from function_apps.deployments.use_cases.promote import plan_promotion, promote
from shared.contracts.deployments import Deploy
from shared.contracts.environments import EnvironmentStatus
from shared.contracts.promotions import PromoteDeployment
from shared.contracts.values import Stage
from shared.kernel.errors import Refused
from shared.persistence.store import Document, Prefix, Query, pages
from tests.deployments.driven import CART, SHOP, TEST, WEB, Driven, driven, environment
from tests.deployments.test_facts_for_the_next_unit import bound
from tests.deployments.test_holds_are_of_release_units import one_in_force, turned_back
from tests.kit.service import TENANT
from tests.kit.virtual_time import run_virtual

STAGING: Final = environment("staging")
NO_ARTIFACT: Final = "sha256:" + "0" * 64
COMPONENTS: Final = st.fixed_dictionaries(
    {"content": st.sampled_from(["one", "two", "bad"]), "version": st.sampled_from(["1", "2"])}
)
MODULES: Final = st.sampled_from([SHOP, CART, WEB])
ODD_COMPONENTS: Final = st.sampled_from(
    [
        *[{}] * 10,
        {"command": []},
        {"computeTarget": "AKS"},
        {"dependsOn": ["module-none"]},
        {"dependsOn": [CART]},
        {"pathPrefix": "/"},
        {"artifactDigest": NO_ARTIFACT},
        {"environ": {"LOG": "debug"}},
    ]
)
ODD_RELEASES: Final = st.sampled_from(
    [
        *[{}] * 8,
        {"environmentId": STAGING},
        {"onConflict": "reject"},
        {"onConflict": "supersede"},
        {"restart": True},
        {"strategy": {"kind": "rolling"}},
        {"strategy": {"kind": "recreate"}},
        {"remove": ["module-none"]},
        {"remove": [WEB]},
    ]
)
RELEASES: Final = st.tuples(
    st.dictionaries(MODULES, st.builds(dict.__or__, COMPONENTS, ODD_COMPONENTS), min_size=1),
    ODD_RELEASES,
)
STATUSES: Final = [
    *[EnvironmentStatus.PROVISIONED] * 4,
    EnvironmentStatus.FAILED,
    EnvironmentStatus.DECOMMISSIONING,
    EnvironmentStatus.DECOMMISSIONED,
]
ACTS: Final = st.one_of(
    st.tuples(st.just("deploy"), RELEASES),
    st.tuples(st.just("settle"), st.sampled_from([0, 400])),
    st.tuples(st.just("tell"), st.sampled_from(STATUSES)),
    st.tuples(st.sampled_from(["cancel", "roll back", "promote"]), st.integers(0, 3)),
)
Release = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The fields of each component by its module, and those of the release."""


class History:
    """What happened in one world, and the deployments that it made."""

    def __init__(self, world: Driven) -> None:
        self.world = world
        self.deployments: list[str] = []

    async def act(self, act: str, argument: Any) -> None:
        """Do *act*; a refusal is an answer, too."""
        with suppress(Refused):
            match act:
                case "tell":
                    await self.world.tell(argument)
                case "settle":
                    await self.world.settle(within_s=20_000)
                    await self.world.app.service.clock.sleep(argument)
                case "deploy":
                    if command := await release(self.world, argument):
                        await self._made(deploy(command, self.world.ctx, self.world.app))
                case _ if self.deployments:
                    await self._change(act, self.deployments[argument % len(self.deployments)])

    async def _change(self, act: str, deployment: str) -> None:
        match act:
            case "cancel":
                await self.world.cancel(deployment)
            case "roll back":
                self.deployments.append((await self.world.rollback(deployment))["deploymentId"])
            case "promote":
                command = promotion(deployment)
                await self._made(promote(command, self.world.ctx, self.world.app, token="t"))

    async def _made(self, outcome: Any) -> None:
        self.deployments.append((await outcome).value["deploymentId"])


async def release(world: Driven, given: Release) -> Deploy | None:
    """Return the command of a drawn release; None where the contracts refuse it."""
    components = [
        await world.component(module=module, **fields) for module, fields in given[0].items()
    ]
    fields = {"environmentId": TEST, "releaseRef": "r", "components": components, **given[1]}
    with suppress(ValueError):
        return Deploy.model_validate(fields)
    return None


def promotion(deployment: str) -> PromoteDeployment:
    fields = {"deploymentId": deployment, "toEnvironmentId": STAGING}
    return PromoteDeployment.model_validate(fields)


async def stored(world: Driven) -> Sequence[Document]:
    store = world.app.service.store
    return [document async for document in pages(store, Prefix(TENANT), Query(limit=200))]


async def refused(asked: Any) -> set[str]:
    """Return the codes with which *asked* is refused, or which its plan lists."""
    try:
        plan = await asked
    except CannotBePlanned as refusals:
        return {refusal.code for refusal in refusals.details}
    except Refused as refusal:
        return {refusal.code}
    return {refusal.code for refusal in getattr(plan, "refusals", ())}


async def compare(history: History, command: Deploy | PromoteDeployment) -> None:
    world, before = history.world, await stored(history.world)
    if isinstance(command, Deploy):
        planned = await refused(plan_deployment(command, world.ctx, world.app))
    else:
        planned = await refused(plan_promotion(command, world.ctx, world.app, token="t"))
    assert await stored(world) == before
    if isinstance(command, Deploy):
        assert await refused(deploy(command, world.ctx, world.app)) <= planned
    else:
        assert await refused(promote(command, world.ctx, world.app, token="t")) <= planned


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(acts=st.lists(ACTS, max_size=10), asked=st.lists(RELEASES, min_size=1, max_size=3))
def test_the_refusals_of_a_request_are_among_those_of_its_dry_run(
    acts: Sequence[tuple[str, Any]], asked: Sequence[Release]
) -> None:
    async def main() -> None:
        history = History(driven())
        await history.world.tell()
        await history.world.tell(stage=Stage.STAGING, name="staging")
        history.world.health.bad.add(await history.world.upload("bad"))
        for act, argument in acts:
            await history.act(act, argument)
        for given_release in asked:
            if command := await release(history.world, given_release):
                await compare(history, command)
        for deployment in history.deployments[-2:]:
            await compare(history, promotion(deployment))

    run_virtual(main())


def test_what_keeps_a_release_from_the_queue_is_listed_beside_each_other() -> None:
    async def main() -> Any:
        world = driven()
        await one_in_force(world)
        await turned_back(world, "two")
        await bound(world, "Suspended")
        component = await world.component("two")
        missing = await world.component("cart", CART, artifactDigest=f"sha256:{'0' * 64}")
        command = await world.command(component, missing)
        return await refused(plan_deployment(command, world.ctx, world.app))

    codes = run_virtual(main())

    assert codes >= {"ArtifactMissing", "TenantBindingSuspended", "Held"}
