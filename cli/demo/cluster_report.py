"""The plan that the story on a cluster prints before it starts, and its totals at the end."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cli.demo import report
from cli.demo.cluster_faults import NodeDeath
from cli.demo.cluster_scenario import BAD, FOLDER, RATE, SITE_RATE, SMALL_MIB
from cli.demo.load_process import LoadTotals, RequestRecord, totals_of
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import NEW, OLD
from cli.typed import STATE_VARIABLE
from local_cluster.cluster_folder import Form

_PARTS: Final = (
    ("boot", "a Kubernetes cluster of two nodes, and the platform in front of it", 16),
    ("build", f"images of Datasette {OLD}, {NEW}, and {NEW} with an error; archives (cached)", 6),
    ("provision", "one environment: a namespace in the cluster, and this machine", 6),
    ("deploy", f"{OLD}: one release, a component in pods, one as a process", 25),
    ("client", f"{RATE} requests a second to the Gateway, {SITE_RATE} to this machine", 1),
    ("canary", f"{NEW} by canary; the API server is killed on the way", 50),
    ("break", "a release with errors: both components go back by its gate's figures", 20),
    ("absent", "an image that does not exist: refused at the command", 1),
    ("memory", f"{SMALL_MIB} MiB for each pod: the kill is told as such", 15),
    ("node", "a node loses its power under the client", 25),
    ("edit", "kubectl edit behind the platform's back: its live values", 10),
    ("report", "totals", 2),
)
"""Name, description and usual duration in seconds of each part."""


def print_plan(sandbox: Sandbox, form: Form, *, is_warm: bool) -> None:
    """Print the parts, their durations, the form of the cluster, ports, folders and limits."""
    sandbox.print("Factory Runtime on Kubernetes: from no cluster to a rollback, in real pods", "1")
    sandbox.print()
    report.print_parts(sandbox, _PARTS)
    total_s = sum(seconds for *_, seconds in _PARTS)
    fresh = "" if is_warm else ", and up to 90 s once to build the images"
    sandbox.print()
    sandbox.print(f"time:    about {total_s} s, twice that on a loaded machine{fresh}")
    sandbox.print(f"cluster: of its own, in the form {form}; it goes at the end, with all in it")
    sandbox.print(f"ports:   API {sandbox.port}, and free ones")
    report.print_folders(sandbox, f"{FOLDER}/unit.yaml", sandbox.state_folder.cluster / "logs")


@dataclass(frozen=True)
class ClusterTotals:
    """The requests of both clients; `all` has as failures only those that nothing explains."""

    all: LoadTotals
    of_bad_release: Sequence[RequestRecord]
    """Answers of the bad release itself, with a status of 500."""
    on_dead_node: Sequence[RequestRecord]
    sent: int


def totals(requests: Sequence[RequestRecord], death: NodeDeath) -> ClusterTotals:
    """Return the totals of *requests*, with what each failed one comes from."""
    bad = _failed(requests, lambda request: request.release == BAD)
    lost = _failed(requests, death.explains)
    explained = {id(request) for request in (*bad, *lost)}
    others = [request for request in requests if id(request) not in explained]
    return ClusterTotals(totals_of(others), bad, lost, len(requests))


def _failed(
    requests: Sequence[RequestRecord], holds: Callable[[RequestRecord], bool]
) -> Sequence[RequestRecord]:
    return [request for request in requests if request.failure and holds(request)]


def print_totals(sandbox: Sandbox, found: ClusterTotals) -> None:
    """Print how many requests were served, and what each other one comes from."""
    sandbox.print_title("Totals")
    sandbox.print(
        f"requests:  {found.sent} sent, {found.all.served} served"
        f" ({found.sent / found.all.seconds if found.all.seconds else 0:.0f} a second"
        f" for {found.all.seconds:.0f} s)"
    )
    sandbox.print(
        f"errors:    {len(found.of_bad_release)} answers of {BAD} itself, until it went back"
    )
    sandbox.print(
        f"lost:      {len(found.on_dead_node)} on the dead node, before its death was noticed"
    )
    report.print_failures(sandbox, found.all)
    report.print_latency(sandbox, found.all)
    report.print_use(sandbox, found.all)


def print_verdict(sandbox: Sandbox, found: ClusterTotals) -> bool:
    """Print whether the story has passed; return it."""
    failed = len(found.all.failures)
    sandbox.print()
    if found.all.served and not failed:
        sandbox.print(
            "the demo passed: no request failed but by the bad release and on the dead node", "1;32"
        )
        return True
    reason = f"{failed} requests had no good answer" if failed else "no request was served"
    sandbox.print(f"the demo failed: {reason}", "1;31")
    for line in report.load_reasons(found.all, os.cpu_count() or 1) if failed else ():
        sandbox.print(f"  {line}")
    return False


def print_next_commands(sandbox: Sandbox, *, is_kept: bool) -> None:
    """Print the commands to continue with."""
    kept: Sequence[str] = (
        f"export {STATE_VARIABLE}={os.environ[STATE_VARIABLE]}",
        "runtimectl status",
        "runtimectl down && runtimectl cluster down",
    )
    fresh: Sequence[str] = (
        "python -m cli.demo --cluster --keep   # the same, and everything stays up",
        "runtimectl cluster up                 # a cluster of your own",
    )
    sandbox.print()
    sandbox.print("next:")
    for line in kept if is_kept else fresh:
        sandbox.print(f"  $ {line}")
