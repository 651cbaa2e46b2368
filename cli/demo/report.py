"""The plan that the demo prints before it starts, and its totals at the end."""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from cli.demo.load_process import RATE, LoadTotals
from cli.demo.proxy_counters import ProxyCounters
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import NEW, OLD, release_path
from cli.typed import STATE_VARIABLE
from cli.yaml_files import load_yaml

_PARTS: Final = (
    ("boot", "start the system, log in", 3),
    ("build", f"Datasette {OLD}, {NEW}, and {NEW} with one of two plugins (cached)", 1),
    ("provision", "environments test and staging", 5),
    ("deploy", f"{OLD} to staging, {NEW} to test", 23),
    ("client", f"{RATE} requests a second to staging, to the end", 1),
    ("promote", "canary in staging; {killed} on the way", 55),
    ("break", "a slow third release: rolled back, proved, held", 30),
    ("configure", "a release with a configuration that slows it: both go back", 30),
    ("rotate", "a secret, from a new version to the end of the old one", 45),
    ("report", "timeline, totals", 2),
)
"""Name, description and usual duration in seconds of each part, with one host for all apps."""
_LOADED_S: Final = 280
"""With one host, on 2 cores that others use too."""


def print_plan(sandbox: Sandbox, *, is_warm: bool) -> None:
    """Print the parts, their durations, the ports, folders and limits."""
    sandbox.print("Factory Runtime: one application from no environment to a rollback", "1")
    sandbox.print()
    boot_s, extra_s = sandbox.control_plane.extra_s
    killed = sandbox.control_plane.killed_on_the_way
    parts = [
        (name, text.format(killed=killed), seconds + (boot_s if name == "boot" else 0))
        for name, text, seconds in _PARTS
    ]
    print_parts(sandbox, parts)
    total_s = sum(seconds for *_, seconds in parts)
    loaded_s = _LOADED_S + extra_s
    fresh = "" if is_warm else ", and up to 60 s once to build the archives with pip"
    sandbox.print()
    sandbox.print(
        f"time:    about {total_s} s, {loaded_s} s on a loaded machine with 2 cores{fresh}"
    )
    sandbox.print(
        f"ports:   API {sandbox.port}; "
        "each environment takes two from 20000 to 29999 (public, admin)"
    )
    print_folders(sandbox, release_path(NEW))


def print_parts(sandbox: Sandbox, parts: Sequence[tuple[str, str, int]]) -> None:
    """Print name, description and usual duration of each part."""
    for number, (name, text, seconds) in enumerate(parts, 1):
        sandbox.print(f"  {number:>2}  {name:<10} {text:<72} ~{seconds:>3} s")


def print_folders(sandbox: Sandbox, release: str, *logs: Path) -> None:
    """Print where the demo keeps what, its limits and its first command.

    *release* is the path of a release file; *logs* are folders of logs beside that of the host.
    """
    folder = sandbox.state_folder
    sandbox.print(f"folder:  {folder.path} (deleted at the beginning of each run)")
    sandbox.print(f"log:     {', '.join(map(str, (folder.host_log, *logs)))}")
    _print_limits(sandbox, release)
    sandbox.print()
    sandbox.print(f"$ export {STATE_VARIABLE}={os.environ[STATE_VARIABLE]}", "1")


def _print_limits(sandbox: Sandbox, release: str) -> None:
    from shared.contracts.gates import LOCAL_GATE, Gate  # noqa: PLC0415  slow to import
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415
    from shared.contracts.strategies import LOCAL_ROLLOUT  # noqa: PLC0415

    limits = Gate.model_validate(load_yaml(Path(release))["gate"]).limits
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
    sandbox.print_title("10 · What happened, from the event log")
    sandbox.run("events --last 60 --no-observations")
    sandbox.run("history module-datasette --env staging")


def print_totals(sandbox: Sandbox, totals: LoadTotals, served_while_dead: int) -> None:
    """Print the totals of requests, and of what was killed."""
    counters = sandbox.load.proxy_counters()
    sandbox.print_title("Totals")
    sandbox.print(
        f"requests:  {totals.served} served, {len(totals.failures)} failed"
        f" ({totals.rate:.0f} a second for {totals.seconds:.0f} s;"
        f" {served_while_dead} of them while the host was dead)"
    )
    if besides := sandbox.control_plane.summary():
        sandbox.print(f"killed:    {besides}")
    print_failures(sandbox, totals)
    print_latency(sandbox, totals)
    sandbox.print(f"retries:   {sum(counters.retries.values())} by the proxy, 0 by the client")
    sandbox.print(
        f"proxy:     {sum(counters.requests.values())} requests counted,"
        f" {sum(counters.errors.values())} of them with a status of 500 and above"
    )
    print_use(sandbox, totals)


def print_failures(sandbox: Sandbox, totals: LoadTotals) -> None:
    sandbox.print(f"Failed:    {len(totals.failures)}", "1;31" if totals.failures else "1;32")
    for failure in totals.failures[:10]:
        sandbox.print(f"           {failure}")


def print_latency(sandbox: Sandbox, totals: LoadTotals) -> None:
    releases = ", ".join(f"{name}: {count}" for name, count in sorted(totals.releases.items()))
    sandbox.print(
        f"latency:   p50 {totals.p50_ms:.1f} ms, p95 {totals.p95_ms:.1f} ms,"
        f" p99 {totals.p99_ms:.1f} ms, slowest {totals.slowest_ms:.0f} ms"
    )
    sandbox.print(f"releases:  answered by {releases}")


def print_use(sandbox: Sandbox, totals: LoadTotals) -> None:
    """Print what the run took of the machine, and its time."""
    folder = sandbox.state_folder.path
    sandbox.print(f"load:      average at most {totals.load_max:.1f}, {os.cpu_count()} cores")
    sandbox.print(f"disk:      {_megabytes(folder):.0f} MB in {folder}")
    sandbox.print(f"time:      {sandbox.elapsed_s:.0f} s")


def print_verdict(sandbox: Sandbox, totals: LoadTotals, lost: Sequence[int]) -> bool:
    """Print whether the demo has passed and, if not, what speaks for which cause; return it."""
    reasons = verdict_reasons(totals, sandbox.load.proxy_counters(), os.cpu_count() or 1)
    if lost:
        reasons = [f"{len(lost)} workloads ended with host and agent, which they must outlive"]
    sandbox.print()
    if not reasons:
        sandbox.print("the demo passed: no request failed, no workload was lost", "1;32")
        return True
    sandbox.print(f"the demo failed: {reasons[0]}", "1;31")
    for reason in reasons[1:]:
        sandbox.print(f"  {reason}")
    return False


def verdict_reasons(totals: LoadTotals, counters: ProxyCounters, cores: int) -> list[str]:
    """Return what failed, and what that means by the proxy's count and the load; empty: nothing."""
    failed = len(totals.failures)
    if not totals.served:
        return ["no request was served"]
    if not failed:
        return []
    reasons = [f"{failed} of {totals.served + failed} requests had no good answer"]
    if errors := sum(counters.errors.values()):
        return [*reasons, f"the proxy answered {errors} with an error: the platform lost them"]
    reasons.append("the proxy answered none with an error: they got no answer in time, or none")
    return [*reasons, *load_reasons(totals, cores)]


def load_reasons(totals: LoadTotals, cores: int) -> Sequence[str]:
    """Return what the load of the machine says of failed requests."""
    if totals.load_max <= cores:
        return ["the machine was not overloaded: look for a fault of the platform"]
    return [
        f"the load average reached {totals.load_max:.1f} on {cores} cores",
        "a starved machine loses requests too: run it again on an idle one",
    ]


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
