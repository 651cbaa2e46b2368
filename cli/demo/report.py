"""The plan that the demo prints before it starts, and its totals at the end."""

import os
import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from cli.demo.load_process import RATE, LoadTotals
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import NEW, OLD
from cli.typed import STATE_VARIABLE

_PARTS: Final = (
    ("boot", "start the system, log in", 3),
    ("build", f"Datasette {OLD}, {NEW}, and {NEW} with a slow plugin (cached)", 1),
    ("provision", "environments test and staging", 5),
    ("deploy", f"{OLD} to staging, {NEW} to test", 23),
    ("client", f"{RATE} requests a second to staging, to the end", 1),
    ("promote", "canary in staging; the host is killed on the way and started again", 55),
    ("break", "a slow third release: rolled back, proved, held", 30),
    ("report", "timeline, totals", 2),
)
"""Name, description and usual duration in seconds of each part."""


def free_port() -> int:
    """Return a port without a listener."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def print_plan(sandbox: Sandbox, *, is_warm: bool) -> None:
    """Print the parts, their durations, the ports, folders and limits."""
    sandbox.print("Factory Runtime: one application from no environment to a rollback", "1")
    sandbox.print()
    for number, (name, description, seconds) in enumerate(_PARTS, 1):
        sandbox.print(f"  {number}  {name:<10} {description:<72} ~{seconds:>3} s")
    total = sum(seconds for *_, seconds in _PARTS)
    fresh = "" if is_warm else ", and up to 60 s once to build the archives with pip"
    folder = sandbox.state_folder
    sandbox.print()
    sandbox.print(f"time:    about {total} s, 180 s on a loaded machine with 2 cores{fresh}")
    sandbox.print(
        f"ports:   API {sandbox.port}; "
        "each environment takes two from 20000 to 29999 (public, admin)"
    )
    sandbox.print(f"folder:  {folder.path} (deleted at the beginning of each run)")
    sandbox.print(f"log:     {folder.host_log}")
    _print_limits(sandbox)
    sandbox.print()
    sandbox.print(f"$ export {STATE_VARIABLE}={os.environ[STATE_VARIABLE]}", "1")


def _print_limits(sandbox: Sandbox) -> None:
    from shared.contracts.gates import LOCAL_GATE, GateLimits  # noqa: PLC0415  slow to import
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415
    from shared.contracts.strategies import LOCAL_ROLLOUT  # noqa: PLC0415

    limits = GateLimits()
    weights = " → ".join(str(weight) for weight in LOCAL_ROLLOUT.canary_weights)
    sandbox.print(
        "waits:   short, for one machine (RUNTIME_PROFILE=local): gate window "
        f"{_seconds(LOCAL_GATE.window)}, deadline {_seconds(LOCAL_GATE.deadline)},"
        f" {LOCAL_GATE.min_samples} samples at least; soak in test {_seconds(LOCAL_SOAK.test)};"
        f" drain {_seconds(LOCAL_ROLLOUT.drain)}; canary {weights} %"
    )
    sandbox.print(
        f"limits:  new against old: errors +{limits.error_ratio_increase_max:.1%},"
        f" latency +{limits.latency_increase_ratio_max:.0%} and"
        f" +{limits.latency_increase_ms_max:.0f} ms in two windows in a row"
    )


def print_timeline(sandbox: Sandbox) -> None:
    """Print the events: when, who, what, cause."""
    sandbox.print_title("8 · What happened, from the event log")
    sandbox.run("events --last 60 --no-observations")
    sandbox.run("history module-datasette --env staging")


def print_totals(sandbox: Sandbox, totals: LoadTotals, served_while_dead: int) -> bool:
    """Print the totals; return whether requests were served and none failed."""
    is_success = not totals.failures and totals.served > 0
    retries = sum(sandbox.load.proxy_counters().retries.values())
    releases = ", ".join(f"{name}: {count}" for name, count in sorted(totals.releases.items()))
    folder = sandbox.state_folder.path
    sandbox.print_title("Totals")
    sandbox.print(
        f"requests:  {totals.served} served, {len(totals.failures)} failed"
        f" ({totals.rate:.0f} a second for {totals.seconds:.0f} s;"
        f" {served_while_dead} of them while the host was dead)"
    )
    if besides := sandbox.control_plane.summary():
        sandbox.print(f"killed:    {besides}")
    sandbox.print(f"Failed:    {len(totals.failures)}", "1;32" if is_success else "1;31")
    for failure in totals.failures[:10]:
        sandbox.print(f"           {failure}")
    sandbox.print(
        f"latency:   p50 {totals.p50_ms:.1f} ms, p95 {totals.p95_ms:.1f} ms,"
        f" p99 {totals.p99_ms:.1f} ms, slowest {totals.slowest_ms:.0f} ms"
    )
    sandbox.print(f"releases:  answered by {releases}")
    sandbox.print(f"retries:   {retries} by the proxy, 0 by the client")
    sandbox.print(f"disk:      {_megabytes(folder):.0f} MB in {folder}")
    sandbox.print(f"time:      {sandbox.elapsed_s:.0f} s")
    return is_success


def print_next_commands(sandbox: Sandbox, *, is_kept: bool) -> None:
    """Print the commands to continue with."""
    rolled_back = sandbox.get("/v1/runtime/deployments", status="RolledBack")["value"]
    deployment_id = next(
        deployment["deploymentId"] for deployment in rolled_back if deployment["holds"]
    )
    lines: Sequence[str] = (
        f"export {STATE_VARIABLE}={os.environ[STATE_VARIABLE]}",
        "runtimectl status" if is_kept else "runtimectl up            # everything comes back",
        f"runtimectl deployment {deployment_id}   # the evidence",
        f"runtimectl release-hold {deployment_id} # the way out",
        "runtimectl --help",
        "runtimectl down",
    )
    sandbox.print()
    sandbox.print("next:")
    for line in lines:
        sandbox.print(f"  $ {line}")


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"


def _megabytes(folder: Path) -> float:
    """Return the size of the files below *folder*, without those that are deleted meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total / 1e6
