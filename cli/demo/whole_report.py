"""The plan of the whole story, its timeline with causes, and whether it kept what it promised."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.demo import report
from cli.demo.host_kill import HostKill
from cli.demo.promises import Promises, story_failures
from cli.demo.sandbox import Sandbox
from cli.demo.scaling_under_load import MORE
from cli.demo.scenario import NEW, OLD, release_path
from cli.demo.whole_scenario import RATE
from cli.fan_out import newest_of_apps
from cli.lookup import id_labels, replace_ids
from cli.output import Column, format_table, format_time, shown_actor

_PARTS: Final = (
    ("boot", "start the system, log in", 15),
    ("build", f"Datasette {OLD}, {NEW}, and {NEW} with one of two plugins (cached)", 2),
    ("provision", "environments test, staging and prod; a binding for prod", 18),
    ("deploy", f"{OLD} to prod and staging, with a secret, {NEW} to test", 45),
    ("client", f"{RATE} requests a second to prod, to the end; a scaling policy", 3),
    ("promote", "from test to staging, through its gate", 40),
    ("bind", "a second tenant to test, where it deploys beside the first", 15),
    ("promote", "from staging to prod by canary; host and agent are killed on the way", 65),
    ("break", "a bad release: image, configuration and secrets go back as one", 70),
    ("tamper", "kill a process, edit a file, turn traffic, beside a rollout", 5),
    ("repair", "drift names it with its cause, and it is repaired", 75),
    ("scale", f"{MORE} requests a second more, and less again", 60),
    ("resolve", "drift says that all is as released", 5),
    ("rotate", "a secret, from a new version to the end of the old one", 60),
    ("move", "the tenant of prod to another model of isolation, module by module", 60),
    ("report", "timeline with causes, promises, totals", 10),
)
"""Name, description and usual duration in seconds of each part, on 2 cores that others use too."""
_TOLD: Final = frozenset(
    {
        "RuntimeEnvironmentProvisioned", "RuntimeTenantBound", "ConfigurationPublished",
        "RuntimeDeploymentRequested", "RuntimeDeploymentCompleted", "RuntimeDeploymentRolledBack",
        "RuntimeDeploymentFailed", "RuntimeDriftDetected", "RuntimeDriftResolved",
        "ScalingPolicyApplied", "SecretBound", "SecretRotated",
        "RuntimeAlertRaised", "RuntimeAlertCleared",
    }
)  # fmt: skip


def print_plan(sandbox: Sandbox) -> None:
    """Print the parts, their durations, the ports, folders and limits."""
    sandbox.print("Factory Runtime: the whole story", "1")
    sandbox.print()
    report.print_parts(sandbox, _PARTS)
    total_s = sum(seconds for *_, seconds in _PARTS)
    sandbox.print()
    sandbox.print(
        f"time:    about {total_s} s on a loaded machine with 2 cores,"
        " and up to 60 s once to build the archives"
    )
    sandbox.print(f"ports:   API {sandbox.port}; each environment takes two from 20000 to 29999")
    report.print_folders(sandbox, release_path(NEW))


def print_timeline(sandbox: Sandbox) -> None:
    """Print what happened and why: of each event who brought it about, and its cause."""
    sandbox.print_title("16 · What happened, and why, from the event log")
    client = sandbox.client
    events = newest_of_apps(
        client, "events", "occurredAt", lambda event: event["eventType"] in _TOLD
    )
    types = {each["eventId"]: each["eventType"] for each in events}
    labels = {**id_labels(client), **types}
    columns = (
        Column("WHEN", lambda event: format_time(event["occurredAt"])),
        Column("WHO", shown_actor),
        Column("WHAT", "eventType"),
        Column("ABOUT", lambda event: _about(event, labels)),
        Column("CAUSE", lambda event: replace_ids(event["cause"], labels)),
    )
    for row in format_table(events, columns):
        sandbox.print(row)


def _about(event: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    return replace_ids(event.get("aggregateId") or event["target"], labels)


def print_end(sandbox: Sandbox, promises: Promises, kill: HostKill) -> bool:
    """Print the totals, the promises and the verdict; return whether the story has passed."""
    totals, more = sandbox.load.totals(), sandbox.second_load.totals()
    report.print_totals(sandbox, totals, kill.served_while_dead)
    sandbox.print(f"on top:    {more.served} served, {len(more.failures)} failed, while it scaled")
    for failure in more.failures[:10]:
        sandbox.print(f"           {failure}")
    sandbox.print_title("What was promised, and what was seen")
    for promise in promises.made:
        sandbox.print(f"{'✓' if promise.is_kept else '✗'} {promise.text}")
        sandbox.print(f"    {promise.seen}")
    clients = {"the client of prod": totals, "the load on top": more}
    failed = len(totals.failures) + len(more.failures)
    return print_verdict(sandbox, story_failures(promises, clients), failed)


def print_verdict(sandbox: Sandbox, failures: Sequence[str], failed: int) -> bool:
    """Print how many requests *failed*, and whether the story has passed; return the latter."""
    sandbox.print()
    sandbox.print(f"requests failed: {failed}", "1;31" if failed else "1;32")
    if not failures:
        sandbox.print("the story passed: everything was as promised", "1;32")
        return True
    sandbox.print(f"the story failed: {failures[0]}", "1;31")
    for failure in failures[1:]:
        sandbox.print(f"  {failure}")
    return False
