"""A CSI driver as the Secrets Store driver with Azure's provider is one, for nodes of this machine.

The real one is in no package that can be had here. This speaks to the real kubelets by the same
protocols (plugin registration v1, CSI node service v1), and does what ADR 0457 relies on: it mounts
the versions that a SecretProviderClass names, says so in a SecretProviderClassPodStatus, and copies
what pods have as variables into a Secret. Its vault is a local one of the class's `keyvaultName`.

https://github.com/container-storage-interface/spec/blob/master/spec.md
https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""

import asyncio
import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from local_cloud.vault.vault import Vaults
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Refused
from shared.surfaces.aks.secret_classes import AUDIENCE, CLASSES, CSI_DRIVERS, DRIVER, GROUP
from tests.kit.kubernetes_cluster import KubernetesCluster, until

_FOLDER: Final = Path("run/node/kubelet")
"""Where a kubelet has its files, in the mounts of its node."""
_REGISTRATION: Final = "pluginregistration.Registration"
_NODE: Final = "csi.v1.Node"
_TOKENS: Final = "csi.storage.k8s.io/serviceAccount.tokens"
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "Nothing": {},
    "PluginInfo": {
        "type": (1, "text"),
        "name": (2, "text"),
        "endpoint": (3, "text"),
        "supported_versions": (4, "texts"),
    },
    "NodeInfo": {"node_id": (1, "text")},
    "Entry": {"key": (1, "text"), "value": (2, "text")},
    "Publish": {"target_path": (4, "text"), "volume_context": (8, "entries")},
    "Unpublish": {"target_path": (2, "text")},
}
"""Fields of both protocols by their numbers, as far as they are used; a map is its entries."""


@dataclass(frozen=True)
class _NodeDriver:
    """The driver on the node *name*, whose mounts are seen below `root`."""

    cluster: KubernetesCluster
    name: str
    root: Path
    vaults: Vaults

    def publish(self, request: Any) -> Mapping[str, Any]:
        """Mount what the class of the pod names. A second call finds it done."""
        context = {each.key: each.value for each in request.volume_context}
        target = self.root / request.target_path.removeprefix("/")
        if target.is_dir() and any(target.iterdir()):
            return {}
        assert AUDIENCE in json.loads(context[_TOKENS]), "the pod can become no identity"
        namespace = context["csi.storage.k8s.io/pod.namespace"]
        name = context["secretProviderClass"]
        found = self.cluster.read(CLASSES.plural, name, "--namespace", namespace)
        spec = found["spec"]
        values = self._values(spec["parameters"])
        target.mkdir(parents=True, exist_ok=True)
        for alias, (_, value) in values.items():
            (target / alias).write_text(value)
            (target / alias).chmod(0o444)
        pod = context["csi.storage.k8s.io/pod.name"]
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod}
        status = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "SecretProviderClassPodStatus",
            "metadata": {
                "name": f"{pod}-{namespace}-{name}",
                "ownerReferences": [{**owner, "uid": context["csi.storage.k8s.io/pod.uid"]}],
            },
            "status": {
                "podName": pod,
                "secretProviderClassName": name,
                "mounted": True,
                "objects": [
                    {"id": f"secret/{each['objectName']}", "version": each["objectVersion"]}
                    for each, _ in values.values()
                ],
            },
        }
        self.cluster.apply(namespace, status, *_copies(found, values))
        return {}

    def _values(self, parameters: Mapping[str, str]) -> Mapping[str, tuple[Mapping[str, str], str]]:
        """Return each object that is asked for, with its value, by its alias."""
        objects = [yaml.safe_load(each) for each in yaml.safe_load(parameters["objects"])["array"]]

        async def read() -> Mapping[str, tuple[Mapping[str, str], str]]:
            vault = self.vaults.open(parameters["keyvaultName"])
            try:
                return {
                    each["objectAlias"]: (
                        each,
                        (await vault.get(each["objectName"], each["objectVersion"])).value.reveal(),
                    )
                    for each in objects
                }
            finally:
                vault.close()

        return asyncio.run(read())

    def unpublish(self, request: Any) -> Mapping[str, Any]:
        shutil.rmtree(self.root / request.target_path.removeprefix("/"), ignore_errors=True)
        return {}

    def info(self, _request: Any) -> Mapping[str, Any]:
        return {"node_id": self.name}

    def plugin(self, _request: Any) -> Mapping[str, Any]:
        return {
            "type": "CSIPlugin",
            "name": DRIVER,
            "endpoint": f"/{_FOLDER}/plugins/{DRIVER}/csi.sock",
            "supported_versions": ["1.0.0"],
        }

    @contextmanager
    def served(self) -> Iterator[None]:
        """Answer the kubelet of the node meanwhile, which registers the driver."""
        plugins = self.root / _FOLDER / "plugins" / DRIVER
        plugins.mkdir(parents=True, exist_ok=True)
        node = {
            "NodeGetInfo": ("Nothing", self.info, "NodeInfo"),
            "NodeGetCapabilities": ("Nothing", _nothing, "Nothing"),
            "NodePublishVolume": ("Publish", self.publish, "Nothing"),
            "NodeUnpublishVolume": ("Unpublish", self.unpublish, "Nothing"),
        }
        registration = {
            "GetInfo": ("Nothing", self.plugin, "PluginInfo"),
            "NotifyRegistrationStatus": ("Nothing", _nothing, "Nothing"),
        }
        registered = self.root / _FOLDER / "plugins_registry" / f"{DRIVER}-reg.sock"
        with ExitStack() as ends:
            for path, service, methods in (
                (plugins / "csi.sock", _NODE, node),
                (registered, _REGISTRATION, registration),
            ):
                server = grpc.server(ThreadPoolExecutor(4))
                server.add_generic_rpc_handlers((_handlers(service, methods),))
                server.add_insecure_port(f"unix:{path}")
                server.start()
                ends.callback(path.unlink, missing_ok=True)
                ends.callback(lambda server=server: server.stop(1).wait())
            yield


@contextmanager
def secrets_store_driver(cluster: KubernetesCluster, vaults: Vaults) -> Iterator[None]:
    """Have the driver on each node of *cluster* meanwhile, over *vaults*."""
    driver = {
        "apiVersion": CSI_DRIVERS.version,
        "kind": CSI_DRIVERS.name,
        "metadata": {"name": DRIVER},
        "spec": {
            "attachRequired": False,
            "podInfoOnMount": True,
            "volumeLifecycleModes": ["Ephemeral"],
            "tokenRequests": [{"audience": AUDIENCE}],
        },
    }
    cluster.apply("default", driver)
    with ExitStack() as served:
        for name in cluster.record.nodes:
            (kubelet,) = cluster.processes("kubelet", name)
            root = Path(f"/proc/{kubelet}/root")
            served.enter_context(_NodeDriver(cluster, name, root, vaults).served())
        until(lambda: all(_has_driver(cluster, name) for name in cluster.record.nodes))
        yield


def vaults_of(folder: Path) -> Vaults:
    return Vaults(folder, SystemClock(), SystemEntropy())


def _has_driver(cluster: KubernetesCluster, node: str) -> bool:
    drivers = cluster.read("csinode", node)["spec"].get("drivers") or []
    return DRIVER in {each["name"] for each in drivers}


def _copies(
    found: Mapping[str, Any], values: Mapping[str, tuple[Mapping[str, str], str]]
) -> Iterator[Mapping[str, Any]]:
    """Yield the Secrets that a class asks for; each goes with its class."""
    owner = {name: found[name] for name in ("apiVersion", "kind")}
    owner |= {name: found["metadata"][name] for name in ("name", "uid")}
    for asked in found["spec"].get("secretObjects", ()):
        data = {
            each["key"]: base64.b64encode(values[each["objectName"]][1].encode()).decode()
            for each in asked["data"]
        }
        metadata = {"name": asked["secretName"], "ownerReferences": [owner]}
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": asked["type"],
            "metadata": metadata | {"labels": asked["labels"]},
            "data": data,
        }


def _nothing(_request: Any) -> Mapping[str, Any]:
    return {}


def _handlers(
    service: str, methods: Mapping[str, tuple[str, Callable[[Any], Mapping[str, Any]], str]]
) -> Any:
    def unary(asked: str, answer: Callable[[Any], Mapping[str, Any]], answered: str) -> Any:
        def handle(request: Any, context: Any) -> Any:
            try:
                return _TYPES[answered](**answer(request))
            except (Refused, AssertionError) as refused:
                context.abort(grpc.StatusCode.INTERNAL, str(refused))

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=_TYPES[asked].FromString,
            response_serializer=_TYPES[answered].SerializeToString,
        )

    return grpc.method_handlers_generic_handler(
        service, {name: unary(*method) for name, method in methods.items()}
    )


def _types() -> Mapping[str, Any]:
    """Return a class of protobuf for each of `_MESSAGES`."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="driver.proto", package="t", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text, (number, kind) in fields.items():
            is_entry = kind == "entries"
            message.field.add(
                name=text,
                number=number,
                label=field.LABEL_OPTIONAL if kind == "text" else field.LABEL_REPEATED,
                type=field.TYPE_MESSAGE if is_entry else field.TYPE_STRING,
                type_name=".t.Entry" if is_entry else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))
        for name in _MESSAGES
    }


_TYPES: Final = _types()
