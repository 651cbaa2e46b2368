"""The cluster of the story on AKS: asked by kubectl, and hurt as a failure would."""

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from cli.cluster_process import cluster_folder, record_of
from cli.demo.sandbox import DemoFailed, Sandbox
from cli.host_process import pause
from local_cluster.binaries import find_binaries
from local_cluster.cluster_folder import ClusterRecord, Form
from local_cluster.forms import choose
from local_cluster.kubernetes_api import Document, KubernetesApi, administrator
from local_cluster.nodes import STOPPED
from local_cluster.programs import programs_of
from shared.composition.cluster_settings import CLUSTER_NAMES
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Unavailable

SEEN_WITHIN_S: Final = 120.0
_POLL_INTERVAL_S: Final = 0.2
MODULE_LABEL: Final = "factory-runtime/module"
REVISION_LABEL: Final = "factory-runtime/revision"
T = TypeVar("T")


class NoPods(Exception):
    """This machine runs no pods; the message says what is missing."""


def form_of_real_pods(sandbox: Sandbox, asked: Form | None) -> Form:
    """Return the form in which this machine runs pods: as root, or without. Raises NoPods."""
    form = asked or (Form.ROOT if os.geteuid() == 0 else Form.ROOTLESS)
    try:
        binaries = find_binaries(sandbox.state_folder.cache)
        return choose(binaries, sandbox.state_folder.cluster, form).form
    except Unavailable as missing:
        raise NoPods(missing.message) from missing


class DemoCluster:
    """The cluster that `runtimectl cluster up` has started in the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        record = record_of(sandbox.state_folder)
        if record is None:
            raise DemoFailed("the cluster does not run")
        self.record: ClusterRecord = record
        self._sandbox = sandbox
        self._folder = cluster_folder(sandbox.state_folder)
        self._kubebox = find_binaries(sandbox.state_folder.cache).kubebox

    @property
    def registry(self) -> str:
        return self.record.registry or ""

    @property
    def has_limits(self) -> bool:
        """Return whether pods are held to their memory."""
        return self.record.form is Form.ROOT

    def set_up_platform(self) -> None:
        """Set what connects the platform to this cluster, and print it as it is typed."""
        settings = {
            "KUBECONFIG": os.path.relpath(self.record.kubeconfig),
            "RUNTIME_KUBECONFIG": self.record.kubeconfig,
            "RUNTIME_GATEWAY_CLASS": self.record.gateway_class or "",
            "RUNTIME_GATEWAY_COUNTERS_URL": self.record.counters or "",
            "RUNTIME_GATEWAY_NETWORKS": self.record.gateway_networks or "",
            "RUNTIME_IMAGE_RULES": '{"*": {"registries": ["127.0.0.1:*"]}}',
        }
        if self.record.form is Form.ROOT:  # else no address of a pod is reached from here
            settings["RUNTIME_INSTANCE_NETWORKS"] = self.record.network or ""
        for name in CLUSTER_NAMES:  # of the caller's shell
            os.environ.pop(name, None)
        os.environ.update(settings)
        self._sandbox.print(f"kubectl is {os.path.relpath(self._kubebox)} kubectl")
        self._sandbox.print()
        for name, value in settings.items():
            self._sandbox.print(f"$ export {name}={shlex.quote(value)}", "1")

    def kubectl(self, line: str, **environ: str) -> str:
        """Print the command `kubectl` *line*, run it, and print and return its output.

        Raises:
            DemoFailed: it failed.
        """
        before = "".join(f"{name}={shlex.quote(value)} " for name, value in environ.items())
        self._sandbox.print_command(f"{before}kubectl {line}")
        ended = subprocess.run(  # noqa: S603  our own program
            [str(self._kubebox), "kubectl", *shlex.split(line)],
            env={**os.environ, **environ}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ended.returncode:
            raise DemoFailed(f"`kubectl {line}` failed: {ended.stderr.strip()}")
        self._sandbox.print(ended.stdout.rstrip())
        return ended.stdout

    def pods(self, module: str) -> Sequence[Document]:
        """Return the pods of *module*, in all namespaces."""
        path = f"/api/v1/pods?labelSelector={MODULE_LABEL}%3D{module}"
        return self._ask(lambda api: api.items(path))

    def deployment(self, module: str, revision: int) -> tuple[str, str]:
        """Return namespace and name of the Deployment of a revision of *module*."""
        labels = f"{MODULE_LABEL}%3D{module},{REVISION_LABEL}%3D{revision}"
        path = f"/apis/apps/v1/deployments?labelSelector={labels}"
        for found in self._ask(lambda api: api.items(path)):
            return found["metadata"]["namespace"], found["metadata"]["name"]
        raise DemoFailed(f"the cluster has no Deployment of revision {revision} of {module}")

    def nodes_of_ready_pods(self, module: str) -> Mapping[str, str]:
        """Return the node of each ready pod of *module*, by its name."""
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in self.pods(module)
            if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
        }

    def is_node_ready(self, node: str) -> bool:
        found = self._ask(lambda api: api.get(f"/api/v1/nodes/{node}"))
        return found is not None and _is_ready(found)

    def is_api_ready(self) -> bool:
        return self._ask(KubernetesApi.is_ready)

    def kill_api_server(self) -> int:
        """Kill the API server; return its process id. The cluster starts it again."""
        pid = self._program("kube-apiserver")
        os.kill(pid, signal.SIGKILL)
        return pid

    def switch(self, node: str) -> Path:
        """Return the file that switches *node* off while it is there."""
        return self._folder.nodes / node / STOPPED

    def way_in(self) -> Sequence[str]:
        """Return the words before a command that is to reach pods; none where anything does."""
        if self.record.form is Form.ROOT:
            return ()
        pid = str(self._program("--inside"))
        return ("nsenter", "--user", "--net", "--preserve-credentials", "--target", pid)

    def _program(self, word: str) -> int:
        """Return the newest of the cluster's own programs with *word* in its command."""
        pids = [pid for pid in programs_of(self._folder.path) if word in _words(pid)]
        if not pids:
            raise DemoFailed(f"the cluster has no {word}")
        return max(pids)

    def _ask(self, question: Callable[[KubernetesApi], Awaitable[T]]) -> T:
        """Ask the API server, again while it is away: it may have been killed just now."""

        async def ask() -> T:
            async with administrator(self._folder, self.record.server) as api:
                return await question(api)

        clock = SystemClock()
        deadline_s = clock.monotonic_s() + SEEN_WITHIN_S
        while True:
            try:
                return asyncio.run(ask())
            except Unavailable as away:
                if clock.monotonic_s() > deadline_s:
                    raise DemoFailed(f"the API server is away: {away.message}") from away
            pause(clock, _POLL_INTERVAL_S)


def _is_ready(found: Document) -> bool:
    conditions: Sequence[Mapping[str, Any]] = found["status"].get("conditions") or ()
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def _words(pid: int) -> Sequence[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has ended
        return ()
