"""A node from inside: the first process of its namespaces, which has nothing but `node.json`.

    python -m local_cluster.node NODE.JSON

It makes the node's own `/run`, `/var/log`, `/var/lib` and network, starts containerd, kube-proxy
and the kubelet, starts again what ends, and reaps what others leave. When it is killed the kernel
ends every process of the node, and takes down its mounts and its network.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from local_cluster import control_groups
from local_cluster.network import UPLINK, ip
from local_cluster.node_plan import BRIDGE, RUN, SOCKET, NodePlan, decode
from shared.kernel.clock import Clock, SystemClock
from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import append_to, read_plain

RESTARTED_AFTER_S: Final = 0.3
_WITHIN_S: Final = 30.0
_POLL_INTERVAL_S: Final = 0.02
_LAST_ADDRESS: Final = "last_reserved_ip."
"""https://www.cni.dev/plugins/current/ipam/host-local/"""
_MACHINE_WIDE: Final = (
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
)  # fmt: skip
"""What a kubelet sets, and what is the whole machine's: it gets files of its own in their place."""


def main(plan: NodePlan, clock: Clock) -> None:
    socket.sethostname(plan.name)
    make_mounts()
    make_network(plan, clock)
    release_addresses(Path(plan.addresses))
    if plan.has_groups:
        control_groups.make(plan.group)
    components = Components(plan, clock)
    components.start("containerd")
    if plan.has_nft:
        components.start("kube-proxy")
    components.import_images()
    _until(lambda: _listens(plan.gateway, plan.api_port), clock, "the API server does not listen")
    components.start("kubelet")
    components.keep_running()


def make_mounts() -> None:
    """Cover what components write outside of folders of their own; needs a mount namespace."""
    _mount("tmpfs", "/run", kind="tmpfs", options="mode=755,size=4g")
    RUN.mkdir()
    for name in ("lock", "sysctl", "upper", "work"):
        (RUN / name if name != "lock" else Path("/run/lock")).mkdir()
    _mount("tmpfs", "/var/log", kind="tmpfs", options="mode=755,size=512m")
    layers = f"lowerdir=/var/lib,upperdir={RUN}/upper,workdir={RUN}/work"
    _mount("overlay", "/var/lib", kind="overlay", options=layers)
    for name in _MACHINE_WIDE:
        own, of_machine = RUN / "sysctl" / name.replace("/", "."), Path("/proc/sys") / name
        own.write_text(of_machine.read_text())
        _run("mount", "--bind", str(own), str(of_machine))
    # Pods get mounts that their node makes later.
    _run("mount", "--make-rshared", "/")


def make_network(plan: NodePlan, clock: Clock) -> None:
    """Put the node's end of its cable on a bridge for its pods; needs a network namespace."""
    ip("link", "set", "lo", "up")
    _until(lambda: ip("link", "show", UPLINK, must=False), clock, "there is no uplink")
    ip("link", "add", BRIDGE, "address", plan.hardware_address, "type", "bridge")
    ip("link", "set", UPLINK, "master", BRIDGE, "up")
    ip("address", "add", f"{plan.address}/{IPv4Network(plan.subnet).prefixlen}", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")
    ip("route", "add", "default", "via", plan.gateway)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # of this namespace only


def release_addresses(folder: Path) -> None:
    """Forget which pods have an address: none of a node that starts. The last given stays.

    The next pod gets the one after it. Whoever talked to a pod of before knows its address by the
    hardware address of that pod, for up to a minute, and would not reach another pod there.
    """
    for file in folder.glob("*/*"):
        if not file.name.startswith(_LAST_ADDRESS):
            file.unlink()


class Components:
    """The programs of the node, and what each was started as."""

    def __init__(self, plan: NodePlan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._running: dict[int, str] = {}
        path = f"{plan.runtime}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._environ = {**os.environ, "PATH": path, "HOME": str(RUN)}

    def start(self, name: str) -> None:
        output = append_to(Path(self._plan.folder) / f"{name}.log")
        try:
            process = subprocess.Popen(  # noqa: S603  our own programs
                commands(self._plan)[name], env=self._environ,
                umask=0o022,  # ours would give containers a root folder that only root reads
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        finally:
            os.close(output)
        self._running[process.pid] = name

    def import_images(self) -> None:
        _until(self._has_runtime, self._clock, "containerd does not start")
        for image in self._plan.images:
            self._ctr("--namespace", "k8s.io", "images", "import", image)

    def keep_running(self) -> None:
        """Reap every process of the node that ends, and start again what is a component."""
        while True:
            ended, _ = os.waitpid(-1, 0)
            name = self._running.pop(ended, None)
            if name is not None:
                asyncio.run(self._clock.sleep(RESTARTED_AFTER_S))
                if name == "kubelet":  # it ends where containerd does not answer yet
                    _until(self._has_runtime, self._clock, "containerd does not start")
                self.start(name)

    def _has_runtime(self) -> bool:
        with suppress(Unavailable):
            lines = (line.split() for line in self._ctr("plugins", "list").splitlines())
            return any(line[1:2] == ["cri"] and line[-1] == "ok" for line in lines)
        return False

    def _ctr(self, *words: str) -> str:
        return _run(f"{self._plan.runtime}/ctr", "--address", str(SOCKET), *words)


def commands(plan: NodePlan) -> Mapping[str, Sequence[str]]:
    """Return the words of each component's command."""
    return {
        "containerd": (f"{plan.runtime}/containerd", "--config", f"{plan.folder}/containerd.toml"),
        "kube-proxy": (plan.kubebox, "kube-proxy", f"--config={plan.folder}/kube-proxy.yaml"),
        "kubelet": (
            plan.kubebox, "kubelet",
            f"--config={plan.folder}/kubelet.yaml",
            f"--kubeconfig={plan.folder}/kubeconfig",
            f"--root-dir={RUN}/kubelet",
            f"--cert-dir={RUN}/kubelet-keys",
            f"--hostname-override={plan.name}",
            f"--node-ip={plan.address}",
        ),
    }  # fmt: skip


def _mount(source: str, target: str, *, kind: str, options: str) -> None:
    _run("mount", "-t", kind, "-o", options, source, target)


def _run(*words: str) -> str:
    """Return what the command *words* prints. Raises Unavailable where it fails."""
    ended = subprocess.run(words, capture_output=True, check=False)  # noqa: S603  our own words
    if ended.returncode:
        complaint = ended.stderr.decode(errors="replace").strip()
        raise Unavailable(f"{' '.join(words)}: {complaint}")
    return ended.stdout.decode(errors="replace")


def _until(holds: Callable[[], bool], clock: Clock, otherwise: str) -> None:
    deadline_s = clock.monotonic_s() + _WITHIN_S
    while not holds():
        if clock.monotonic_s() > deadline_s:
            raise Unavailable(otherwise)
        asyncio.run(clock.sleep(_POLL_INTERVAL_S))


def _listens(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


if __name__ == "__main__":
    main(decode(read_plain(Path(sys.argv[1]))), SystemClock())
