"""What all stories ask the platform about a release, and how they show it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from cli.demo.sandbox import DemoFailed, Sandbox
from cli.host_process import pause
from cli.output import Column, format_digest, format_table
from cli.watch_rollout import ROOT, RolloutWatch, watch_rollout

TIMEOUT_S: Final = 240.0
_LOOK_EVERY_S: Final = 0.5
KILL_AFTER: Final = 10
"""What is killed in a canary is killed when that has answered so many requests."""
T = TypeVar("T")


def wait_until(sandbox: Sandbox, what: str, holds: Callable[[], T | None]) -> T:
    """Return what *holds* returns, once that is something. Raises DemoFailed: not in time."""
    deadline_s = sandbox.clock.monotonic_s() + TIMEOUT_S
    while sandbox.clock.monotonic_s() < deadline_s:
        if found := holds():
            return found
        pause(sandbox.clock, _LOOK_EVERY_S)
    raise DemoFailed(f"not within {TIMEOUT_S:.0f} s: {what}")


def newest_deployment(sandbox: Sandbox, environment: str) -> Mapping[str, Any]:
    environment_id = sandbox.environment(environment)["environmentId"]
    deployments = sandbox.get(ROOT, environmentId=environment_id)["value"]
    newest: Mapping[str, Any] = max(
        deployments, key=lambda deployment: str(deployment["createdAt"])
    )
    return newest


def newest_deployment_whole(sandbox: Sandbox, environment: str) -> Mapping[str, Any]:
    """Return the newest deployment with its evidence and its proof."""
    newest = newest_deployment(sandbox, environment)
    deployment: Mapping[str, Any] = sandbox.get(f"{ROOT}/{newest['deploymentId']}")
    return deployment


def rolled_back_deployment(sandbox: Sandbox, environment: str) -> Mapping[str, Any]:
    """Return the newest deployment, with its evidence. Raises DemoFailed unless it went back."""
    deployment = newest_deployment_whole(sandbox, environment)
    if deployment["status"] != "RolledBack":
        raise DemoFailed(f"the bad release ended as {deployment['status']}, not RolledBack")
    return deployment


def until_canary(sandbox: Sandbox, environment: str) -> Mapping[str, Any]:
    """Show the newest deployment until its canary answers requests; return it as it is then.

    Raises:
        DemoFailed: it ended before.
    """
    deployment_id = newest_deployment(sandbox, environment)["deploymentId"]
    sandbox.print_command(f"runtimectl deployment {environment} --wait")
    watch = watch_rollout(sandbox.session, deployment_id, timeout_s=TIMEOUT_S, until=_is_mid_canary)
    if watch.has_ended:
        raise DemoFailed(f"{deployment_id} ended before its canary could be interrupted")
    return watch.deployment


def _is_mid_canary(watch: RolloutWatch) -> bool:
    weight = watch.deployment["weight"]
    canary_requests = sum(
        counters.requests
        for candidate, revisions in watch.traffic.values()
        for number, counters in revisions.items()
        if number == candidate
    )
    return bool(0 < weight < 100 and canary_requests >= KILL_AFTER)  # noqa: PLR2004  percent


def print_proof(sandbox: Sandbox, deployment: Mapping[str, Any]) -> None:
    """Print the proof of each instance."""
    proof = deployment["proof"]
    sandbox.print(f"proof:     read from the {proof['total']} live instances, not from a store")
    columns = (
        Column("INSTANCE", "instance"),
        Column("REVISION", "releaseRevision"),
        Column("DIGEST", lambda instance: format_digest(instance["digest"])),
        Column("CONFIGURATION", lambda i: format_digest(i["configurationHash"])),
        Column("SECRETS", _secrets),
        Column("DEPARTS", lambda i: [d["path"] for d in i["departures"]] or "nothing"),
        Column("CHECKED", lambda instance: instance["checkedAt"][11:23]),
    )
    for row in format_table(proof["instances"], columns):
        sandbox.print(f"  {row}")


def _secrets(instance: Mapping[str, Any]) -> list[str]:
    """Return each secret that an instance proved with the first digits of its version."""
    return [f"{name} {version[:8]}…" for name, version in instance["secretVersions"].items()]


def service_id(sandbox: Sandbox, environment: Mapping[str, Any], module: str = "") -> str:
    """Return the id of a service, the only one without *module*.

    Catalog hears of a release shortly after its end.
    """
    deadline_s = sandbox.clock.monotonic_s() + TIMEOUT_S
    environment_id = environment["environmentId"]
    query = {"environmentId": environment_id} | ({"moduleId": module} if module else {})
    while sandbox.clock.monotonic_s() < deadline_s:
        services = sandbox.get("/v1/runtime/services", **query)["value"]
        if services:
            return str(services[0]["serviceId"])
        pause(sandbox.clock, 0.25)
    raise DemoFailed(f"no service of {environment['name']} is known to catalog")
