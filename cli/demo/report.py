"""What the demo says before it begins and when it has ended."""

import os
import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from cli.demo.load_process import RATE, Totals
from cli.demo.sandbox import Stage
from cli.demo.scenario import NEW, OLD
from cli.state_folder import STATE_VARIABLE

_ACTS: Final = (
    ("boot", "start the system, log in", 3),
    ("build", f"Datasette {OLD}, {NEW}, and {NEW} with a slow plugin (cached)", 1),
    ("provision", "environments test and staging", 5),
    ("deploy", f"{OLD} to staging, {NEW} to test", 18),
    ("client", f"{RATE} requests a second to staging, to the end", 1),
    ("promote", "canary in staging; the host is killed on the way and started again", 50),
    ("break", "a slow third release: rolled back, proved, held", 25),
    ("report", "timeline, totals", 2),
)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def plan(stage: Stage, *, is_warm: bool) -> None:
    """Say what is going to happen, how long it takes and where."""
    from shared.contracts.gates import LOCAL_GATE, GateLimits  # noqa: PLC0415  pydantic
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415
    from shared.contracts.strategies import LOCAL_ROLLOUT  # noqa: PLC0415

    limits = GateLimits()
    weights = " → ".join(str(weight) for weight in LOCAL_ROLLOUT.canary_weights)
    stage.say("Factory Runtime: one application from no environment to a rollback", "1")
    stage.say()
    for number, (name, what, seconds) in enumerate(_ACTS, 1):
        stage.say(f"  {number}  {name:<10} {what:<72} ~{seconds:>3} s")
    total = sum(seconds for *_, seconds in _ACTS)
    stage.say()
    fresh = "" if is_warm else ", and up to 60 s once to build the archives with pip"
    stage.say(f"time:    about {total} s{fresh}")
    stage.say(
        f"ports:   API {stage.port}; each environment takes two from 20000 to 29999 (public, admin)"
    )
    stage.say(f"folder:  {stage.place.state} (removed at the beginning of each run)")
    stage.say(f"log:     {stage.place.host_log}")
    stage.say(
        "waits:   short, for one machine (RUNTIME_PROFILE=local): gate window "
        f"{_s(LOCAL_GATE.window)}, deadline {_s(LOCAL_GATE.deadline)},"
        f" {LOCAL_GATE.min_samples} samples at least; soak in test {_s(LOCAL_SOAK.test)};"
        f" drain {_s(LOCAL_ROLLOUT.drain)}; canary {weights} %"
    )
    stage.say(
        f"limits:  new against old: errors +{limits.error_ratio_increase_max:.1%},"
        f" latency +{limits.latency_increase_ratio_max:.0%} and"
        f" +{limits.latency_increase_ms_max:.0f} ms in two windows in a row"
    )
    stage.say()
    stage.say(f"$ export {STATE_VARIABLE}={os.environ[STATE_VARIABLE]}", "1")


def timeline(stage: Stage) -> None:
    """Show the event log: when, who, what, cause."""
    stage.act("8 · What happened, from the event log")
    stage.run("events --last 60 --no-observations")
    stage.run("history module-datasette --env staging")


def totals(stage: Stage, counted: Totals, killed_dead: int) -> bool:
    """Show the sums; return whether no request failed."""
    seen = stage.traffic.proxy()
    stage.act("Totals")
    is_good = not counted.failed and counted.served > 0
    stage.say(
        f"requests:  {counted.served} served, {len(counted.failed)} failed"
        f" ({counted.rate:.0f} a second for {counted.seconds:.0f} s;"
        f" {killed_dead} of them while the host was dead)"
    )
    stage.say(f"Failed:    {len(counted.failed)}", "1;32" if is_good else "1;31")
    for line in counted.failed[:10]:
        stage.say(f"           {line}")
    stage.say(
        f"latency:   p50 {counted.p50_ms:.1f} ms, p95 {counted.p95_ms:.1f} ms,"
        f" p99 {counted.p99_ms:.1f} ms, slowest {counted.slowest_ms:.0f} ms"
    )
    answered = ", ".join(f"{name}: {count}" for name, count in sorted(counted.releases.items()))
    stage.say(f"releases:  answered by {answered}")
    stage.say(f"retries:   {sum(seen.retries.values())} by the proxy, 0 by the client")
    stage.say(f"disk:      {_megabytes(stage.place.state):.0f} MB in {stage.place.state}")
    stage.say(f"time:      {stage.elapsed_s:.0f} s")
    return is_good


def farewell(stage: Stage, *, is_kept: bool) -> None:
    """Say what can be typed next."""
    deployment = next(
        each
        for each in stage.ask("/v1/runtime/deployments", status="RolledBack")["value"]
        if each["holds"]
    )
    lines: Sequence[str] = (
        f"export {STATE_VARIABLE}={os.environ[STATE_VARIABLE]}",
        "runtimectl status" if is_kept else "runtimectl up            # everything comes back",
        f"runtimectl deployment {deployment['deploymentId']}   # the evidence",
        f"runtimectl release-hold {deployment['deploymentId']} # the way out",
        "runtimectl --help",
        "runtimectl down",
    )
    stage.say()
    stage.say("next:")
    for line in lines:
        stage.say(f"  $ {line}")


def _s(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"


def _megabytes(folder: Path) -> float:
    """Return what the files below *folder* take; those that go while we look do not count."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total / 1e6
