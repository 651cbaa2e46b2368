"""What one node is told: its names, its addresses, its programs, and the files of its components.

The paths of the node are those in its own mount namespace, where `/run` is its own.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.network import ClusterNetwork

RUN: Final = Path("/run/node")
SOCKET: Final = RUN / "containerd.sock"
PAUSE_IMAGE: Final = "registry.local/pause:1"
BRIDGE: Final = "pods"
UNLIMITED_RUNC: Final = "runc"
"""The file in the folder of a node without control groups that stands for runc."""
POD_PLUGIN: Final = "network-policies"
"""The file in the folder of a node that has a new pod wait for the policies of its network."""
_PLUGINS: Final = "plugins"
_PROBED_AT: Final = "127.0.0.1"


@dataclass(frozen=True)
class NodePlan:
    """Everything is text or numbers, as it is passed to the node as JSON."""

    name: str
    address: str
    subnet: str
    """Of all nodes and pods."""
    gateway: str
    """This machine's own address on the bridge."""
    api_port: int
    pods: tuple[str, str]
    group: str
    """Its control group."""
    folder: str
    """Its folder in that of the cluster: what `files` has, and its logs."""
    keys: str
    kubebox: str
    runtime: str
    """The folder of containerd, runc and their like."""
    images: tuple[str, ...]
    """Archives that it imports when it starts."""
    has_nft: bool
    has_groups: bool
    """Whether it may have control groups; without them nothing has a limit."""
    policies: str | None = None
    """The socket of what enforces network policies; None where nothing does."""

    @property
    def addresses(self) -> str:
        """The folder of the addresses that its pods have, and of the last that was given."""
        return f"{self.folder}/addresses"

    @property
    def hardware_address(self) -> str:
        """Of its bridge: the same after a restart, so that nobody knows its address by another."""
        return "02:00:" + ":".join(f"{part:02x}" for part in IPv4Address(self.address).packed)

    @property
    def runc(self) -> str:
        return f"{self.runtime}/runc" if self.has_groups else f"{self.folder}/{UNLIMITED_RUNC}"


def plan_of(
    folder: ClusterFolder, network: ClusterNetwork, number: int, api_port: int, *,
    kubebox: Path, runtime: Path, images: Sequence[Path], has_nft: bool, has_groups: bool = True,
    enforces_policies: bool = False,
) -> NodePlan:  # fmt: skip
    """Return the plan of the node *number* of a cluster, 1 to 15."""
    name = node_name(number)
    first, last = network.pod_range(number)
    return NodePlan(
        name=name,
        address=str(network.node_address(number)),
        subnet=str(network.subnet),
        gateway=str(network.address),
        api_port=api_port,
        pods=(str(first), str(last)),
        group=f"{network.name}/{name}",
        folder=str(folder.nodes / name),
        keys=str(folder.keys),
        kubebox=str(kubebox),
        runtime=str(runtime),
        images=tuple(map(str, images)),
        has_nft=has_nft,
        has_groups=has_groups,
        policies=str(folder.policies_socket) if enforces_policies else None,
    )


def node_name(number: int) -> str:
    return f"node{number}"


def encode(plan: NodePlan) -> bytes:
    return json.dumps(asdict(plan)).encode()


def decode(content: bytes) -> NodePlan:
    values = json.loads(content)
    return NodePlan(**{**values, "pods": tuple(values["pods"]), "images": tuple(values["images"])})


def files(plan: NodePlan) -> Mapping[str, bytes]:
    """Return the configuration of each component of the node, by the name of its file."""
    return {
        "containerd.toml": containerd(plan).encode(),
        "kubelet.yaml": _document(kubelet(plan)),
        "kube-proxy.yaml": _document(kube_proxy(plan)),
        "network/10-pods.conflist": _document(pod_network(plan)),
        "node.json": encode(plan),
        **{name: script.encode() for name, script in programs(plan).items()},
    }


def programs(plan: NodePlan) -> Mapping[str, str]:
    """Return the scripts that the node runs as programs, by the name of their file."""
    found = {}
    if not plan.has_groups:
        found[UNLIMITED_RUNC] = _script("unlimited_runc.py", f"run({plan.runtime + '/runc'!r})")
    if plan.policies is not None:
        found[f"{_PLUGINS}/{POD_PLUGIN}"] = _script("pod_plugin.py", "run()")
    return found


def _script(file: str, call: str) -> str:
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    return f"#!{sys.executable} -IS\n{text}\n{call}\n"


def containerd(plan: NodePlan) -> str:
    """Return containerd's configuration, of version 3."""
    return f"""\
version = 3
root = "{RUN}/containerd"
state = "{RUN}/containerd-state"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = "{SOCKET}"

# The machine's own may be closed to this user, which would refuse every image.
[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "{RUN}/image-verifiers"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "{plan.folder}/registries"

[plugins."io.containerd.cri.v1.runtime"]
# The node may have no right to make its processes less likely to be killed for memory.
restrict_oom_score_adj = true
disable_apparmor = true
disable_cgroup = {str(not plan.has_groups).lower()}

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{plan.runc}"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plan.runtime}", "{plan.folder}/{_PLUGINS}"]
conf_dir = "{plan.folder}/network"
"""


def kubelet(plan: NodePlan) -> Mapping[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": plan.address,
        "readOnlyPort": 0,
        "healthzBindAddress": _PROBED_AT,
        "tlsCertFile": f"{plan.keys}/{plan.name}.crt",
        "tlsPrivateKeyFile": f"{plan.keys}/{plan.name}.key",
        # Who reaches the kubelet runs programs as root: only the API server does.
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{plan.keys}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        **_groups(plan),
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # The disk and the memory are the machine's, which others fill too.
        "evictionHard": dict.fromkeys(
            (
                "memory.available", "nodefs.available", "nodefs.inodesFree",
                "imagefs.available", "imagefs.inodesFree", "pid.available",
            ),
            "0%",
        ),
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": False,
        "enableControllerAttachDetach": False,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 8,
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": f"{RUN}/volume-plugins",
        "maxPods": 60,
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "featureGates": {
            "KubeletCrashLoopBackOffMax": True,
            "KubeletInUserNamespace": not plan.has_groups,
        },
    }  # fmt: skip


def _groups(plan: NodePlan) -> Mapping[str, Any]:
    if plan.has_groups:
        return {"cgroupRoot": f"/{plan.group}"}
    return {"cgroupsPerQOS": False, "enforceNodeAllocatable": []}


def kube_proxy(plan: NodePlan) -> Mapping[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": plan.address,
        "healthzBindAddress": f"{_PROBED_AT}:10256",
        "metricsBindAddress": f"{_PROBED_AT}:10249",
        "clusterCIDR": plan.subnet,
        "hostnameOverride": plan.name,
        "clientConnection": {"kubeconfig": f"{plan.keys}/kube-proxy.kubeconfig"},
        # These limits are the machine's, and stay as they are.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "nodePortAddresses": [plan.subnet],
    }


def pod_network(plan: NodePlan) -> Mapping[str, Any]:
    """Return the list of plugins (CNI) that give a pod its address, on the node's bridge."""
    first, last = plan.pods
    addresses = {
        "subnet": plan.subnet,
        "rangeStart": first,
        "rangeEnd": last,
        "gateway": plan.address,
    }
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": BRIDGE,
                # As a gateway the plugin would set the machine's ip_forward.
                "isGateway": False,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": plan.addresses,
                    "ranges": [[addresses]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            *_policies(plan),
        ],
    }


def _policies(plan: NodePlan) -> Iterator[Mapping[str, Any]]:
    if plan.policies is not None:
        yield {
            "type": POD_PLUGIN, "node": plan.name, "socket": plan.policies, "bridge": BRIDGE,
        }  # fmt: skip


def _document(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode()
