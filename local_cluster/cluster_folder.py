"""The files of a cluster, below one folder; all but the log and the images go when it ends."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from shared.kernel.errors import Unavailable
from shared.persistence.plain_files import read_plain, write_private

LOCK: Final = "cluster.lock"
LOG: Final = "cluster.log"


class Form(StrEnum):
    """How real the cluster is."""

    ROOT = "root"
    """Nodes with kubelet, containerd and real pods, each in namespaces of its own."""
    ROOTLESS = "rootless"
    """The same, in a user namespace whose root the user is, with a network of its own."""
    KWOK = "kwok"
    """The control plane, with nodes that are only said to run what they are given."""


@dataclass(frozen=True)
class ClusterRecord:
    """What others need to know of a cluster that runs; its file is there once it is ready."""

    form: Form
    lacks: tuple[str, ...]
    """What a cluster of this form does not do on this machine; a sentence each."""
    server: str
    kubeconfig: str
    nodes: tuple[str, ...]
    network: str | None = None
    """The subnet of nodes and pods; None where there are no real ones."""
    gateway_class: str | None = None
    """The class of Gateways that are served; None where there is no traffic."""
    counters: str | None = None
    """The URL of its gateway's counters of requests, for `RUNTIME_GATEWAY_COUNTERS_URL`; None where
    there is no traffic."""
    policies: bool = False
    """Whether its nodes do what NetworkPolicies ask for."""
    gateway_networks: str | None = None
    """From where its gateway and its API server ask pods, for `RUNTIME_GATEWAY_NETWORKS`; None
    where there are no real ones."""
    registry: str | None = None
    """Host and port of the registry of its images, by which they are named; None without one."""


@dataclass(frozen=True)
class ClusterFolder:
    """The paths below *path*, which is absolute."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held by the cluster's process; it has its id."""
        return self.path / LOCK

    @property
    def log(self) -> Path:
        return self.path / LOG

    @property
    def logs(self) -> Path:
        """Of the components, a file each."""
        return self.path / "logs"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def etcd(self) -> Path:
        return self.path / "etcd"

    @property
    def nodes(self) -> Path:
        return self.path / "nodes"

    @property
    def policies_socket(self) -> Path:
        """Where a node says which pod has which address."""
        return self.nodes / "policies.sock"

    @property
    def images(self) -> Path:
        """What was pushed to its registry; it stays when the cluster ends."""
        return self.path / "images"

    @property
    def registry_port(self) -> Path:
        """The port of its registry, which is in the names of its images; it stays with them."""
        return self.path / "registry-port"

    @property
    def gateway(self) -> Path:
        """What the Envoy of its Gateways reads."""
        return self.path / "gateway"

    @property
    def gateways_served(self) -> Path:
        """There while its Gateways do what the API server has."""
        return self.gateway / "served"

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator; mode 0600."""
        return self.path / "kubeconfig"

    @property
    def record_file(self) -> Path:
        return self.path / "cluster.json"

    def key(self, name: str) -> Path:
        return self.keys / f"{name}.key"

    def certificate(self, name: str) -> Path:
        return self.keys / f"{name}.crt"

    @property
    def temporary(self) -> tuple[Path, ...]:
        """What goes when the cluster ends."""
        return (self.record_file, self.kubeconfig, self.keys, self.etcd, self.nodes, self.gateway)

    def record(self) -> ClusterRecord | None:
        """Return what the running cluster has written; None before it is ready.

        Raises:
            Unavailable: another version of the cluster wrote it.
        """
        try:
            content: Mapping[str, Any] = json.loads(read_plain(self.record_file))
        except (FileNotFoundError, ValueError):
            return None
        try:
            known = {**content, "form": Form(content["form"])}
            return ClusterRecord(
                **{**known, "lacks": tuple(known["lacks"]), "nodes": tuple(known["nodes"])}
            )
        except (KeyError, TypeError, ValueError) as other:
            raise Unavailable(
                f"{self.record_file} is of another version of the local cluster: end that"
            ) from other

    def write_record(self, record: ClusterRecord) -> None:
        content = json.dumps(asdict(record), indent=2).encode()
        write_private(self.record_file, content, is_durable=False)
