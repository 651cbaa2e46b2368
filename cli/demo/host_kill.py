"""Kills the demo's host and agent in the middle of a rollout, and starts them again."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cli.demo.sandbox import DemoFailed, Sandbox
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from shared.kernel.ids import EnvironmentId
from shared.kernel.observation import Unknown
from shared.surfaces.local_process import AgentSurface

_RESUMED_WITHIN_S: Final = 240.0


@dataclass(frozen=True)
class HostKill:
    """The effects of killing host and agent, and of starting them again."""

    pids: str
    step: str
    weight: int
    served_while_dead: int
    failed_while_dead: int
    dead_s: float
    resumed_after_s: float
    adopted: tuple[int, ...]
    lost: tuple[int, ...]


def kill_and_restart(sandbox: Sandbox, deployment: Mapping[str, Any]) -> HostKill:
    """Kill hosts and agent in the middle of *deployment*, start them, wait until it resumed."""
    started = [step for step in deployment["steps"] if step["startedAt"] is not None]
    step, weight = started[-1]["name"], deployment["weight"]
    before = sandbox.workloads()
    died_at, died_s = sandbox.clock.now(), sandbox.clock.monotonic_s()
    pids = sandbox.control_plane.kill(sandbox)
    sandbox.print_command(
        f"kill -9 {pids}    # host and agent, the whole control plane, at weight {weight} %"
    )
    sandbox.control_plane.restart(sandbox)
    _wait_until_answered(sandbox, deployment["operationId"])
    alive_at, answers_s = sandbox.clock.now(), sandbox.clock.monotonic_s()
    asyncio.run(_wait_until_supervised(sandbox, EnvironmentId(deployment["environmentId"])))
    resumed_s = sandbox.clock.monotonic_s()
    after = sandbox.workloads()
    while_dead = [r for r in sandbox.load.requests() if died_at <= r.sent_at < alive_at]
    failed = sum(1 for request in while_dead if request.failure)
    return HostKill(
        pids=pids,
        step=step,
        weight=weight,
        served_while_dead=len(while_dead) - failed,
        failed_while_dead=failed,
        dead_s=answers_s - died_s,
        resumed_after_s=resumed_s - died_s,
        adopted=tuple(sorted(identity.pid for identity in before & after)),
        lost=tuple(sorted(identity.pid for identity in before - after)),
    )


def print_kill(sandbox: Sandbox, kill: HostKill) -> None:
    """Print the effects of the kill on traffic and workloads."""
    pids = ", ".join(str(pid) for pid in kill.adopted)
    sandbox.print()
    sandbox.print(f"killed:    pid {kill.pids}, in step {kill.step!r}, weight {kill.weight} %")
    sandbox.print(
        f"while dead: {kill.served_while_dead} requests served, {kill.failed_while_dead} failed,"
        f" in {kill.dead_s:.1f} s"
    )
    sandbox.print(
        f"resumed:   the API answers {kill.dead_s:.1f} s and the rollout continues"
        f" {kill.resumed_after_s:.1f} s after the kill"
    )
    sandbox.print(f"adopted:   {pids} (same pids, same start times); lost: {len(kill.lost)}")


def _wait_until_answered(sandbox: Sandbox, operation_id: str) -> None:
    deadline_s = sandbox.clock.monotonic_s() + _RESUMED_WITHIN_S
    while sandbox.clock.monotonic_s() < deadline_s:
        try:
            sandbox.get(f"/v1/runtime/operations/{operation_id}")
        except Failure as failure:
            if failure.exit_code is not ExitCode.UNAVAILABLE:
                raise
            pause(sandbox.clock, 0.1)
            continue
        return
    raise DemoFailed(f"nobody answered about {operation_id} after the kill")


async def _wait_until_supervised(sandbox: Sandbox, environment: EnvironmentId) -> None:
    """Wait until an agent has looked at every workload: from then on it answers what they are."""
    agent = AgentSurface(sandbox.state_folder.path, lambda: None, sandbox.clock)
    deadline_s = sandbox.clock.monotonic_s() + _RESUMED_WITHIN_S
    while isinstance(await agent.inventory(environment), Unknown):
        if sandbox.clock.monotonic_s() > deadline_s:
            raise DemoFailed("no agent supervised the workloads after the kill")
        await sandbox.clock.sleep(0.05)
