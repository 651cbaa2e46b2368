"""A write that is killed before or after any of its requests, and repeated, ends like any other."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from shared.kernel.fence import StaleFence
from shared.kernel.ids import TenantId
from shared.kernel.observation import Present
from shared.surfaces.aks.kinds import (
    AUTOSCALERS,
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    JOBS,
    ROUTES,
    SERVICES,
    Kind,
)
from shared.surfaces.aks.secret_classes import CLASSES
from shared.surfaces.boundaries import BoundarySpec, Quota, boundary_properties
from shared.surfaces.capabilities import Feature
from shared.surfaces.port import Boundaries, NativeScaling, Schedules
from shared.surfaces.scaling import Measure, ReplicasOwner, ScalingRules, UtilizationRule
from shared.surfaces.spec import Resources, RevisionSpec, RunOnce, Schedule
from tests.surfaces.aks_harness import AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SITE, SurfaceHarness, fence
from tests.surfaces.test_contract_of_configuration import configured
from tests.surfaces.test_secrets_on_a_cluster import give_identity, with_secrets

if TYPE_CHECKING:
    from httpx2 import Request, Response

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = [pytest.mark.once, pytest.mark.shows(Feature.IMAGES, on="aks")]
REQUESTS_MAX = 20


class Killed(BaseException):
    """Ends a write as the end of its process does: nothing of ours handles it."""


class Death:
    """Kills a write at its request number *at*: before it is sent, or when it is answered."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.after = False
        self._count = 0

    def come(self, at: int, *, after: bool) -> None:
        self.at, self.after, self._count = at, after, 0

    def leave(self) -> None:
        self.at = None

    async def on_request(self, request: "Request") -> None:
        if request.method != "GET":
            self._count += 1
            if self._count == self.at and not self.after:
                raise Killed

    async def on_response(self, response: "Response") -> None:
        if response.request.method != "GET" and self._count == self.at and self.after:
            raise Killed


async def killed_everywhere(
    death: Death, write: Callable[[int], Awaitable[None]], check: Callable[[int], Awaitable[None]]
) -> int:
    """Call *write* with a number, killed at each of its requests, then once more, and *check*.

    Returns how many places there were.
    """
    number = 0
    for after in (False, True):
        for at in range(1, REQUESTS_MAX):
            number += 1
            death.come(at, after=after)
            try:
                await write(number)
            except Killed:
                death.leave()
                await write(number)
                await check(number)
            else:
                await check(number)
                break
        else:
            raise AssertionError("it has more requests than are tried")
    death.leave()
    return number - 2


async def names(harness: AksHarness, kind: Kind) -> list[str]:
    labels = harness.installation.of_component(SHOP)
    found, _ = await harness.api.list_all(
        kind, labels, namespace=harness.namespace, keep=lambda each: each
    )
    return sorted(
        each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"]
    )


async def mortal(harness: SurfaceHarness) -> tuple[AksHarness, Death]:
    """Return what kills the writes of the harness's surface."""
    cluster, death = cast("AksHarness", harness), Death()
    client = await cluster.host.connect()
    hooks = client._client._client.event_hooks
    hooks["request"].append(death.on_request)
    hooks["response"].append(death.on_response)
    return cluster, death


@pytest.mark.long
def test_a_site_and_a_revision_are_made_once(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, death = await mortal(harness)
        surface = harness.surface

        async def provision(number: int) -> None:
            facts = {"number": str(number)}
            await surface.ensure_site(replace(SITE, facts=facts), fence(number))

        async def is_provisioned(number: int) -> None:
            site = await surface.read_site(ENVIRONMENT)
            assert isinstance(site, Present)
            assert (site.value.facts, site.value.fence) == ({"number": str(number)}, number)

        async def apply(number: int) -> None:
            spec = replace(configured(harness, number), replicas=0)
            await surface.apply(spec, fence(number))

        async def is_applied(number: int) -> None:
            expected = sorted(f"module-shop-r{each}" for each in range(1, number + 1))
            assert await names(cluster, DEPLOYMENTS) == expected
            assert await names(cluster, CONFIG_MAPS) == expected
            assert await names(cluster, SERVICES) == expected
            assert await names(cluster, BUDGETS) == expected

        # The record and the Gateway, each before and after.
        assert await killed_everywhere(death, provision, is_provisioned) == 4
        # The record, the Deployment, the ConfigMap, the budget and the Service.
        assert await killed_everywhere(death, apply, is_applied) == 10
        with pytest.raises(StaleFence):
            await apply(1)

    run_scenario(scenario)


def test_the_class_of_its_secrets_is_made_once(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await give_identity(harness)
        cluster, death = await mortal(harness)

        async def apply(number: int) -> None:
            await harness.surface.apply(with_secrets(harness, number), fence(number))

        async def is_applied(number: int) -> None:
            expected = sorted(f"module-shop-r{each}" for each in range(1, number + 1))
            assert await names(cluster, DEPLOYMENTS) == expected
            assert await names(cluster, CLASSES) == expected

        # The record, the Deployment, the class and the budget.
        assert await killed_everywhere(death, apply, is_applied) == 8

    run_scenario(scenario)


@pytest.mark.long
def test_weights_are_whole_and_a_removal_is_one(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, death = await mortal(harness)
        surface = harness.surface
        await harness.serve(harness.spec(1), harness.spec(2))

        def split(number: int) -> Mapping[int, int]:
            return {1: 100 - number, 2: number}

        async def weigh(number: int) -> None:
            await surface.set_weights(SHOP, split(number), fence(1))

        async def is_weighed(number: int) -> None:
            assert (await harness.until(lambda _: True)).weights == split(number)
            assert await names(cluster, ROUTES) == ["module-shop"]

        async def remove(number: int) -> None:
            await surface.remove(SHOP, left[number - 1], fence(1))

        async def is_removed(number: int) -> None:
            expected = sorted(f"module-shop-r{each}" for each in left[number:])
            assert await names(cluster, DEPLOYMENTS) == expected

        # The record, the route and the component's own Service.
        assert await killed_everywhere(death, weigh, is_weighed) == 6
        await surface.set_weights(SHOP, {2: 100}, fence(1))
        for number in range(3, 8):
            await surface.apply(harness.spec(number, replicas=0), fence(1))
        left = [1, 3, 4, 5, 6, 7, 2]
        # One deletion: the cluster removes what the Deployment owns.
        assert await killed_everywhere(death, remove, is_removed) == 2

    run_scenario(scenario)


def test_a_number_is_written_once(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        _, death = await mortal(harness)
        await harness.surface.apply(harness.worker(1, replicas=0), fence(1))

        async def scale(number: int) -> None:
            await harness.surface.scale(SHOP, 1, number, fence(1))

        async def is_scaled(number: int) -> None:
            live = await harness.until(lambda _: True)
            assert live.revisions[0].replicas == number

        # One patch, killed before and after; a controller that writes the status in between may
        # have it sent again.
        assert await killed_everywhere(death, scale, is_scaled) in {2, 3, 4}

    run_scenario(scenario)


def test_a_job_is_made_once(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, death = await mortal(harness)
        uids: dict[str, str] = {}

        def job(number: int) -> RevisionSpec:
            given = {"runs_once": RunOnce(600), "drain_s": 0.0}
            return harness.ending(harness.worker(number, **given), None)

        async def apply(number: int) -> None:
            await harness.surface.apply(job(number), fence(number))
            found = await cluster.api.get(JOBS, f"module-shop-r{number}", cluster.namespace)
            assert found is not None
            uids[f"module-shop-r{number}"] = found["metadata"]["uid"]

        async def is_applied(number: int) -> None:
            await harness.surface.apply(job(number), fence(number))
            found, _ = await cluster.api.list_all(
                JOBS,
                cluster.installation.of_component(SHOP),
                namespace=cluster.namespace,
                keep=lambda each: (each["metadata"]["name"], each["metadata"]["uid"]),
            )
            assert dict(found) == uids

        # The record and the Job.
        assert await killed_everywhere(death, apply, is_applied) == 4

    run_scenario(scenario)


def test_a_schedule_changes_hands_whole(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        _, death = await mortal(harness)
        schedules = cast("Schedules", harness.surface)
        for number in (1, 2):
            given = {"schedule": Schedule("0 0 29 2 *", 60), "drain_s": 0.0}
            await harness.surface.apply(harness.worker(number, **given), fence(1))
        await schedules.activate_schedule(SHOP, 1, fence(1))

        async def active() -> set[int]:
            live = await harness.until(lambda _: True)
            return {each.revision for each in live.revisions if each.is_active}

        async def hand_over(number: int) -> None:
            try:
                await schedules.activate_schedule(SHOP, 1 + number % 2, fence(number))
            finally:
                assert len(await active()) <= 1

        async def is_handed_over(number: int) -> None:
            assert await active() == {1 + number % 2}

        # The record, the one that is suspended, and the one that is not any more.
        assert await killed_everywhere(death, hand_over, is_handed_over) == 6

    run_scenario(scenario)


@pytest.mark.long
def test_the_number_of_replicas_changes_hands_whole(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster, death = await mortal(harness)
        scaling = cast("NativeScaling", harness.surface)
        limits = Resources(cpu=0.1)
        await harness.surface.apply(harness.worker(1, replicas=2, resources=limits), fence(1))
        rules = ScalingRules(2, 5, (UtilizationRule(Measure.CPU, 70),))

        async def give_and_take(number: int) -> None:
            await scaling.set_scaling(SHOP, 1, rules, fence(number))
            assert await names(cluster, AUTOSCALERS) == ["module-shop-r1"]
            await scaling.set_scaling(SHOP, 1, None, fence(number))

        async def is_ours(_number: int) -> None:
            live = await harness.until(lambda _: True)
            assert live.revisions[0].replicas_owner is ReplicasOwner.PLATFORM
            assert live.revisions[0].replicas == 2
            assert await names(cluster, AUTOSCALERS) == []

        # The record, the trial, the owner and the scaler; the scaler's end and the owner.
        assert await killed_everywhere(death, give_and_take, is_ours) == 12

    run_scenario(scenario)


@pytest.mark.long
def test_a_boundary_is_whole(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        _, death = await mortal(harness)
        boundaries = cast("Boundaries", harness.surface)
        tenant = TenantId("globex")

        def wanted(number: int) -> BoundarySpec:
            limits, quota = Resources(memory_mb=number), Quota(instances=number)
            return BoundarySpec(ENVIRONMENT, tenant, quota, limits, may_reach=("10.1.0.0/16",))

        async def ensure(number: int) -> None:
            await boundaries.ensure_boundary(wanted(number), fence(number))

        async def is_ensured(number: int) -> None:
            reading = await boundaries.read_boundary(ENVIRONMENT, tenant)
            assert isinstance(reading, Present)
            assert reading.value.is_ready
            assert reading.value.properties == boundary_properties(wanted(number))
            assert reading.value.fence == number

        # The record, the namespace, the policy, the quota, the limits and the account.
        assert await killed_everywhere(death, ensure, is_ensured) == 12

    run_scenario(scenario)
