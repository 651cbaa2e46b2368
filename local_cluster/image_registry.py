"""The registry of a cluster's images, which it keeps when the cluster ends.

It listens twice, with one folder: at a port of 127.0.0.1, which only this machine reaches and by
which its images are named, and at the bridge, for nodes, which ask there for images of that name.
Anybody on this machine may push; whoever wants to know what runs pins a digest. At the bridge,
which pods reach as well as nodes, it takes nothing: no push, no tag, no removal.
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.node_plan import NodePlan
from local_cluster.programs import Program
from shared.connections.loopback_ports import COUNT, FIRST, free_port, is_free
from shared.kernel.entropy import Entropy
from shared.persistence.plain_files import read_plain, write_private

LOOPBACK: Final = "127.0.0.1"
_PORT_DIGITS: Final = 5


def kept_port(folder: ClusterFolder, entropy: Entropy, taken: AbstractSet[int]) -> int:
    """Return the registry's port of last time while it is free, else another, noted for next time.

    Raises:
        Unavailable: the machine has none left.
    """
    with suppress(OSError, ValueError):
        last = int(read_plain(folder.registry_port, at_most=_PORT_DIGITS))
        if FIRST <= last < FIRST + COUNT and last not in taken and is_free(last):
            return last
    port = free_port(entropy, taken)
    write_private(folder.registry_port, str(port).encode(), is_durable=False)
    return port


@dataclass(frozen=True)
class ImageRegistry:
    """The registry at *port*; *program* is that of github.com/distribution/distribution."""

    program: Path
    folder: ClusterFolder
    port: int

    @property
    def address(self) -> str:
        """What the names of its images begin with."""
        return f"{LOOPBACK}:{self.port}"

    def programs(self, hosts: Sequence[str]) -> Sequence[Program]:
        """Write its configuration, and return what runs at each of *hosts*."""
        return [self._program(host) for host in hosts]

    def _program(self, host: str) -> Program:
        name = f"registry-{host}"
        file = self.folder.nodes / f"{name}.json"
        settings = configuration(
            self.folder.images, f"{host}:{self.port}", is_read_only=host != LOOPBACK
        )
        content = json.dumps(settings)
        write_private(file, content.encode(), is_durable=False)
        # Without the variable it sends traces to whatever listens at a collector's port.
        command = ("env", "OTEL_TRACES_EXPORTER=none", str(self.program), "serve", str(file))
        return Program(name, command, self.folder.logs / f"{name}.log")

    def write_way(self, plan: NodePlan) -> None:
        """Tell the containerd of a node where images of this registry are."""
        file = Path(plan.folder) / "registries" / self.address / "hosts.toml"
        server = f"http://{plan.gateway}:{self.port}"
        content = f'server = "{server}"\n[host."{server}"]\ncapabilities = ["pull", "resolve"]\n'
        write_private(file, content.encode(), is_durable=False)


def configuration(
    images: Path, listens_at: str, *, is_read_only: bool = False
) -> Mapping[str, Any]:
    """Return the file of a registry; one that is read only refuses whatever would change it."""
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(images)},
            "delete": {"enabled": not is_read_only},
            "maintenance": {"readonly": {"enabled": is_read_only}},
            # Two of them have the folder, so neither may believe what it remembers.
            "cache": {"blobdescriptor": ""},
        },
        "http": {"addr": listens_at},
    }
