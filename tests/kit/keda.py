"""KEDA's operator and metrics adapter, as processes of this machine beside a test's cluster.

`make keda` brings them. They look at one namespace only, as other tests have rules of their own.
"""

import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from cli.state_folder import REPOSITORY, StateFolder
from local_cluster.certificates import issue, new_authority
from shared.connections.loopback_ports import free_port
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.surfaces.aks.cluster_api import ClusterApi
from tests.kit.aggregated_api import APIS, aggregated
from tests.kit.kubernetes_cluster import KubernetesCluster
from tests.kit.patience import PATIENCE_S
from tools.cluster_programs import keda_folder

_OPERATOR: Final = "keda-operator"
_ADAPTER: Final = "keda-adapter"
_GROUP: Final = "external.metrics.k8s.io"
_WATCHED: Final = {
    "keda.sh": ("ScaledJob",),
    "eventing.keda.sh": ("CloudEventSource", "ClusterCloudEventSource"),
}
"""Kinds that a cluster of ours does not have, as the platform uses none of them."""
_NAMESPACE: Final = "keda"


@asynccontextmanager
async def keda(
    cluster: KubernetesCluster, api: ClusterApi, namespace: str, folder: Path
) -> AsyncIterator[None]:
    """Let KEDA scale what is in *namespace* until the end; *folder* has its files."""
    programs = keda_folder(StateFolder(REPOSITORY / ".factory").cache)
    if not programs.is_dir():
        pytest.skip(f"there is no {programs}: `make keda` brings it")
    (folder / "certificates").mkdir(parents=True)
    _write_certificates(folder / "certificates")
    ports = [free_port(SystemEntropy()) for _ in range(2)]
    with _kinds(cluster), ExitStack() as running:
        for name, options in _commands(cluster, folder, *ports).items():
            command = [str(programs / name), *options]
            running.enter_context(_process(command, cluster, namespace, folder / f"{name}.log"))
        async with aggregated(api, _GROUP, ports[1]):
            await _until_answered(api, folder)
            yield


def _commands(
    cluster: KubernetesCluster, folder: Path, metrics_port: int, port: int
) -> Mapping[str, Sequence[str]]:
    certificates, kubeconfig = folder / "certificates", str(cluster.kubeconfig)
    return {
        _OPERATOR: (
            f"--kubeconfig={kubeconfig}", f"--cert-dir={certificates}",
            "--metrics-bind-address=0", "--health-probe-bind-address=0",
            f"--metrics-service-bind-address=127.0.0.1:{metrics_port}",
            "--enable-webhook-patching=false", "--enable-apiservice-patching=false",
        ),
        _ADAPTER: (
            f"--secure-port={port}", "--bind-address=127.0.0.1", "--port=0",
            f"--cert-dir={certificates}",
            f"--tls-cert-file={certificates / 'tls.crt'}",
            f"--tls-private-key-file={certificates / 'tls.key'}",
            f"--lister-kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--metrics-service-address=127.0.0.1:{metrics_port}",
            f"--metrics-service-grpc-authority={_OPERATOR}",
        ),
    }  # fmt: skip


def _write_certificates(folder: Path) -> None:
    now = SystemClock().now()
    authority = new_authority("keda", now)
    pair = issue(authority, _OPERATOR, now, hosts=(_OPERATOR, "localhost", "127.0.0.1"))
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    (folder / "tls.crt").write_bytes(pair.certificate_pem)
    (folder / "tls.key").write_bytes(pair.key_pem)


@contextmanager
def _kinds(cluster: KubernetesCluster) -> Iterator[None]:
    """Make the kinds that KEDA cannot start without, each with any content."""
    kinds = [_kind(group, kind) for group, kinds in _WATCHED.items() for kind in kinds]
    with ExitStack() as made:
        cluster.kubectl("create", "namespace", _NAMESPACE)
        made.callback(cluster.kubectl, "delete", "namespace", _NAMESPACE, "--wait=false")
        for each in kinds:
            cluster.kubectl("apply", "--filename", "-", input_text=json.dumps(each))
            made.callback(cluster.kubectl, "delete", "crd", each["metadata"]["name"])
        yield


def _kind(group: str, kind: str) -> Mapping[str, Any]:
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Cluster" if kind.startswith("Cluster") else "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {"name": "v1alpha1", "served": True, "storage": True,
                 "schema": {"openAPIV3Schema": anything}, "subresources": {"status": {}}}
            ],
        },
    }  # fmt: skip


@contextmanager
def _process(
    command: Sequence[str], cluster: KubernetesCluster, namespace: str, log: Path
) -> Iterator[None]:
    environ = {
        "PATH": os.defpath, "HOME": "/nonexistent", "KUBECONFIG": str(cluster.kubeconfig),
        "POD_NAMESPACE": _NAMESPACE, "KEDA_CLUSTER_OBJECT_NAMESPACE": _NAMESPACE,
        "WATCH_NAMESPACE": namespace,
    }  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


async def _until_answered(api: ClusterApi, folder: Path) -> None:
    clock = SystemClock()
    give_up_at_s = clock.monotonic_s() + PATIENCE_S
    while True:
        found = await api.get(APIS, f"v1beta1.{_GROUP}")
        conditions = (found or {}).get("status", {}).get("conditions") or ()
        if any((each["type"], each["status"]) == ("Available", "True") for each in conditions):
            return
        assert clock.monotonic_s() < give_up_at_s, f"KEDA does not answer: see {folder}"
        await clock.sleep(0.2)
