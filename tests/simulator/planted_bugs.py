"""Bugs that somebody could write, one small change each: a run that reports none judges nothing.

`python -m tests.simulator.planted_bugs` runs seeds under each until a promise is broken, and prints
the table of `docs/planted-bugs.md`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from tests.simulator import bugs_of_messages as messages
from tests.simulator import bugs_of_services as services
from tests.simulator import bugs_of_tenants as tenants
from tests.simulator import simulated_world
from tests.simulator.bugs_of_messages import Change, around
from tests.simulator.simulation import Outcome, simulate

SEEDS_MAX: Final = 40
_ACTIONS: Final = 40
_HOURS: Final = 1.5


@dataclass(frozen=True)
class Bug:
    """One bug: what it changes, and the promise (by its number) that breaks first.

    `first` is the seed that finds it, of the bugs only that a test runs: every other search begins
    anew, as seeds find others with each change of the platform. `faults` are rates of what it needs
    to show itself, beside what the seed has.
    """

    name: str
    changes: Callable[[], Sequence[Change]]
    promise: str
    first: int | None = None
    faults: Mapping[str, float] = field(default_factory=dict)


_LATE: Final = {"message late": 0.5}
_NOT_SENT: Final = {"broker refuses": 0.1}
_DOUBLED: Final = {"message doubled": 0.5}
_REFUSED: Final = {"store refuses": 0.05}
_KILLED: Final = {"host killed": 0.002}
BUGS: Final[Sequence[Bug]] = (
    Bug("skip the inbox", messages.skip_the_inbox, "2", 1, faults=_DOUBLED),
    Bug("publish before the commit", messages.publish_before_commit, "1", 1, faults=_REFUSED),
    Bug("forget to send commands", messages.commands_forgotten, "1", 1),
    Bug("forget to publish events", messages.events_forgotten, "1", 1),
    Bug("audit an event and not publish it", messages.event_told_and_not_published, "1", 1),
    Bug("forget the audit record", messages.without_audit, "12", 1),
    Bug("lose some audit records", messages.audit_loses_entries, "12", 1),
    Bug(
        "settle a message before it is handled",
        messages.settle_before_handling,
        "1",
        3,
        faults=_REFUSED,
    ),
    Bug(
        "delete rows that did not leave",
        messages.rows_deleted_unsent,
        "1",
        1,
        faults=_NOT_SENT,
    ),
    Bug("never delete rows that left", messages.rows_never_deleted, "13"),
    Bug("relay nothing that was left behind", messages.no_second_relay, "13", 1),
    Bug("ignore etags", messages.ignore_etags, "2", 1, faults=_DOUBLED),
    Bug(
        "take older events",
        messages.older_events_are_taken,
        "3",
        faults=_LATE,
    ),
    Bug("forget how operations ended", messages.operations_are_forgotten, "13", 1),
    Bug("restart no operation", messages.no_recovery, "13", faults=_KILLED),
    Bug("drop the tenant filter of lists", services.no_tenant_filter, "7", 1),
    Bug("read the partition of another tenant", services.partition_of_another, "7", 1),
    Bug("log a secret's value", services.value_in_the_log, "8", 1),
    Bug("disable old versions at once", services.old_versions_end_at_once, "9"),
    Bug("revoke before the proofs", services.revoke_early, "9"),
    Bug("give traffic before readiness", services.no_readiness, "10"),
    Bug("let all deployments start at once", services.all_are_first_in_the_queue, "6", 5),
    Bug("leave no queue", services.queues_are_never_left, "13", 1),
    Bug("forget the fence", services.fences_are_forgotten, "6", 1),
    Bug("leave the previous release running", services.previous_is_left, "5"),
    Bug("leave the rejected release running", services.rejected_is_left, "5"),
    Bug("report own work as drift", services.own_work_is_reported, "11", 1),
    Bug(
        "open a second finding for a property",
        services.findings_have_ids_of_their_own,
        "11",
        1,
    ),
    Bug("take what cannot be read for gone", services.unread_is_absent, "1", 1),
    Bug("resume a tenant into another state", services.resumed_is_bound, "4"),
    Bug("count a revision down", services.revisions_go_down, "1", 1),
    Bug("fail in a handler", services.handler_has_a_defect, "1", 1),
    Bug("do nothing in a handler", services.handler_does_nothing, "1", 1),
    Bug("let a suspended tenant deploy", tenants.suspended_tenants_deploy, "15"),
    Bug("let a breach of isolation hold nothing", tenants.breaches_hold_nothing, "15"),
    Bug("end the old model before all has moved", tenants.old_model_ends_early, "5"),
    Bug("never end a move", tenants.moves_never_end, "13", 1),
    Bug("leave the boundary of a guest", tenants.boundaries_are_left, "15"),
    Bug("do what the policy for prod denies", tenants.policy_is_not_obeyed, "15"),
)


def simulate_with(bug: Bug, seed: int) -> Outcome:
    """Run the day of *seed* with *bug*, until it breaks its promise."""

    def faults_of(inner: Any, *arguments: Any) -> Any:
        made = inner(*arguments)
        made.rates.update(bug.faults)
        return made

    with ExitStack() as planted:
        needed = around(simulated_world, "faults_of", faults_of)
        for owner, name, changed in (*bug.changes(), needed):
            planted.enter_context(patch.object(owner, name, changed))
        return simulate(seed, actions=_ACTIONS, hours=_HOURS, sought=bug.promise)


def _search(number: int) -> tuple[Bug, int, str]:
    """Return the first seed that finds the bug *number*, and the promise that it sees broken."""
    bug = BUGS[number]
    for seed in range(1, SEEDS_MAX + 1):
        if broken := simulate_with(bug, seed).broken:
            return bug, seed, broken[0].line
    return bug, 0, ""


def main() -> int:
    """Print for each bug how many seeds it took, and what found it; 1 where one was not found."""
    parser = argparse.ArgumentParser(prog="make planted-bugs", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of bugs")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), help="processes")
    asked = parser.parse_args()
    bugs = [number for number, each in enumerate(BUGS) if asked.only in each.name]
    rows = {}
    with ProcessPoolExecutor(asked.at_once) as workers:
        for search in as_completed([workers.submit(_search, number) for number in bugs]):
            bug, seeds, promise = search.result()
            rows[bug.name] = (seeds, promise)
            print(f"{bug.name}: {seeds or 'not found'}", file=sys.stderr, flush=True)
    print(table(rows))
    return 0 if all(seeds for seeds, _ in rows.values()) else 1


def table(rows: Mapping[str, tuple[int, str]]) -> str:
    """Return the table of the bugs in *rows*: the first seed that finds each, and what it sees."""
    found = [seeds for seeds, _ in rows.values() if seeds]
    lines = [
        f"{len(rows)} bugs, {len(found)} found within {SEEDS_MAX} seeds, by {sum(found)} in all:",
        "",
        "| bug | seeds | promise |",
        "|---|---|---|",
    ]
    for bug in BUGS:
        if bug.name in rows:
            seeds, promise = rows[bug.name]
            shown = promise.partition(": ")[0] or "none"
            lines.append(f"| {bug.name} | {seeds or f'more than {SEEDS_MAX}'} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulator.planted_bugs", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
