"""A revision names its secrets to the driver of its nodes; the platform never sees a value.

No CSI driver runs on the nodes of tests, and none could reach a vault of Azure: a pod with secrets
waits for its volume. What the driver would write, a test writes as it does.
"""

import base64
import json
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
import yaml

from shared.kernel.errors import Invalid
from shared.kernel.observation import Present
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, DEPLOYMENTS, PODS, Kind
from shared.surfaces.aks.secret_classes import (
    AUDIENCE,
    CLASSES,
    CSI_DRIVERS,
    DRIVER,
    GROUP,
    mounted_versions,
)
from shared.surfaces.boundaries import BoundarySpec
from shared.surfaces.capabilities import Feature
from shared.surfaces.port import Boundaries
from shared.surfaces.properties import Plane, differences, revision_properties
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import RevisionSpec
from tests.kit.cluster_objects import remove
from tests.kit.patience import PATIENCE_S
from tests.surfaces.aks_harness import DIRECTORY, AksHarness
from tests.surfaces.harness import ENVIRONMENT, SHOP, SurfaceHarness, fence

if TYPE_CHECKING:
    from httpx2 import Request

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
pytestmark = pytest.mark.shows(Feature.SECRET_REFERENCES, on="aks")
IDENTITY: Final = "99999999-8888-7777-6666-555555555555"
VAULT: Final = "https://kv-shop.vault.azure.net/"
CANARY: Final = "canary-value-of-a-secret"
NAME: Final = "module-shop-r1"
STATUSES = Kind(f"{GROUP}/v1", "SecretProviderClassPodStatus", "secretproviderclasspodstatuses")
SECRETS = Kind("v1", "Secret", "secrets")
EVENTS = Kind("v1", "Event", "events")
FILE = SecretReference("database", "v3", VAULT, file="db-password")
VARIABLE = SecretReference("mail", "0e12", VAULT, variable="MAIL_KEY")


async def give_identity(harness: SurfaceHarness) -> None:
    """Let the tenant of the shop act as an identity."""
    boundaries = cast("Boundaries", harness.surface)
    bounded = BoundarySpec(ENVIRONMENT, SHOP.tenant, identity=IDENTITY)
    await boundaries.ensure_boundary(bounded, fence(1))


def with_secrets(harness: SurfaceHarness, revision: int = 1, **changes: Any) -> RevisionSpec:
    asked: dict[str, Any] = {
        "secrets": (FILE, VARIABLE),
        "unit": {"secret.database": "v3", "secret.mail": "0e12"},
        "replicas": 0,
        **changes,
    }
    return harness.worker(revision, **asked)


async def secret_class(cluster: AksHarness) -> Object | None:
    return await cluster.api.get(CLASSES, NAME, cluster.namespace)


def test_it_names_each_version_to_the_provider_and_goes_with_its_revision(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await give_identity(harness)
        spec = with_secrets(harness)

        await harness.surface.apply(spec, fence(1))

        found = await secret_class(cluster)
        assert found is not None
        parameters = dict(found["spec"]["parameters"])
        listed = yaml.safe_load(parameters.pop("objects"))["array"]
        common = {"objectType": "secret", "filePermission": "0444"}
        expected = [
            {"objectName": "database", "objectVersion": "v3", "objectAlias": "db-password"},
            {"objectName": "mail", "objectVersion": "0e12", "objectAlias": "MAIL_KEY"},
        ]
        assert [yaml.safe_load(each) for each in listed] == [each | common for each in expected]
        assert (found["spec"]["provider"], parameters) == (
            "azure",
            {"clientID": IDENTITY, "keyvaultName": "kv-shop", "tenantID": DIRECTORY},
        )
        (synced,) = found["spec"]["secretObjects"]
        assert synced["data"] == [{"objectName": "MAIL_KEY", "key": "MAIL_KEY"}]
        live = await harness.surface.properties(SHOP)
        assert isinstance(live, Present)
        assert differences(revision_properties(spec, weight=0), live.value[1]) == ()

        await harness.surface.remove(SHOP, 1, fence(1))
        give_up_at_s = harness.clock.monotonic_s() + PATIENCE_S
        while await secret_class(cluster) is not None:
            assert harness.clock.monotonic_s() < give_up_at_s, "the cluster keeps it"
            await harness.clock.sleep(0.1)

    run_scenario(scenario)


def test_one_that_somebody_edited_is_a_difference_by_place(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await give_identity(harness)
        spec = with_secrets(harness)
        await harness.surface.apply(spec, fence(1))
        found = await secret_class(cluster)
        assert found is not None
        objects = found["spec"]["parameters"]["objects"].replace('"v3"', '"v2"')
        edited = {"parameters": {"objects": objects, "clientID": "another"}}

        await cluster.api.merge(CLASSES, NAME, cluster.namespace, {"spec": edited})

        live = await harness.surface.properties(SHOP)
        assert isinstance(live, Present)
        changed = differences(revision_properties(spec, weight=0), live.value[1])
        assert [(each.plane, each.path, each.actual) for each in changed] == [
            (Plane.SECRETS, "files/db-password", "another"),
            (Plane.SECRETS, "parameters/clientID", "another"),
        ]

    run_scenario(scenario)


def test_a_tenant_without_an_identity_and_a_second_vault_are_refused_before_anything_is_made(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        with pytest.raises(Invalid, match="identity of its tenant"):
            await harness.surface.apply(with_secrets(harness), fence(1))
        await give_identity(harness)
        other = SecretReference("mail", "0e12", "https://kv-mail.vault.azure.net", file="mail")
        with pytest.raises(Invalid, match="one Azure Key Vault"):
            await harness.surface.apply(with_secrets(harness, secrets=(FILE, other)), fence(1))

        for kind in (DEPLOYMENTS, CLASSES):
            assert await cluster.api.get(kind, NAME, cluster.namespace) is None

    run_scenario(scenario)


def test_it_is_offered_where_the_driver_is(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        await harness.surface.inventory(ENVIRONMENT)
        before = harness.surface.capabilities()
        manifest = {
            "apiVersion": CSI_DRIVERS.version,
            "kind": CSI_DRIVERS.name,
            "metadata": {"name": DRIVER},
            "spec": {
                "attachRequired": False,
                "podInfoOnMount": True,
                "volumeLifecycleModes": ["Ephemeral"],
                "requiresRepublish": True,
                "tokenRequests": [{"audience": AUDIENCE}],
            },
        }
        await cluster.api.create(CSI_DRIVERS, manifest)
        try:
            harness.surface = await harness.restart_host()
            await harness.surface.inventory(ENVIRONMENT)
            after = harness.surface.capabilities()
        finally:
            await remove(cluster.api, CSI_DRIVERS, DRIVER)

        assert f"no CSIDriver {DRIVER}" in before.lacks[Feature.SECRET_REFERENCES]
        assert after.supports(Feature.SECRET_REFERENCES)

    run_scenario(scenario)


async def write_as_the_driver(cluster: AksHarness, pod: Object) -> None:
    """Make what the driver makes when it has mounted: its status, and the copied Secret."""
    metadata = {"namespace": cluster.namespace}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"]}
    status = {
        "apiVersion": STATUSES.version,
        "kind": STATUSES.name,
        "metadata": {
            **metadata,
            "name": f"{pod['metadata']['name']}-{cluster.namespace}-{NAME}",
            "ownerReferences": [{**owner, "uid": pod["metadata"]["uid"]}],
        },
        "status": {
            "podName": pod["metadata"]["name"],
            "secretProviderClassName": NAME,
            "mounted": True,
            "objects": [
                {"id": "secret/database", "version": "v3"},
                {"id": "secret/mail", "version": "0e12"},
            ],
        },
    }
    await cluster.api.create(STATUSES, status)
    copied = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "name": NAME},
        "data": {"MAIL_KEY": base64.b64encode(CANARY.encode()).decode()},
    }
    await cluster.api.create(SECRETS, copied)


def test_no_value_of_a_secret_is_in_anything_that_the_platform_reads_or_writes(
    run_scenario: RunScenario, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        cluster = cast("AksHarness", harness)
        asked: list[str] = []

        async def note(request: "Request") -> None:
            asked.append(request.url.path)

        client = await cluster.host.connect()
        client._client._client.event_hooks["request"].append(note)
        await give_identity(harness)
        spec = with_secrets(harness, replicas=1)
        await harness.surface.apply(spec, fence(1))
        await harness.until(lambda live: bool(live.revisions[0].instances))
        pods, _ = await cluster.api.list_all(PODS, {}, namespace=cluster.namespace, keep=dict)
        await write_as_the_driver(cluster, pods[0])
        versions = await mounted_versions(ClusterApi(cluster.host.connect), pods[0], spec)

        await harness.surface.apply(spec, fence(2))
        pod = pods[0]["metadata"]["name"]
        readings = [
            await harness.surface.observe(SHOP),
            await harness.surface.inventory(ENVIRONMENT),
            await harness.surface.properties(SHOP),
            await harness.surface.prove(SHOP),
            await harness.surface.logs(SHOP, pod, 100),
        ]

        objects = [
            each
            for kind in (CLASSES, STATUSES, CONFIG_MAPS, DEPLOYMENTS, PODS, EVENTS)
            for place in (cluster.namespace, cluster.installation.name)
            for each in (await cluster.api.list_all(kind, {}, namespace=place, keep=dict))[0]
        ]
        assert versions == {"database": "v3", "mail": "0e12"}
        encoded = base64.b64encode(CANARY.encode()).decode()
        for text in (json.dumps(objects), repr(readings), caplog.text):
            assert CANARY not in text
            assert encoded not in text
        assert await cluster.api.get(SECRETS, NAME, cluster.namespace) is not None
        assert asked
        assert [path for path in asked if "secrets" in path.split("/")] == []

    caplog.set_level(logging.DEBUG)
    run_scenario(scenario)
