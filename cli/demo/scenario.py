"""The parts of the demo in order; each prints its commands and their effects."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cli.demo.host_kill import HostKill, kill_and_restart, print_kill
from cli.demo.load_process import RATE
from cli.demo.rollouts import (
    newest_deployment,
    newest_deployment_whole,
    print_proof,
    rolled_back_deployment,
    service_id,
    until_canary,
    wait_until,
)
from cli.demo.sandbox import Sandbox
from cli.exit_codes import ExitCode
from shared.kernel.clock import parse_instant

MODULE: Final = "module-datasette"
PROJECT: Final = "proj-demo"
FOLDER: Final = "examples/datasette"
OLD: Final = "0.65.2"
NEW: Final = "0.65.5"
BAD: Final = f"{NEW}-slow"
SLOW_PLUGIN: Final = f"{FOLDER}/slow_plugin"
PACED: Final = f"{NEW}-paced"
PACED_PLUGIN: Final = f"{FOLDER}/paced_plugin"
CONFIGURED: Final = f"--env staging --module {MODULE}"
SECRET: Final = "datasette-key"  # noqa: S105  its name
"""Datasette signs cookies with it."""
PATH: Final = "-/versions.json"


def boot(sandbox: Sandbox) -> None:
    """Start the system and log in."""
    sandbox.print_title("1 · Boot")
    sandbox.run(f"up --port {sandbox.port}{sandbox.control_plane.up_options}")
    sandbox.run("login --dev --tenant tenant-demo --user you")


def build(sandbox: Sandbox) -> None:
    """Build the archives of the releases from the package index, or from the cache."""
    sandbox.print_title("2 · Four releases of Datasette, a public application")
    requirements = {
        OLD: f"datasette=={OLD}",
        NEW: f"datasette=={NEW}",
        BAD: f"datasette=={NEW} {SLOW_PLUGIN}",
        PACED: f"datasette=={NEW} {PACED_PLUGIN}",
    }
    for release, packages in requirements.items():
        sandbox.run(f"artifact build {packages} --to {archive(sandbox, release)}")
    sandbox.run(f"artifact push {archive(sandbox, OLD)}")


def provision(sandbox: Sandbox) -> None:
    """Plan and create test and staging."""
    sandbox.print_title("3 · Two environments, planned and then provisioned")
    sandbox.run(f"env plan test --stage test --project {PROJECT}")
    sandbox.run(f"env create test --stage test --project {PROJECT} --wait")
    sandbox.run(f"env create staging --stage staging --project {PROJECT} --wait")


def deploy_first(sandbox: Sandbox) -> None:
    """Deploy the old release to staging and the new one to test, at the same time."""
    sandbox.print_title(f"4 · Staging gets {OLD}, configuration and a secret, test gets {NEW}")
    sandbox.run(f"config set pause_ms=0 {CONFIGURED}")
    bound = "--target DATASETTE_SECRET --generator random --wait"
    sandbox.run(f"secret bind {SECRET} {CONFIGURED} {bound}")
    sandbox.run(deploy_line(sandbox, OLD, "staging"))
    sandbox.run(f"{deploy_line(sandbox, NEW, 'test')} --wait")
    sandbox.run("deployment staging --wait")


def start_load(sandbox: Sandbox) -> None:
    """Start the load on staging's public endpoint; it continues to the end."""
    sandbox.print_title("5 · A client, from here to the end")
    staging = sandbox.environment("staging")
    url = str(staging["provisioned"][0]["endpoint"])
    identity = service_id(sandbox, staging)
    proxy = sandbox.proxy_folder(staging["environmentId"])
    pid = sandbox.load.start(f"{url}{PATH}", proxy=(proxy, identity))
    sandbox.print(f"open {url} in a browser: it is Datasette itself")
    sandbox.print(
        f"the client (pid {pid}) asks {url}{PATH} {RATE} times a second and never retries;"
        " failed is: no connection, no full answer in 5 s, or a status of 500 and above"
    )
    sandbox.run("status")


def promote_and_kill(sandbox: Sandbox) -> HostKill:
    """Promote to staging by canary; kill the host while the weight is between 0 and 100."""
    sandbox.print_title(f"6 · Promote {NEW} from test to staging, and kill the host on the way")
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415  slow to import

    wait_for_soak(sandbox, "test", LOCAL_SOAK.test)
    sandbox.run("promote test --to staging")
    kill = kill_and_restart(sandbox, until_canary(sandbox, "staging"))
    print_kill(sandbox, kill)
    sandbox.run("deployment staging --wait")
    return kill


@dataclass(frozen=True)
class Rollback:
    """The effects of the bad release, and its rollback."""

    deployment: Mapping[str, Any]
    first_bad_at: datetime | None
    weightless_at: datetime | None
    requests: int

    @property
    def seconds(self) -> float | None:
        if self.first_bad_at is None or self.weightless_at is None:
            return None
        return (self.weightless_at - self.first_bad_at).total_seconds()


def deploy_bad_release(sandbox: Sandbox) -> None:
    """Deploy a release that starts well and is too slow: it is rolled back, held and refused."""
    sandbox.print_title("7 · A third release: starts well, 300 ms slower")
    line = deploy_line(sandbox, BAD, "staging")
    sandbox.run(f"{line} --wait", expect=ExitCode.ENDED_OTHERWISE)
    print_rollback(sandbox, rollback_of(sandbox, rolled_back_deployment(sandbox, "staging")))
    sandbox.print()
    sandbox.print("the same release again is refused, and the refusal says the way out:")
    sandbox.run(line, expect=ExitCode.CONFLICT)


def deploy_bad_configuration(sandbox: Sandbox) -> None:
    """Deploy a release with a configuration that slows it: both are rolled back, as one."""
    sandbox.print_title("8 · A fourth release, with a configuration that slows it")
    sandbox.run(f"config set pause_ms=300 {CONFIGURED}")
    sandbox.print()
    sandbox.print("nothing changes yet: a release takes what is published when it is deployed")
    line = deploy_line(sandbox, PACED, "staging")
    sandbox.run(f"{line} --wait", expect=ExitCode.ENDED_OTHERWISE)
    print_rollback(sandbox, rollback_of(sandbox, rolled_back_deployment(sandbox, "staging")))
    sandbox.run(f"config diff {CONFIGURED}")
    sandbox.run(f"config rollback {CONFIGURED}")


def rotate_secret(sandbox: Sandbox) -> None:
    """Rotate the secret of the release in force to its last instance, under the same client."""
    sandbox.print_title("9 · A rotation, from a new version to the end of the old one")
    sandbox.run(f"secret rotate {SECRET} {CONFIGURED} --overlap PT1S --until-revoked --wait")
    sandbox.run(f"secret versions {SECRET} {CONFIGURED}")
    print_proof(sandbox, newest_deployment_whole(sandbox, "staging"))


def rollback_of(sandbox: Sandbox, deployment: Mapping[str, Any]) -> Rollback:
    evidence = [component for step in deployment["steps"] for component in step["evidence"]]
    bad_times = [component["firstBadAt"] for component in evidence if component["firstBadAt"]]
    first_bad_at = min(map(parse_instant, bad_times), default=None)
    revision = evidence[-1]["candidateRevision"]
    counters = sandbox.load.proxy_counters()
    weightless_at = counters.weightless_since(revision, first_bad_at) if first_bad_at else None
    return Rollback(deployment, first_bad_at, weightless_at, counters.requests.get(revision, 0))


def print_rollback(sandbox: Sandbox, rollback: Rollback) -> None:
    """Print trigger, duration, exposure and the proof."""
    deployment = rollback.deployment
    duration = "unknown"
    if rollback.seconds is not None:
        duration = f"{rollback.seconds:.1f} s from the first bad sample to 0 %"
    sandbox.print()
    sandbox.print(f"trigger:   {deployment['reason']['message']}")
    sandbox.print(f"time:      {duration}")
    sandbox.print(
        f"exposed:   {rollback.requests} requests were answered by the bad release, slowly"
    )
    print_proof(sandbox, deployment)


def wait_for_soak(sandbox: Sandbox, environment: str, soak: timedelta) -> None:
    """Wait until *environment* may be promoted: Completed, and Healthy for the time *soak*."""
    soak_s = soak.total_seconds()
    identity = service_id(sandbox, sandbox.environment(environment))
    sandbox.print(
        f"{NEW} soaks: Completed and Healthy in {environment} for {soak_s:.0f} s before promotion"
    )
    completed_at = parse_instant(newest_deployment(sandbox, environment)["endedAt"])

    def has_soaked() -> bool:
        health = sandbox.get(f"/v1/runtime/services/{identity}/health")
        since = max(parse_instant(health["since"]), completed_at)
        healthy_s = (sandbox.clock.now() - since).total_seconds()
        return health["status"] == "Healthy" and healthy_s > soak_s

    wait_until(sandbox, f"{identity} stays Healthy for {soak_s:.0f} s", has_soaked)


def archive(sandbox: Sandbox, release: str) -> str:
    """Return the relative path of the archive of *release*."""
    return os.path.relpath(sandbox.folder / f"datasette-{release}.zip")


def deploy_line(sandbox: Sandbox, release: str, environment: str) -> str:
    """Return the command that deploys *release*."""
    file = release_path(release)
    return f"deploy -f {file} --artifact {archive(sandbox, release)} --env {environment}"


def release_path(release: str) -> str:
    return f"{FOLDER}/release-{release}.yaml"
