"""A real API server takes the platform for who it is, and holds it to the rights that ship."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.kernel.clock import SystemClock
from shared.kernel.ids import ModuleId, ProjectId, TenantId, environment_id, environment_key
from shared.kernel.observation import Present
from shared.surfaces.aks.attempt_jobs import LIMITS, Place, pod_spec
from shared.surfaces.aks.cluster_access import ClusterAccess, KubeconfigSource
from shared.surfaces.aks.permissions import LABEL, PERMISSIONS, POD_SECURITY
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.spec import SiteSpec, SurfaceComponent
from tests.kit.cluster_rights import PLATFORM, confined_kubeconfig, kubeconfig_with
from tests.kit.kubernetes_cluster import until
from tests.kit.kubernetes_rights import Right, record_rights
from tests.surfaces.harness import TEMPLATE, fence

if TYPE_CHECKING:
    from lightkube import AsyncClient

    from tests.kit.kubernetes_cluster import KubernetesCluster

pytestmark = pytest.mark.real
OF_EVERYBODY = {"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}
"""Groups in which Kubernetes gives rights to every service account."""
Open = Callable[[Path], Awaitable["AsyncClient"]]


@pytest.fixture
async def connect() -> AsyncIterator[Open]:
    """Connect by a kubeconfig, as the composition does."""
    opened = []

    async def client(path: Path) -> "AsyncClient":
        clock = SystemClock()
        access = ClusterAccess(KubeconfigSource(path, None, clock), clock)
        opened.append(access)
        return await access.client()

    yield client
    for access in opened:
        await access.close()


@pytest.fixture(scope="session")
def confined(
    kubernetes_cluster: "KubernetesCluster", tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return confined_kubeconfig(kubernetes_cluster, tmp_path_factory.mktemp("platform"))


def test_the_token_of_the_tests_outlives_every_session_of_them(confined: Path) -> None:
    token = json.loads(confined.read_text())["users"][0]["user"]["token"]
    _, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))

    assert claims["exp"] - claims["iat"] >= timedelta(hours=24).total_seconds()


async def user_name(client: "AsyncClient") -> str:
    """Return who the server takes us for."""
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.authentication_v1 import SelfSubjectReview

    review = await client.create(SelfSubjectReview(metadata=ObjectMeta(name="me")))
    assert review.status is not None
    assert review.status.userInfo is not None
    return str(review.status.userInfo.username)


async def test_a_certificate_is_taken(
    kubernetes_cluster: "KubernetesCluster", connect: Open
) -> None:
    assert await user_name(await connect(kubernetes_cluster.kubeconfig)) == "administrator"


@pytest.mark.usefixtures("confined")
async def test_a_token_is_taken_and_one_that_was_replaced_is_read_again(
    kubernetes_cluster: "KubernetesCluster", connect: Open, tmp_path: Path
) -> None:
    from lightkube.core.exceptions import ApiError

    file = tmp_path / "token"
    file.write_text("another")
    client = await connect(
        kubeconfig_with(kubernetes_cluster, tmp_path / "kubeconfig", {"tokenFile": "token"})
    )
    with pytest.raises(ApiError, match="Unauthorized"):
        await user_name(client)

    good = ("create", "token", "factory-runtime", "--namespace", "factory-runtime")
    file.write_text(kubernetes_cluster.kubectl(*good))

    assert await user_name(client) == PLATFORM


async def test_the_server_gives_the_rights_of_the_table_and_no_others(
    confined: Path, connect: Open
) -> None:
    from lightkube.models.authorization_v1 import SelfSubjectRulesReviewSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.authorization_v1 import SelfSubjectRulesReview

    client = await connect(confined)
    asked = SelfSubjectRulesReview(
        metadata=ObjectMeta(name="me"), spec=SelfSubjectRulesReviewSpec(namespace="default")
    )
    review = await client.create(asked)

    assert review.status is not None
    rights = {
        (group, resource, verb)
        for rule in review.status.resourceRules
        for group in rule.apiGroups or ()
        for resource in rule.resources or ()
        for verb in rule.verbs
        if group not in OF_EVERYBODY
    }
    assert rights == {right for each in PERMISSIONS for right in each.rights}


def config_map(namespace: str) -> Any:
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap

    return ConfigMap(metadata=ObjectMeta(name="shop", namespace=namespace), data={"a": "1"})


def labelled(name: str, labels: dict[str, str] | None = None) -> Any:
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace

    return Namespace(metadata=ObjectMeta(name=name, labels=labels))


OWN = {LABEL[0]: LABEL[1], POD_SECURITY[0]: "restricted"}


@pytest.mark.long
async def test_what_is_not_the_platforms_is_read_and_not_written(
    kubernetes_cluster: "KubernetesCluster", confined: Path, connect: Open, namespace: str
) -> None:
    from lightkube.core.exceptions import ApiError
    from lightkube.resources.core_v1 import Namespace, Service

    client = await connect(confined)
    words = ("create", "service", "externalname", "shop", "--external-name=shop.test")
    kubernetes_cluster.kubectl(*words, "--namespace", namespace)
    refused: list[Awaitable[Any]] = [
        client.apply(config_map(namespace)),
        client.delete(Service, "shop", namespace=namespace),
        client.apply(labelled(namespace, OWN)),
        client.delete(Namespace, namespace),
        client.apply(labelled(f"{namespace}-new")),
        client.apply(labelled(f"{namespace}-new", {**OWN, POD_SECURITY[0]: "privileged"})),
        client.apply(labelled(f"{namespace}-new", dict([LABEL]))),
    ]

    for write in refused:
        with pytest.raises(ApiError, match="ValidatingAdmissionPolicy") as caught:
            await write
        assert caught.value.status.code == 403
    assert (await client.get(Namespace, namespace)).metadata.name == namespace


async def test_what_a_person_gives_to_the_platform_it_writes_and_cannot_give_away_or_loosen(
    kubernetes_cluster: "KubernetesCluster", confined: Path, connect: Open, namespace: str
) -> None:
    from lightkube.core.exceptions import ApiError
    from lightkube.resources.core_v1 import Namespace

    client = await connect(confined)
    labels = [f"{name}={value}" for name, value in OWN.items()]
    kubernetes_cluster.kubectl("label", "namespace", namespace, *labels)

    assert (await client.apply(config_map(namespace))).data == {"a": "1"}
    for changed in ({LABEL[0]: "another"}, {POD_SECURITY[0]: "privileged"}):
        with pytest.raises(ApiError, match="ValidatingAdmissionPolicy"):
            await client.patch(Namespace, namespace, {"metadata": {"labels": changed}})


async def test_the_platform_makes_pods_in_dry_runs_only(
    confined: Path, connect: Open, namespace: str
) -> None:
    from lightkube.core.exceptions import ApiError
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace, Pod, ServiceAccount

    client, name = await connect(confined), f"{namespace}-own"
    await client.apply(labelled(name, OWN))
    account = ServiceAccount(metadata=ObjectMeta(name="tenant", namespace=name))
    await client.apply(account)
    spec = pod_spec(Place(name, {}, "tenant"), "shop", LIMITS)
    pod = Pod.from_dict({"metadata": {"name": "shop", "namespace": name}, "spec": spec})

    judged = await client.create(pod, dry_run=True)
    with pytest.raises(ApiError, match="the platform makes pods in dry runs only") as caught:
        await client.create(pod)

    assert judged.metadata is not None
    assert judged.metadata.name == "shop"
    assert caught.value.status.code == 403
    assert [each async for each in client.list(Pod, namespace=name)] == []
    await client.delete(Namespace, name)


async def test_a_namespace_of_its_own_is_made_used_and_deleted(
    confined: Path, connect: Open, namespace: str
) -> None:
    from lightkube.resources.core_v1 import Namespace

    client, name = await connect(confined), f"{namespace}-own"
    await client.apply(labelled(name, OWN))
    await client.apply(config_map(name))
    await client.delete(Namespace, name)


SOMEBODY = "somebody"
"""May do with namespaces what he likes, and is no administrator of the cluster."""


@pytest.mark.long
@pytest.mark.usefixtures("confined")
def test_nobody_else_makes_or_labels_namespaces_as_the_platform_does(
    kubernetes_cluster: "KubernetesCluster", namespace: str
) -> None:
    for kind, *words in (
        ("clusterrole", "--verb=*", "--resource=namespaces"),
        ("clusterrolebinding", f"--clusterrole={SOMEBODY}", f"--user={SOMEBODY}"),
    ):
        named = ("create", kind, SOMEBODY, *words, "--dry-run=client", "-o", "json")
        kubernetes_cluster.apply(namespace, json.loads(kubernetes_cluster.kubectl(*named)))
    as_somebody = ("--as", SOMEBODY, "--dry-run=server")
    create = ("create", "namespace", *as_somebody)
    label = ("label", "namespace", namespace, *as_somebody, "--overwrite")

    def is_refused(*words: str) -> bool:
        try:
            kubernetes_cluster.kubectl(*words)
        except AssertionError as refused:
            return "ValidatingAdmissionPolicy 'factory-runtime-namespaces'" in str(refused)
        return False

    until(lambda: is_refused(*create, "factory-runtime-acme-0123456789"))

    kubernetes_cluster.kubectl(*create, f"{namespace}-new")
    kubernetes_cluster.kubectl(*label, "team=shop", "app.kubernetes.io/managed-by=Helm")
    assert is_refused(*label, "app.kubernetes.io/managed-by=factory-runtime")
    assert is_refused(*label, "factory-runtime/gateway=true")
    kubernetes_cluster.kubectl("label", "namespace", namespace, "factory-runtime/gateway=true")
    kubernetes_cluster.kubectl(*label, "team=shop")
    assert is_refused(*label, "factory-runtime/gateway-")


async def test_a_workload_lives_and_goes_by_these_rights(
    confined: Path, connect: Open, namespace: str
) -> None:
    client, used = await connect(confined), set[Right]()
    record_rights(client, used)

    async def same() -> "AsyncClient":
        return client

    key = environment_key(TenantId("acme"), ProjectId("shop"), namespace)
    environment = environment_id(key)
    component = SurfaceComponent(environment, TenantId("acme"), ModuleId("module-shop"))
    # Nobody serves the image, and the node sees so at once: what the platform does is the same.
    spec = replace(TEMPLATE, component=component, image="127.0.0.1:1/shop/web", path_prefix=None)
    surface = AksSurface(same, SystemClock())

    await surface.ensure_site(SiteSpec(environment, TenantId("acme"), "test", "test", {}), fence(1))
    await surface.apply(spec, fence(2))
    await surface.apply(replace(spec, revision=2), fence(3))
    await surface.scale(component, 1, 2, fence(4))
    assert isinstance(await surface.observe(component), Present)
    assert isinstance(await surface.inventory(environment), Present)
    await surface.remove(component, 1, fence(5))
    await surface.delete_site(environment, fence(6))

    assert used <= {right for each in PERMISSIONS for right in each.rights}
    written = {resource for _, resource, verb in used if verb in {"create", "patch", "delete"}}
    assert {"namespaces", "configmaps", "deployments", "services"} <= written
