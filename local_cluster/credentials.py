"""Writes the keys, certificates and kubeconfigs of a cluster; each file has mode 0600."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from local_cluster.certificates import Pair, issue, new_authority, signing_key_pair
from local_cluster.cluster_folder import ClusterFolder
from shared.persistence.plain_files import write_private

ADMINISTRATORS: Final = "system:masters"
NODES: Final = "system:nodes"
SERVICE_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


def write_credentials(
    folder: ClusterFolder, server: str, nodes: Mapping[str, str], hosts: tuple[str, ...],
    now: datetime, *, outside: str = "",
) -> None:  # fmt: skip
    """Make the authorities of a cluster, and what each component shows of itself.

    *server* is the URL of the API server, *outside* that of clients where it is another, *hosts*
    what else it is called, *nodes* the address of each node by its name.
    """
    authority = new_authority("Factory Runtime cluster", now)
    front_proxy = new_authority("Factory Runtime front proxy", now)
    _write(folder, "ca", authority)
    _write(folder, "front-proxy-ca", front_proxy)
    loopback = ("localhost", "127.0.0.1")
    for name, pair in (
        ("etcd", issue(authority, "etcd", now, hosts=loopback)),
        ("apiserver", issue(authority, "kube-apiserver", now, hosts=(*SERVICE_NAMES, *hosts))),
        ("kubelet-client", issue(authority, "kube-apiserver", now, group=ADMINISTRATORS)),
        ("front-proxy", issue(front_proxy, "front-proxy", now)),
    ):
        _write(folder, name, pair)
    private, public = signing_key_pair()
    write_private(folder.key("service-accounts"), private, is_durable=False)
    write_private(folder.certificate("service-accounts"), public, is_durable=False)
    administrator = issue(authority, "administrator", now, group=ADMINISTRATORS)
    _write_kubeconfig(folder.kubeconfig, outside or server, authority, administrator)
    proxy = issue(authority, "system:kube-proxy", now)
    _write_kubeconfig(folder.keys / "kube-proxy.kubeconfig", server, authority, proxy)
    for node, address in nodes.items():
        user = f"system:node:{node}"
        kubelet = issue(authority, user, now, group=NODES)
        _write(folder, node, issue(authority, user, now, hosts=(node, address)))
        _write_kubeconfig(folder.nodes / node / "kubeconfig", server, authority, kubelet)


def _write(folder: ClusterFolder, name: str, pair: Pair) -> None:
    write_private(folder.key(name), pair.key_pem, is_durable=False)
    write_private(folder.certificate(name), pair.certificate_pem, is_durable=False)


def _write_kubeconfig(path: Path, server: str, authority: Pair, user: Pair) -> None:
    content = json.dumps(kubeconfig(server, authority, user), indent=2)
    write_private(path, content.encode(), is_durable=False)


def kubeconfig(server: str, authority: Pair, user: Pair) -> Mapping[str, Any]:
    """Return a kubeconfig that needs no other file."""
    name = "factory-runtime"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _text(authority.certificate_pem),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _text(user.certificate_pem),
                    "client-key-data": _text(user.key_pem),
                },
            }
        ],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}
        ],
        "current-context": name,
    }


def _text(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
