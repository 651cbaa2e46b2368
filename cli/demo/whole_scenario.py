"""The parts of the whole story that are releases: two tenants, three stages, one unit, one secret.

The client asks prod from the first release on, to the end.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cli.demo.host_kill import HostKill, kill_and_restart, print_kill
from cli.demo.promises import Promises, Unit, departing_parts, unit_of
from cli.demo.rollouts import (
    newest_deployment_whole,
    print_proof,
    rolled_back_deployment,
    service_id,
    until_canary,
)
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import (
    MODULE,
    NEW,
    OLD,
    PACED,
    PATH,
    PROJECT,
    SECRET,
    archive,
    deploy_line,
    print_rollback,
    release_path,
    rollback_of,
    wait_for_soak,
)
from cli.exit_codes import ExitCode
from cli.output import Column, format_digest, format_table

GUEST: Final = "tenant-guest"
STAGES: Final = ("test", "staging", "prod")
IN_PROD: Final = f"--env prod --module {MODULE}"
RATE: Final = 30
"""Requests per second: a canary of 10 % has its 50 samples in 17 s, and an instance has room."""
ADDED: Final = "feature-key"
"""A secret that is bound for the bad release."""


def provision(sandbox: Sandbox) -> None:
    """Create the three environments; the tenant is bound to prod, which takes nothing before."""
    sandbox.print_title("3 · Three environments, and a binding for prod")
    sandbox.run(f"env plan prod --stage prod --project {PROJECT}")
    sandbox.run(f"env create prod --stage prod --project {PROJECT} --wait")
    sandbox.run(f"env create test --stage test --project {PROJECT} --admit {GUEST} --wait")
    sandbox.run(f"env create staging --stage staging --project {PROJECT} --wait")
    sandbox.print()
    sandbox.print("prod takes nothing of a tenant that is not bound to it:")
    sandbox.run(deploy_line(sandbox, OLD, "prod"), expect=ExitCode.REFUSED)
    sandbox.run("tenant bind prod --wait")


def deploy_first(sandbox: Sandbox) -> None:
    """Deploy the old release to prod and staging and the new one to test, at the same time."""
    sandbox.print_title(f"4 · {OLD} to prod and staging, with configuration and a secret")
    for environment in ("prod", "staging"):
        which = f"--env {environment} --module {MODULE}"
        sandbox.run(f"config set pause_ms=0 {which}")
        bound = "--target DATASETTE_SECRET --generator random --wait"
        sandbox.run(f"secret bind {SECRET} {which} {bound}")
    sandbox.print()
    sandbox.print("nobody asks prod yet, so that probes count in the gate of its first release:")
    # The gate is what a release file of the demo ends with.
    first = release_file(sandbox, "first", f"{release_text(OLD)}  probesCount: true\n")
    sandbox.run(f"deploy -f {first} --artifact {archive(sandbox, OLD)} --env prod")
    sandbox.run(deploy_line(sandbox, OLD, "staging"))
    sandbox.run(deploy_line(sandbox, NEW, "test"))
    for environment in STAGES:
        sandbox.run(f"deployment {environment} --wait")


def start_client(sandbox: Sandbox) -> None:
    """Start the client of prod; it asks to the end."""
    sandbox.print_title("5 · A client of prod, from here to the end")
    prod = sandbox.environment("prod")
    url = str(prod["provisioned"][0]["endpoint"])
    identity = service_id(sandbox, prod)
    proxy = (sandbox.proxy_folder(prod["environmentId"]), identity)
    pid = sandbox.load.start(f"{url}{PATH}", rate=RATE, proxy=proxy)
    sandbox.print(
        f"the client (pid {pid}) asks {url}{PATH} {RATE} times a second and never retries;"
        " failed is: no connection, no full answer in 5 s, or a status of 500 and above"
    )


def promote_to_staging(sandbox: Sandbox) -> None:
    """Promote the new release from test to staging."""
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415  slow to import

    sandbox.print_title(f"6 · Promote {NEW} from test to staging")
    wait_for_soak(sandbox, "test", LOCAL_SOAK.test)
    sandbox.print("nobody asks staging, so that its canary has one step; prod's has three")
    sandbox.run("promote test --to staging --weights 100 --wait")


def promote_to_prod(sandbox: Sandbox, promises: Promises) -> HostKill:
    """Promote to prod by canary; kill the host while the weight is between 0 and 100."""
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415  slow to import

    sandbox.print_title("8 · Promote it from staging to prod, and kill the host on the way")
    wait_for_soak(sandbox, "staging", LOCAL_SOAK.staging)
    sandbox.run("promote staging --to prod")
    kill = kill_and_restart(sandbox, until_canary(sandbox, "prod"))
    print_kill(sandbox, kill)
    sandbox.run("deployment prod --wait")
    promoted = newest_deployment_whole(sandbox, "prod")
    units = [unit_of(newest_deployment_whole(sandbox, each)) for each in ("test", "prod")]
    promises.check(
        "the release that test had is in prod, promoted through its gates",
        f"{promoted['status']}, the same digest {format_digest(units[1].digest)}",
        is_kept=promoted["status"] == "Completed" and units[0].digest == units[1].digest,
    )
    promises.check(
        "host and agent are killed in the canary, and no workload ends",
        f"{kill.served_while_dead} requests served meanwhile, {len(kill.lost)} workloads lost",
        is_kept=not kill.lost and not kill.failed_while_dead,
    )
    return kill


def deploy_bad_unit(sandbox: Sandbox, promises: Promises) -> None:
    """Deploy a release with a bad configuration and another secret: all of it goes back."""
    sandbox.print_title("9 · A bad release: image, configuration and secrets go back as one")
    before = unit_of(newest_deployment_whole(sandbox, "prod"))
    sandbox.run(f"config set pause_ms=300 {IN_PROD}")
    sandbox.run(f"secret bind {ADDED} {IN_PROD} --target FEATURE_KEY --generator random --wait")
    sandbox.run(deploy_line(sandbox, PACED, "prod"))
    bad = unit_of(until_canary(sandbox, "prod"))
    sandbox.run("deployment prod --wait", expect=ExitCode.ENDED_OTHERWISE)
    deployment = rolled_back_deployment(sandbox, "prod")
    print_rollback(sandbox, rollback_of(sandbox, deployment))
    after = unit_of(deployment)
    units = {"in force before": before, "the bad one": bad, "in force after": after}
    _print_units(sandbox, units)
    instances = deployment["proof"]["instances"]
    departing = [part for each in instances for part in departing_parts(each, before)]
    promises.check(
        "a bad release goes back as a unit",
        f"{len(instances)} live instances prove r{before.release_revision} again: image,"
        f" configuration and secret versions; they depart in {departing or 'nothing'}",
        is_kept=bool(instances) and not departing and all(bad.differs_from(before)),
    )
    sandbox.run(f"config rollback {IN_PROD}")
    sandbox.run(f"secret revoke {ADDED} {IN_PROD}")


def rotate_secret(sandbox: Sandbox, promises: Promises) -> None:
    """Rotate the secret of prod to its last instance, under the client."""
    sandbox.print_title("14 · A rotation, from a new version to the end of the old one")
    old = unit_of(newest_deployment_whole(sandbox, "prod")).secrets[SECRET]
    sandbox.run(f"secret rotate {SECRET} {IN_PROD} --overlap PT1S --until-revoked --wait")
    sandbox.run(f"secret versions {SECRET} {IN_PROD}")
    deployment = newest_deployment_whole(sandbox, "prod")
    print_proof(sandbox, deployment)
    instances = deployment["proof"]["instances"]
    proved = {each["secretVersions"].get(SECRET, "") for each in instances}
    new = unit_of(deployment).secrets[SECRET]
    promises.check(
        "a rotation ends at its consumers",
        f"{len(instances)} live instances prove {new[:8]}… in place of {old[:8]}…",
        is_kept=proved == {new} and new != old,
    )


def move_tenant(sandbox: Sandbox, promises: Promises) -> None:
    """Move the tenant of prod to another model of isolation, under the client."""
    sandbox.print_title("15 · The tenant of prod is kept apart from others by its own means")
    before = unit_of(newest_deployment_whole(sandbox, "prod"))
    sandbox.run('tenant move prod --model pool --reason "compute of its own" --wait')
    deployment = newest_deployment_whole(sandbox, "prod")
    print_proof(sandbox, deployment)
    after, instances = unit_of(deployment), deployment["proof"]["instances"]
    departing = [part for each in instances for part in departing_parts(each, after)]
    promises.check(
        "a tenant is moved with the release that it has",
        f"{deployment['kind']} {deployment['status']}: {len(instances)} live instances prove"
        f" r{after.release_revision} in place of r{before.release_revision}, with the image,"
        f" configuration and secret versions of before; they depart in {departing or 'nothing'}",
        is_kept=(deployment["kind"], deployment["status"]) == ("relocation", "Completed")
        and bool(instances)
        and not departing
        and not any(after.differs_from(before)),
    )


def release_text(release: str) -> str:
    return Path(release_path(release)).read_text(encoding="utf-8")


def release_file(sandbox: Sandbox, name: str, content: str) -> str:
    """Write a release file of the story; return its relative path."""
    path = sandbox.folder / f"release-{name}.yaml"
    path.write_text(content, encoding="utf-8")
    return os.path.relpath(path)


def _print_units(sandbox: Sandbox, units: Mapping[str, Unit]) -> None:
    columns = (
        Column("UNIT", "name"),
        Column("REVISION", "revision"),
        Column("VERSION", "version"),
        Column("IMAGE", "image"),
        Column("CONFIGURATION", "configuration"),
        Column("SECRETS", "secrets"),
        Column("POLICY", "policy"),
    )
    rows: list[Mapping[str, Any]] = [
        {
            "name": name,
            "revision": f"r{unit.release_revision}",
            "version": unit.version,
            "image": format_digest(unit.digest),
            "configuration": format_digest(unit.configuration),
            "secrets": [f"{each} {version[:8]}…" for each, version in unit.secrets.items()],
            "policy": unit.scaling_policy,
        }
        for name, unit in units.items()
    ]
    sandbox.print()
    for row in format_table(rows, columns):
        sandbox.print(row)
