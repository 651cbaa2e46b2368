"""What is killed and edited in the story on a cluster, and what the platform says of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cli.demo.cluster import SEEN_WITHIN_S, DemoCluster
from cli.demo.load_generator import RESPONSE_WITHIN_S
from cli.demo.load_process import RequestRecord
from cli.demo.sandbox import DemoFailed, Sandbox
from cli.host_process import pause
from shared.kernel.clock import Clock

_POLL_INTERVAL_S: Final = 0.2
_RELEASED: Final = "256Mi"
_EDITED: Final = "192Mi"
"""The memory of a pod: in the release file, and as somebody changes it."""


def kill_api_server(sandbox: Sandbox, cluster: DemoCluster, weight: int) -> None:
    """Kill the API server, and wait until the cluster has started it again."""
    died_at, died_s = sandbox.clock.now(), sandbox.clock.monotonic_s()
    pid = cluster.kill_api_server()
    sandbox.print_command(f"kill -9 {pid}    # the API server, at weight {weight} %")
    _until(cluster.is_api_ready, "the API server answers again", sandbox.clock)
    alive_at, alive_s = sandbox.clock.now(), sandbox.clock.monotonic_s()
    while_dead = [r for r in sandbox.load.requests() if died_at <= r.sent_at < alive_at]
    failed = sum(1 for request in while_dead if request.failure)
    sandbox.print(
        f"while dead: {len(while_dead) - failed} requests served, {failed} failed,"
        f" in {alive_s - died_s:.1f} s; the rollout goes on"
    )


@dataclass(frozen=True)
class NodeDeath:
    """A node without power, from when to when the cluster did not know it."""

    node: str
    died_at: datetime
    noticed_at: datetime

    def explains(self, request: RequestRecord) -> bool:
        """Return whether *request* may have failed because it was on that node.

        It was in flight when the node died, or was sent before the death was noticed; and got no
        answer of an application.
        """
        earliest = self.died_at - timedelta(seconds=RESPONSE_WITHIN_S)
        is_unanswered = bool(request.failure) and not request.release
        return is_unanswered and earliest <= request.sent_at <= self.noticed_at


def kill_node(sandbox: Sandbox, cluster: DemoCluster, module: str) -> NodeDeath:
    """Switch a node off under the client; wait until its pods run elsewhere, and switch it on."""
    sandbox.print_title("10 · A node loses its power")
    before = cluster.nodes_of_ready_pods(module)
    nodes = Counter(before.values())
    if len(nodes) < 2:  # noqa: PLR2004  else all of it would be gone
        raise DemoFailed(f"all pods of {module} are on one node: {before}")
    node = min(nodes)
    died_at, died_s = sandbox.clock.now(), sandbox.clock.monotonic_s()
    switch = cluster.switch(node)
    sandbox.print_command(f"touch {switch}    # no shutdown: it is gone")
    switch.touch()
    clock = sandbox.clock
    _until(lambda: not cluster.is_node_ready(node), f"{node} is known to be away", clock)
    death = NodeDeath(node, died_at, clock.now())
    noticed_s = clock.monotonic_s()

    def has_moved() -> bool:
        ready = cluster.nodes_of_ready_pods(module)
        return len([name for name in ready.values() if name != node]) >= len(before)

    _until(has_moved, f"the pods of {node} run elsewhere", clock)
    sandbox.print(
        f"noticed:   after {noticed_s - died_s:.1f} s; its pods run on another node"
        f" {clock.monotonic_s() - died_s:.1f} s after its death"
    )
    sandbox.run("status")
    switch.unlink()
    _until(lambda: cluster.is_node_ready(node), f"{node} is back", clock)
    lost = [request for request in sandbox.load.requests() if death.explains(request)]
    sandbox.print(f"lost:      {len(lost)} requests that were on {node}; it is back, and empty")
    return death


def _until(holds: Callable[[], bool], what: str, clock: Clock) -> None:
    deadline_s = clock.monotonic_s() + SEEN_WITHIN_S
    while not holds():
        if clock.monotonic_s() > deadline_s:
            raise DemoFailed(f"not within {SEEN_WITHIN_S:.0f} s: {what}")
        pause(clock, _POLL_INTERVAL_S)


def edit_live(sandbox: Sandbox, cluster: DemoCluster, service: str, module: str) -> None:
    """Edit the workload behind the platform's back; show the values that it has from then on."""
    sandbox.print_title("11 · Somebody edits the Deployment in the cluster")
    revision, before = _live_values(sandbox, service)
    namespace, name = cluster.deployment(module, revision)
    cluster.kubectl(
        f"edit deployment {name} -n {namespace}",
        KUBE_EDITOR=f"sed -i 's/memory: {_RELEASED}/memory: {_EDITED}/'",
    )
    cluster.kubectl(f"rollout status deployment {name} -n {namespace} --timeout=120s")
    sandbox.run(f"live {service}")
    _, after = _live_values(sandbox, service)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    if not changed:
        raise DemoFailed(f"the edit of {name} is not seen")
    sandbox.print()
    for path in sorted(changed):
        was, now = before.get(path), after.get(path, "gone")
        released = f"it was released as {was}" if was else "it was not released"
        sandbox.print(f"differs:   {path} of r{revision} is {now}; {released}")


def _live_values(sandbox: Sandbox, service: str) -> tuple[int, Mapping[str, str]]:
    """Return the revision in force of *service*, and what it is on its surface, by path."""
    found = sandbox.get(f"/v1/runtime/services/{service}/live")
    number = int(found["releaseRevision"])
    values = {
        f"{plane} {path}": str(value)
        for revision in found["revisions"]
        if revision["releaseRevision"] == number
        for plane, words in revision["properties"].items()
        for path, value in words.items()
    }
    return number, values
