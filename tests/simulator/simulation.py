"""One run: a day of two tenants under the faults of a seed, then quiet, then the checks."""

import asyncio
import random  # noqa: TID251  the runs of tests are drawn here
import traceback
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from tests.kit.quiet_hours import quiet_hours
from tests.kit.virtual_time import OneThreadLoop, run_virtual
from tests.simulator.day import MORNING, Action, Day
from tests.simulator.history import Broken
from tests.simulator.idle_timers import idle_timers_skipped
from tests.simulator.invariants import check_all
from tests.simulator.log_record import logs_kept, settlements_noted
from tests.simulator.marks import marks_of
from tests.simulator.operators import TENANTS, Operator
from tests.simulator.simulated_world import SimulatedWorld

ACTIONS: Final = 40
HOURS: Final = 3.0
_ENOUGH_PER_S: Final = 3.0
"""For the samples of a gate at the smallest weight."""
_ROUNDS: Final = 12
_ROUND_S: Final = 600.0
"""Longer than a gate waits for samples: after it a rollout may wait for people again."""
_LOOK_S: Final = 120.0
_LOOKS_MAX: Final = 60
"""Two hours: what a killed host left is taken up again within minutes."""
_LOOKS_IN_A_ROW: Final = 2
_BINDINGS: Final = "/runtime/tenant-bindings"
_END: Final = {"reason": "end"}


@dataclass(frozen=True)
class Outcome:
    """How a run ended. Two runs of one seed have the same `digest`."""

    seed: int
    broken: tuple[Broken, ...]
    reached: Counter[str]
    faults: Counter[str]
    marks: Counter[str]
    digest: str


def simulate(
    seed: int,
    *,
    actions: int = ACTIONS,
    hours: float = HOURS,
    world: type[SimulatedWorld] = SimulatedWorld,
    sought: str = "",
) -> Outcome:
    """Run the day of *seed*: *actions* of operators within about so many virtual *hours*.

    It ends early where the promise *sought*, by its number, is broken.
    """
    with quiet_hours():
        made = world(seed)
        history = made.history
        with logs_kept(history), settlements_noted(history), idle_timers_skipped(history.idle):
            run = _Run(made, Day(seed, actions, hours), sought)
            return run_virtual(run.outcome(), loop=OneThreadLoop)


class _Run:
    def __init__(self, world: SimulatedWorld, day: Day, sought: str) -> None:
        self.world = world
        self.day = day
        self.sought = sought
        self.underway: set[asyncio.Task[None]] = set()

    async def outcome(self) -> Outcome:
        self.operators = {
            tenant: Operator(self.world, tenant, random.Random(f"{tenant} {self.day.seed}"))
            for tenant in TENANTS
        }
        await self.world.boot()
        try:
            await self._live()
            if not self._has_found():
                await self._end_quietly()
        finally:
            await self.world.stop()
        history = self.world.history
        return Outcome(
            self.day.seed,
            tuple(history.broken),
            history.reached,
            self.world.faults.hits,
            marks_of(history.reached, history.marks),
            history.digest.hexdigest(),
        )

    async def _live(self) -> None:
        for action in MORNING:
            for operator in self.operators.values():
                self._begin(operator, action)
            await self._pass_time(60)
        for _ in range(self.day.actions):
            wait_s, tenant, action = self.day.next()
            await self._pass_time(wait_s)
            if self._has_found():
                return
            self._begin(self.operators[tenant], action)
        await self._pass_time(600)

    def _has_found(self) -> bool:
        return any(each.number == self.sought for each in self.world.history.broken)

    def _begin(self, operator: Operator, action: Action) -> None:
        self.world.history.note(f"{operator.tenant} {getattr(action, '__name__', action)}")
        task = asyncio.ensure_future(action(operator))
        self.underway.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.underway.discard(task)
        failed = None if task.cancelled() else task.exception()
        if failed is not None:
            text = "".join(traceback.format_exception(failed))[-1500:]
            self.world.history.broke("1", f"an operator met {text}")

    async def _pass_time(self, wait_s: float) -> None:
        """Let *wait_s* go by; start another host over what there is whenever one was killed."""
        until_s = self.world.clock.monotonic_s() + wait_s
        while (left_s := until_s - self.world.clock.monotonic_s()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self.world.fate.died.wait()
            except TimeoutError:
                return
            await self._start_again()

    async def _start_again(self) -> None:
        await self.world.kill()
        await self.world.boot()

    async def _end_quietly(self) -> None:
        """Stop the faults, tell what waits for people to go on, and check what came of it all."""
        world = self.world
        world.faults.are_over = True
        if world.fate.is_dead:
            await self._start_again()
        for task in list(self.underway):
            task.cancel()
        world.surface.unreadable = ""
        world.surface.torn.clear()
        world.surface.requests_per_s = _ENOUGH_PER_S
        world.prober.failing.clear()
        await world.clock.sleep(60)
        for number in range(_ROUNDS):
            await self._release_what_waits("cancel" if number else "retry")
            await world.clock.sleep(_ROUND_S)
            if self._has_found() or not await _unfinished(world):
                break
        if self._has_found():
            return
        if not await _is_at_rest(world):
            world.history.broke("13", f"not quiet: {await _unfinished(world)}")
        await check_all(world)

    async def _release_what_waits(self, decision: str) -> None:
        """Decide what people are waited for: rollouts by *decision*, bindings by asking again."""
        for tenant in TENANTS:
            _, listed = await self.world.call("GET", "/runtime/deployments", tenant=tenant)
            for each in listed["value"]:
                if each["waitingFor"] == "approval":
                    where = f"/runtime/deployments/{each['deploymentId']}/{decision}"
                    await self.world.call("POST", where, _END, tenant=tenant)
            _, listed = await self.world.call("GET", _BINDINGS, tenant=tenant)
            for each in listed["value"]:
                await self._settle_binding(tenant, each)

    async def _settle_binding(self, tenant: str, found: Any) -> None:
        """Ask again for what failed or was suspended: such a binding waits for people."""
        where = f"{_BINDINGS}/{found['bindingId']}"
        if found["status"] == "Unbinding":
            await self.world.call("DELETE", f"{where}?confirm={tenant}", tenant=tenant)
        elif found["status"] == "Suspended":
            body = {**_END, "tenantId": tenant}
            await self.world.call("POST", f"{where}/resume", body, tenant=found["ownerTenantId"])
        elif found["status"] == "Moving" and _is_held_up(found):
            await self.world.call("POST", f"{where}/suspend", _END, tenant=tenant)
        elif found["status"] == "Bound":
            names = ("environmentId", "ownerTenantId", "isolationModel", "requires", "quota")
            body = {name: found[name] for name in names}
            await self.world.call("POST", _BINDINGS, body, tenant=tenant)


def _is_held_up(moving: Any) -> bool:
    """Return whether a move waits for people: somebody took away what keeps the tenant apart."""
    return (moving["reason"] or {}).get("code") == "NotKeptApart"


async def _is_at_rest(world: SimulatedWorld) -> bool:
    """Wait until two looks in a row find nothing unfinished; return whether they did."""
    looks = 0
    for _ in range(_LOOKS_MAX):
        looks = 0 if await _unfinished(world) else looks + 1
        if looks == _LOOKS_IN_A_ROW:
            return True
        await world.clock.sleep(_LOOK_S)
    return False


async def _unfinished(world: SimulatedWorld) -> Any:
    found: list[Any] = []
    for name in world.services:
        for document in await world.documents(name):
            kind, status = document.body.get("type"), document.body.get("status")
            if kind == "operation" and status in {"NotStarted", "Running"}:
                found.append(
                    (name, document.body["kind"], status, document.body.get("waiting_for"))
                )
            elif kind == "outbox":
                found.append((name, document.id))
    return found[:10]
