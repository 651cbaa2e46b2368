"""The part of the whole story in which drift finds what was tampered with, and it is repaired."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.demo.outside_changes import (
    edit_configuration,
    kill_a_workload,
    print_answers,
    turn_traffic,
)
from cli.demo.promises import OutsideChange, Promises, place_of, unexplained
from cli.demo.rollouts import newest_deployment, wait_until
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import NEW, PACED, deploy_line
from cli.demo.two_tenants import OWNER, log_in
from cli.demo.whole_scenario import GUEST, STAGES

_DRIFT: Final = "/v1/runtime/drift"
Finding = Mapping[str, Any]


def tamper_and_repair(sandbox: Sandbox, promises: Promises) -> Sequence[OutsideChange]:
    """Tamper, beside a rollout; have it found and repaired; return what was tampered with."""
    sandbox.print_title("10 · Somebody kills a process, edits a file, and turns traffic elsewhere")
    kill_a_workload(sandbox)
    sandbox.run(deploy_line(sandbox, PACED, "staging"))
    done = {"prod": edit_configuration(sandbox), "test": turn_traffic(sandbox)}
    sandbox.print_title("11 · Drift names it, the rollout beside it is none, and it is repaired")
    found = {name: _wait_for(sandbox, change) for name, change in done.items()}
    sandbox.run("drift list --env staging")
    for name, finding in found.items():
        sandbox.run(f"drift list --env {name}")
        sandbox.run(f"drift show {finding['findingId']}")
    promises.check(
        "drift finds what was tampered with, and says why",
        "; ".join(f"{name}: {_words(finding)}" for name, finding in found.items()),
        is_kept=all("outside the platform" in each["cause"] for each in found.values()),
    )
    for finding in found.values():
        sandbox.run(f"drift remediate {finding['findingId']} --reason 'put it back'")
    for name in found:
        sandbox.run(f"deployment {_repair_of(sandbox, name)} --wait")
    sandbox.run("deployment staging --wait")
    answers = print_answers(sandbox)
    promises.check(
        "a repair brings back what was released",
        f"test is answered by {', '.join(answers)}",
        is_kept=set(answers) == {NEW},
    )
    return [*done.values()]


def wait_for_resolved(sandbox: Sandbox, done: Sequence[OutsideChange]) -> None:
    """Wait until every finding of what was *done* has ended.

    A scan says so that comes after the last work of the platform on the service.
    """
    sandbox.print_title("13 · What was tampered with is as released")

    def are_resolved() -> bool:
        return all(_wait_for(sandbox, each)["status"] == "Resolved" for each in done)

    wait_until(sandbox, "what was tampered with is as released", are_resolved)
    for name in ("prod", "test"):
        sandbox.run(f"drift list --env {name}")
    sandbox.print(f"resolved:  {len(done)} findings, of all that was tampered with")


def check_reports(sandbox: Sandbox, promises: Promises, done: Sequence[OutsideChange]) -> None:
    """Look at all that drift ever reported, to both tenants: only what was *done* may be in it."""
    environments = {name: sandbox.environment(name)["environmentId"] for name in STAGES}
    reported = [each for identity in environments.values() for each in _findings(sandbox, identity)]
    taken = unexplained(reported, done)
    promises.check(
        "the platform's own work is never reported as drift",
        "; ".join(map(_words, taken)) or f"{len(reported)} findings, all of what was tampered with",
        is_kept=not taken,
    )
    log_in(sandbox, GUEST)
    guests = _findings(sandbox, environments["test"])
    log_in(sandbox, OWNER)
    promises.check(
        "what is done to one tenant is no drift of another",
        "; ".join(map(_words, guests)) or f"no finding of {GUEST}",
        is_kept=not guests,
    )


def _wait_for(sandbox: Sandbox, change: OutsideChange) -> Finding:
    def found() -> Finding | None:
        listed = _findings(sandbox, change.environment_id)
        matching = [each for each in listed if place_of(each) == change]
        return matching[0] if matching else None

    return wait_until(sandbox, f"drift finds {change.plane}/{change.path}", found)


def _repair_of(sandbox: Sandbox, environment: str) -> str:
    def begun() -> str | None:
        newest = newest_deployment(sandbox, environment)
        return str(newest["deploymentId"]) if newest["kind"] == "repair" else None

    return wait_until(sandbox, f"a repair in {environment}", begun)


def _findings(sandbox: Sandbox, environment_id: str) -> Sequence[Finding]:
    return [*sandbox.client.list_all(f"{_DRIFT}/{environment_id}")]


def _words(finding: Finding) -> str:
    return f"{finding['plane']}/{finding['path']} ({finding['cause']})"
