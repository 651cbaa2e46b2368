"""The acts of the demo, in order; each shows the lines that one would type and what they did."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cli.client import HostAway
from cli.demo.load_process import RATE
from cli.demo.sandbox import DemoFailed, Stage
from cli.exit_codes import ExitCode
from cli.host_process import find_host, kill_host, pause
from cli.output import Column, table
from cli.watch_rollout import ROOT, Watch, follow_rollout
from shared.kernel.clock import parse_instant

MODULE: Final = "module-datasette"
PROJECT: Final = "proj-demo"
FOLDER: Final = "examples/datasette"
OLD: Final = "0.65.2"
NEW: Final = "0.65.5"
BAD: Final = f"{NEW}-slow"
SLOW: Final = f"{FOLDER}/slow_plugin"
PATH: Final = "-/versions.json"
DEAD_FOR_S: Final = 3.0
KILL_AFTER: Final = 10
"""Requests that the canary has answered before the host is killed: it is really in the middle."""
_PATIENCE_S: Final = 240.0


def boot(stage: Stage) -> None:
    """Start the system and log in."""
    stage.act("1 · Boot")
    stage.run(f"up --port {stage.port}")
    stage.run("login --dev --tenant tenant-demo --user you")


def build(stage: Stage) -> None:
    """Build the archives of three releases from the package index, or take them from the cache."""
    stage.act("2 · Three releases of Datasette, a public application")
    sources = {OLD: f"datasette=={OLD}", NEW: f"datasette=={NEW}", BAD: f"datasette=={NEW} {SLOW}"}
    for release, requirements in sources.items():
        stage.run(f"artifact build {requirements} --to {archive(stage, release)}")
    stage.run(f"artifact push {archive(stage, OLD)}")


def archive(stage: Stage, release: str) -> str:
    """Return where the archive of *release* is, as it is typed."""
    return os.path.relpath(stage.folder / f"datasette-{release}.zip")


def deploy_line(stage: Stage, release: str, environment: str) -> str:
    """Return the line that deploys *release*."""
    file = f"{FOLDER}/release-{release}.yaml"
    return f"deploy -f {file} --artifact {archive(stage, release)} --env {environment}"


def provision(stage: Stage) -> None:
    """Plan and create test and staging."""
    stage.act("3 · Two environments, planned and then provisioned")
    stage.run(f"env plan test --stage test --project {PROJECT}")
    stage.run(f"env create test --stage test --project {PROJECT} --wait")
    stage.run(f"env create staging --stage staging --project {PROJECT} --wait")


def deploy_first(stage: Stage) -> None:
    """Give staging the release of today and test the one of tomorrow, side by side."""
    stage.act(f"4 · Staging gets {OLD}, test gets {NEW}")
    stage.run(deploy_line(stage, OLD, "staging"))
    stage.run(f"{deploy_line(stage, NEW, 'test')} --wait")
    stage.run("deployment staging --wait")


def send_traffic(stage: Stage) -> str:
    """Start the client on staging's public endpoint; it goes on to the end."""
    stage.act("5 · A client, from here to the end")
    staging = stage.environment("staging")
    url = str(staging["provisioned"][0]["endpoint"])
    services = stage.ask("/v1/runtime/services", environmentId=staging["environmentId"])["value"]
    admin_port = stage.admin_port(staging["environmentId"])
    pid = stage.traffic.start(f"{url}{PATH}", admin_port, services[0]["serviceId"])
    stage.say(f"open {url} in a browser: it is Datasette itself")
    stage.say(
        f"the client (pid {pid}) asks {url}{PATH} {RATE} times a second and never retries;"
        " failed is: no connection, no full answer in 5 s, or a status of 500 and above"
    )
    stage.run("status")
    return url


def promote_and_kill(stage: Stage) -> "Kill":
    """Promote to staging by canary; kill the host while the weight is between 0 and 100."""
    stage.act(f"6 · Promote {NEW} from test to staging, and kill the host on the way")
    _await_soak(stage)
    stage.run("promote test --to staging")
    identity = _newest(stage, "staging")["deploymentId"]
    stage.type("runtimectl deployment staging --wait")
    watch = follow_rollout(stage.session, identity, timeout_s=_PATIENCE_S, until=_is_mid_canary)
    if watch.has_ended:
        raise DemoFailed(f"{identity} ended before its canary could be interrupted")
    kill = _kill(stage, watch)
    show_kill(stage, kill)
    stage.run("deployment staging --wait")
    return kill


@dataclass(frozen=True)
class Kill:
    """What happened when the host was killed and started again."""

    pid: int
    step: str
    weight: int
    served_while_dead: int
    failed_while_dead: int
    dead_s: float
    answers_after_s: float
    resumed_after_s: float
    adopted: tuple[int, ...]
    lost: tuple[int, ...]


def _kill(stage: Stage, watch: Watch) -> Kill:
    deployment = watch.deployment
    step = next(each for each in reversed(deployment["steps"]) if each["startedAt"] is not None)
    before = stage.workloads()
    pid = stage.host_pid()
    stage.type(
        f"kill -9 {pid}        # the whole control plane, at weight {deployment['weight']} %"
    )
    kill_host(stage.place, stage.clock)
    died_at, died_s = stage.clock.now(), stage.clock.monotonic_s()
    pause(stage.clock, DEAD_FOR_S)
    stage.say(f"nobody is in charge: pid {pid} is dead, in step {step['name']!r}; traffic goes on")
    started_s = stage.clock.monotonic_s()
    stage.run(f"up --port {stage.port}")
    alive_at, answers_s = stage.clock.now(), stage.clock.monotonic_s()
    _until_resumed(stage, deployment["operationId"])
    resumed_s = stage.clock.monotonic_s()
    after = stage.workloads()
    dead = [one for one in stage.traffic.asked() if died_at <= one.at < alive_at]
    return Kill(
        pid=pid,
        step=step["name"],
        weight=deployment["weight"],
        served_while_dead=sum(1 for one in dead if not one.failed),
        failed_while_dead=sum(1 for one in dead if one.failed),
        dead_s=answers_s - died_s,
        answers_after_s=answers_s - started_s,
        resumed_after_s=resumed_s - started_s,
        adopted=tuple(sorted(each.pid for each in before & after)),
        lost=tuple(sorted(each.pid for each in before - after)),
    )


def _until_resumed(stage: Stage, operation_id: str) -> None:
    """Return when the surface is kept again and the operation can be asked for."""
    deadline_s = stage.clock.monotonic_s() + _PATIENCE_S
    announced = stage.place.surface / "supervisor.json"
    while stage.clock.monotonic_s() < deadline_s:
        try:
            stage.ask(f"/v1/runtime/operations/{operation_id}")
        except HostAway:
            pause(stage.clock, 0.1)
            continue
        host = find_host(stage.place)
        if (
            host is not None
            and announced.exists()
            and f'"pid": {host.pid}' in announced.read_text()
        ):
            return
        pause(stage.clock, 0.05)
    raise DemoFailed(f"{operation_id} did not go on after the host was started again")


@dataclass(frozen=True)
class Rollback:
    """What the third release cost, and how it was turned back."""

    deployment: Mapping[str, Any]
    first_bad_at: datetime | None
    weightless_at: datetime | None
    exposed: int

    @property
    def seconds(self) -> float | None:
        if self.first_bad_at is None or self.weightless_at is None:
            return None
        return (self.weightless_at - self.first_bad_at).total_seconds()


def ship_bad_release(stage: Stage) -> Rollback:
    """Ship a release that starts well and is too slow; it is turned back, held and refused."""
    stage.act("7 · A third release: starts well, 300 ms slower")
    line = deploy_line(stage, BAD, "staging")
    stage.run(f"{line} --wait", expect=ExitCode.ENDED_OTHERWISE)
    deployment = stage.ask(f"{ROOT}/{_newest(stage, 'staging')['deploymentId']}")
    found = _rollback_of(stage, deployment)
    show_rollback(stage, found)
    stage.say()
    stage.say("the same release again is refused, and the refusal says the way out:")
    stage.run(line, expect=ExitCode.CONFLICT)
    return found


def _rollback_of(stage: Stage, deployment: Mapping[str, Any]) -> Rollback:
    if deployment["status"] != "RolledBack":
        raise DemoFailed(f"the slow release ended as {deployment['status']}, not RolledBack")
    evidence = [each for step in deployment["steps"] for each in step["evidence"]]
    bad = [parse_instant(each["firstBadAt"]) for each in evidence if each["firstBadAt"]]
    revision = evidence[-1]["candidateRevision"]
    seen = stage.traffic.proxy()
    first_bad_at = min(bad, default=None)
    weightless_at = seen.weightless_since(revision, first_bad_at) if first_bad_at else None
    return Rollback(deployment, first_bad_at, weightless_at, seen.requests.get(revision, 0))


def show_rollback(stage: Stage, rollback: Rollback) -> None:
    """Show trigger, time, exposure and the proof of each instance."""
    deployment, seconds = rollback.deployment, rollback.seconds
    stage.say()
    stage.say(f"trigger:   {deployment['reason']['message']}")
    stage.say(
        "time:      "
        + (
            f"{seconds:.1f} s from the first bad sample to 0 %"
            if seconds is not None
            else "unknown"
        )
    )
    stage.say(f"exposed:   {rollback.exposed} requests were answered by the bad release, slowly")
    proof = deployment["proof"]
    stage.say(f"proof:     asked from the {proof['total']} live instances, not from a store")
    columns = (
        Column("INSTANCE", "instance"),
        Column("REVISION", "releaseRevision"),
        Column("DIGEST", lambda it: f"{it['digest'][:19]}…"),
        Column("DEPARTS", lambda it: [each["path"] for each in it["departures"]] or "nothing"),
        Column("CHECKED", lambda it: it["checkedAt"][11:23]),
    )
    for row in table(proof["instances"], columns):
        stage.say(f"  {row}")


def show_kill(stage: Stage, kill: Kill) -> None:
    """Show what the death of the host meant for traffic and workloads."""
    stage.say()
    stage.say(f"killed:    pid {kill.pid}, in step {kill.step!r}, weight {kill.weight} %")
    stage.say(
        f"while dead: {kill.served_while_dead} requests served, {kill.failed_while_dead} failed,"
        f" in {kill.dead_s:.1f} s"
    )
    stage.say(
        f"resumed:   the API answers {kill.answers_after_s:.1f} s and the rollout is kept again"
        f" {kill.resumed_after_s:.1f} s after the start"
    )
    pids = ", ".join(str(pid) for pid in kill.adopted)
    stage.say(f"adopted:   {pids} (same pids, same start times); lost: {len(kill.lost)}")


def _is_mid_canary(watch: Watch) -> bool:
    weight = watch.deployment["weight"]
    canary = sum(
        counters.requests
        for candidate, revisions in watch.traffic.values()
        for number, counters in revisions.items()
        if number == candidate
    )
    return 0 < weight < 100 and canary >= KILL_AFTER  # noqa: PLR2004  percent


def _await_soak(stage: Stage) -> None:
    """Wait until test may be promoted: Completed, and Healthy for the soak time."""
    from shared.contracts.promotions import LOCAL_SOAK  # noqa: PLC0415  pydantic takes its time

    soak_s = LOCAL_SOAK.test.total_seconds()
    where = stage.environment("test")["environmentId"]
    service = stage.ask("/v1/runtime/services", environmentId=where)["value"][0]["serviceId"]
    stage.say(f"{NEW} soaks: Completed and Healthy in test for {soak_s:.0f} s before it may leave")
    deadline_s = stage.clock.monotonic_s() + _PATIENCE_S
    while stage.clock.monotonic_s() < deadline_s:
        health = stage.ask(f"/v1/runtime/services/{service}/health")
        healthy_s = (stage.clock.now() - parse_instant(health["since"])).total_seconds()
        if health["status"] == "Healthy" and healthy_s > soak_s:
            return
        pause(stage.clock, 0.25)
    raise DemoFailed(f"{service} did not stay Healthy for {soak_s:.0f} s")


def _newest(stage: Stage, environment: str) -> Mapping[str, Any]:
    query = {"environmentId": stage.environment(environment)["environmentId"]}
    found = stage.ask(ROOT, **query)["value"]
    newest: Mapping[str, Any] = max(found, key=lambda each: each["createdAt"])
    return newest
