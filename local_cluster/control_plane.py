"""The command lines of the control plane: etcd, API server, controllers, scheduler, and KWOK.

Times are short, as tests and demonstrations wait for them: a real node is away after 12 s without a
word (40 s by default), its pods leave it 3 s later (300 s), the HPA looks every 2 s (15 s).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_cluster.cluster_folder import ClusterFolder

SERVICES: Final = "10.96.0.0/16"
"""The addresses of Services, which only pods and nodes reach."""
FIRST_SERVICE: Final = "10.96.0.1"
"""That of `kubernetes`."""
FAKE_NODE: Final = "kwok.x-k8s.io/node=fake"
FAKE_NODE_ADDRESS: Final = "198.18.0.1"
FAKE_PODS: Final = "198.19.0.0/16"
"""Of 198.18.0.0/15, which no network has (RFC 2544): what the API server asks of a pod that KWOK
plays reaches nobody, and no program of this machine or of its network."""
_TOLERATED_S: Final = 3
_SILENT_S: Final = 12
_PLAYED_SILENT_S: Final = 600
"""A node that is played does not die; and where one is away for a moment, because the API server
is, KWOK lets none of its pods be ready again."""


@dataclass(frozen=True)
class Addresses:
    """Where the control plane listens."""

    host: str
    """By which nodes reach it."""
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    binds: str = ""
    """Where the API server listens, if elsewhere than at `host`."""

    @property
    def server(self) -> str:
        return f"https://{self.host}:{self.api_port}"

    @property
    def ports(self) -> frozenset[int]:
        return frozenset({self.api_port, self.etcd_port, self.etcd_peer_port})

    @property
    def etcd(self) -> str:
        return f"https://127.0.0.1:{self.etcd_port}"


@dataclass(frozen=True)
class ControlPlane:
    """Each method returns the words of one component's command."""

    kubebox: Path
    folder: ClusterFolder
    addresses: Addresses
    has_nodes: bool
    issuer: str
    """Of the tokens of ServiceAccounts: where this machine finds the keys."""

    def etcd(self) -> Sequence[str]:
        peer = f"https://127.0.0.1:{self.addresses.etcd_peer_port}"
        key, certificate = self._key("etcd"), self._certificate("etcd")
        authority = self._certificate("ca")
        return (
            str(self.kubebox), "etcd",
            f"--data-dir={self.folder.etcd}",
            f"--listen-client-urls={self.addresses.etcd}",
            f"--advertise-client-urls={self.addresses.etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # Whoever reads etcd reads every secret, and a port is open to every user here.
            "--client-cert-auth", f"--trusted-ca-file={authority}",
            f"--cert-file={certificate}", f"--key-file={key}",
            "--peer-client-cert-auth", f"--peer-trusted-ca-file={authority}",
            f"--peer-cert-file={certificate}", f"--peer-key-file={key}",
            "--unsafe-no-fsync",  # what it has goes with the cluster
            "--log-level=warn",
        )  # fmt: skip

    def api_server(self) -> Sequence[str]:
        addresses = self.addresses
        return (
            str(self.kubebox), "kube-apiserver",
            f"--etcd-servers={addresses.etcd}",
            f"--etcd-cafile={self._certificate('ca')}",
            f"--etcd-certfile={self._certificate('etcd')}",
            f"--etcd-keyfile={self._key('etcd')}",
            f"--bind-address={addresses.binds or addresses.host}",
            f"--advertise-address={addresses.host}",
            f"--secure-port={addresses.api_port}",
            f"--tls-cert-file={self._certificate('apiserver')}",
            f"--tls-private-key-file={self._key('apiserver')}",
            f"--client-ca-file={self._certificate('ca')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-issuer={self.issuer}",
            f"--service-account-jwks-uri={self.issuer}/openid/v1/jwks",
            f"--service-account-key-file={self._certificate('service-accounts')}",
            f"--service-account-signing-key-file={self._key('service-accounts')}",
            f"--service-cluster-ip-range={SERVICES}",
            # The Service `kubernetes` leads to this machine, which only real pods reach.
            f"--endpoint-reconciler-type={'lease' if self.has_nodes else 'none'}",
            # Pod security is judged by its admission, not by validation before it.
            "--allow-privileged=true",
            f"--default-not-ready-toleration-seconds={_TOLERATED_S}",
            f"--default-unreachable-toleration-seconds={_TOLERATED_S}",
            "--profiling=false",
            *self._kubelet_options(),
            *self._aggregation_options(),
        )  # fmt: skip

    def _kubelet_options(self) -> Sequence[str]:
        return (
            f"--kubelet-certificate-authority={self._certificate('ca')}",
            f"--kubelet-client-certificate={self._certificate('kubelet-client')}",
            f"--kubelet-client-key={self._key('kubelet-client')}",
            "--kubelet-preferred-address-types=InternalIP",
        )

    def _aggregation_options(self) -> Sequence[str]:
        """Return what an API server behind this one needs: of metrics, or KEDA's."""
        return (
            f"--requestheader-client-ca-file={self._certificate('front-proxy-ca')}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={self._certificate('front-proxy')}",
            f"--proxy-client-key-file={self._key('front-proxy')}",
        )

    def controllers(self) -> Sequence[str]:
        return (
            str(self.kubebox), "kube-controller-manager",
            f"--kubeconfig={self.folder.kubeconfig}",
            f"--service-account-private-key-file={self._key('service-accounts')}",
            f"--root-ca-file={self._certificate('ca')}",
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=false",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={_SILENT_S if self.has_nodes else _PLAYED_SILENT_S}s",
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=0s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=0s",
            "--horizontal-pod-autoscaler-downscale-stabilization=10s",
            "--profiling=false",
        )  # fmt: skip

    def scheduler(self) -> Sequence[str]:
        return (
            str(self.kubebox), "kube-scheduler",
            f"--kubeconfig={self.folder.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        )  # fmt: skip

    def kwok(self, stages: Path) -> Sequence[str]:
        return (
            str(self.kubebox), "kwok",
            f"--kubeconfig={self.folder.kubeconfig}",
            f"--manage-nodes-with-annotation-selector={FAKE_NODE}",
            f"--node-ip={FAKE_NODE_ADDRESS}",
            f"--cidr={FAKE_PODS}",
            "--node-lease-duration-seconds=12",
            f"--config={stages}",
        )  # fmt: skip

    def _key(self, name: str) -> Path:
        return self.folder.key(name)

    def _certificate(self, name: str) -> Path:
        return self.folder.certificate(name)
