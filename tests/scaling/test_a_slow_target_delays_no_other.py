"""A target that does not answer costs its own policy a decision, and no other one anything."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import pytest

from function_apps.scaling.model import replay
from function_apps.scaling.ports import LOCAL_RULES, POLICIES_AT_ONCE, ScalingRules
from function_apps.scaling.repository import DOCUMENTS, POLICIES, SERVICES
from function_apps.scaling.use_cases.evaluate_policies import EVALUATE
from shared.contracts.scaling_what_if import WhatIfResult
from shared.contracts.values import ComputeTargetKind, TenantId
from shared.kernel.clock import Clock, isoformat
from shared.kernel.errors import Unavailable
from shared.kernel.ids import ModuleId, module_key, scaling_policy_id, service_id
from shared.kernel.observation import Reading
from shared.metrics.port import Measurement, MetricsQuery
from shared.persistence.store import Create, partition_of
from shared.surfaces.observed_state import LiveComponent
from shared.surfaces.spec import SurfaceComponent
from tests.kit.service import TENANT
from tests.kit.told import KEY, service_of
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.scaling.scaled import ONE, QUEUED, RULE, Gauge, Scaling, policy_of, serving, shown

SLOW = "globex"
FOR_EVER_S = 10_000.0


@dataclass
class SlowSurface:
    """The surface, which takes long to show the components of one tenant."""

    surface: Any
    clock: Clock
    takes_s: float = FOR_EVER_S
    tenant: str = SLOW
    asked: list[SurfaceComponent] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.surface, name)

    async def observe(self, component: SurfaceComponent) -> Reading[LiveComponent]:
        self.asked.append(component)
        if component.tenant == self.tenant:
            self.at_once += 1
            self.at_once_max = max(self.at_once_max, self.at_once)
            try:
                await self.clock.sleep(self.takes_s)
            finally:
                self.at_once -= 1
        return await self.surface.observe(component)  # type: ignore[no-any-return]


@dataclass
class SilentGauge(Gauge):
    """A provider that never answers."""

    clock: Clock | None = None

    async def measure(self, queries: Sequence[MetricsQuery]) -> Sequence[Measurement]:
        assert self.clock is not None
        await self.clock.sleep(FOR_EVER_S)
        return await super().measure(queries)


async def slow(made: Scaling, *, policies: int, takes_s: float = FOR_EVER_S) -> SlowSurface:
    """Give the tenant globex *policies* of services whose surface takes *takes_s*."""
    view = await made.app.service.work.read(partition_of(TENANT, service_of()), *DOCUMENTS)
    policy, service = view.get(POLICIES, service_of()), view.get(SERVICES, service_of())
    for number in range(policies):
        module = ModuleId(f"module-{number:03d}")
        key = module_key(TenantId(SLOW), module)
        ids = {"service_id": service_id(KEY, key), "module_id": module}
        copies = (
            POLICIES.put(replace(policy, policy_id=scaling_policy_id(KEY, key), **ids)),
            SERVICES.put(replace(service, tenant_id=SLOW, **ids)),
        )
        partition = partition_of(SLOW, ids["service_id"])
        await made.app.service.store.batch(
            partition, [Create(each.id, each.body) for each in copies]
        )
    surface = SlowSurface(made.surface, made.app.service.clock, takes_s)
    surfaces: Any = {ComputeTargetKind.LOCAL_PROCESS: surface}
    made.app = replace(made.app, surfaces=surfaces)
    return surface


def slow_modules(surface: SlowSurface) -> list[str]:
    return [each.module for each in surface.asked if each.tenant == SLOW]


def test_a_tenant_whose_surface_hangs_delays_no_decision_of_another() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await slow(made, policies=200)
        made.world.requests_per_s = 60
        began = made.app.service.clock.now()

        await made.evaluate(3, after_s=0)

        assert made.app.service.clock.now() - began <= 3 * made.app.rules.scaling.evaluation
        assert len(await made.decisions()) == 3
        assert made.replicas() == 6

    run_virtual(main())


def test_it_holds_half_of_the_places_and_each_of_its_policies_has_its_turn() -> None:
    """At once, and over the runs: what one run does not reach is what the next begins with."""

    async def main() -> None:
        made = await serving()
        await made.apply()
        surface = await slow(made, policies=100)

        await made.evaluate(after_s=0)
        first = len({*slow_modules(surface)})
        await made.evaluate(2, after_s=0)

        assert surface.at_once_max == POLICIES_AT_ONCE // 2
        assert first < 100
        assert len({*slow_modules(surface)}) == 100

    run_virtual(main())


def test_a_policy_that_lost_its_turn_with_the_end_of_a_run_is_next() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        surface = await slow(made, policies=12, takes_s=40)
        rules = replace(
            made.app.rules,
            read_within=timedelta(seconds=50),
            evaluate_within=timedelta(seconds=50),
        )
        made.app = replace(made.app, rules=rules)

        await made.evaluate(after_s=0)
        cut_off = slow_modules(surface)[POLICIES_AT_ONCE // 2 :]
        assert len(cut_off) == 4
        surface.asked.clear()
        await made.evaluate(after_s=0)

        assert slow_modules(surface)[:4] == cut_off

    run_virtual(main())


def test_a_surface_that_does_not_answer_is_a_signal_that_is_lost() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        await slow(made, policies=0)
        surface: Any = SlowSurface(made.surface, made.app.service.clock, tenant=TENANT)
        made.app = replace(made.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: surface})

        await made.evaluate(after_s=0)

        (decision,) = await made.decisions()
        assert (decision["desired"], decision["reason"]) == (None, "SignalLost")
        assert decision["message"] == "its surface did not answer within 10 s"

    run_virtual(main())


def test_a_provider_that_does_not_answer_is_a_signal_that_is_lost() -> None:
    async def main() -> None:
        made = await serving(replicas=3)
        await made.apply(QUEUED)
        silent = SilentGauge(clock=made.app.service.clock)
        made.app = replace(made.app, metrics=lambda _: silent)

        await made.evaluate(after_s=0)

        (decision,) = await made.decisions()
        assert (decision["desired"], decision["reason"]) == (3, "SignalLost")
        assert "did not answer within 10 s" in decision["message"]

    run_virtual(main())


def test_a_write_that_does_not_end_is_given_up_and_its_policy_is_undone() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        made.world.requests_per_s = 60

        class NeverScales(SlowSurface):
            async def scale(self, *_: Any) -> None:
                await self.clock.sleep(FOR_EVER_S)

        surface: Any = NeverScales(made.surface, made.app.service.clock)
        made.app = replace(made.app, surfaces={ComputeTargetKind.LOCAL_PROCESS: surface})
        await made.evaluate(2)

        service = made.app.service
        assert service.sweeps.failures(service.clock.now()) == {EVALUATE: 1}
        assert made.replicas() == 2

    run_virtual(main())


@pytest.mark.parametrize("rules", [ScalingRules(), LOCAL_RULES], ids=["production", "local"])
def test_every_bound_fits_into_the_one_around_it(rules: ScalingRules) -> None:
    assert rules.read_within < rules.evaluate_within < rules.scaling.evaluation


ASKED: Final = {
    "policy": {"min": 1, "max": 10, "rules": [RULE]},
    "fromAt": isoformat(EPOCH),
    "untilAt": isoformat(EPOCH + timedelta(hours=1)),
}


async def what_if(made: Scaling) -> Any:
    return shown(await made.call("POST", f"{ONE}/what-if", ASKED, policyId=policy_of()))


def test_another_request_is_answered_while_a_what_if_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The replay goes on only when the other one has its answer."""
    answered, compute = threading.Event(), replay.replay

    def replayed(*given: Any, **named: Any) -> WhatIfResult:
        assert answered.wait(10), "nobody was answered meanwhile"
        return compute(*given, **named)

    monkeypatch.setattr(replay, "replay", replayed)

    async def main() -> None:
        made = await serving()
        await made.apply()
        await made.evaluate(3)
        asked = asyncio.create_task(what_if(made))
        await made.app.service.clock.sleep(0)

        policy = await made.policy()
        assert not asked.done()
        answered.set()

        assert policy["policyId"] == policy_of()
        assert len((await asked)["steps"]) == 3

    run_virtual(main())


def test_what_ifs_wait_for_their_turn_and_not_for_ever() -> None:
    async def main() -> None:
        made = await serving()
        await made.apply()
        async with made.app.replays.turn(TENANT):
            with pytest.raises(Unavailable, match="too many what-ifs"):
                await what_if(made)

        assert (await what_if(made))["steps"] == []

    run_virtual(main())
