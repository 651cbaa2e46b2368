"""The platform reaches an AKS cluster as a user of Entra, where Azure says that it answers."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from shared.kernel.errors import NotFound, Unavailable
from shared.surfaces.aks.cluster_access import LOOKED_UP_EVERY_S
from shared.surfaces.aks.cluster_errors import ClusterRefused, ClusterStopped
from shared.surfaces.aks.managed_cluster import NodePool
from shared.surfaces.aks.managed_clusters import ANSWER_BYTES_MAX
from tests.kit.managed_aks import (
    CLUSTER_ID,
    ManagedAks,
    exec_user,
    node_pool,
    refusal,
    status_of,
)

pytestmark = pytest.mark.real


async def namespaces(cluster: ManagedAks) -> list[str]:
    """Return the namespaces, as a surface asks for them."""
    from lightkube.resources.core_v1 import Namespace

    client = await cluster.access.client()
    return [each.metadata.name async for each in client.list(Namespace)]


async def test_a_cluster_is_reached_by_its_id_with_a_token_of_entra(cluster: ManagedAks) -> None:
    assert await namespaces(cluster) == ["default"]
    assert await namespaces(cluster) == ["default"]

    assert [line.partition("?")[0] for line in cluster.arm.asked] == [
        f"GET {CLUSTER_ID}",
        f"POST {CLUSTER_ID}/listClusterUserCredential",
    ]
    assert len(set(cluster.api.tokens)) == 1


async def test_two_that_ask_at_once_share_one_connection(cluster: ManagedAks) -> None:
    first, second = await asyncio.gather(cluster.access.client(), cluster.access.client())

    assert first is second
    assert len(cluster.arm.asked) == 2


async def test_a_cluster_that_is_not_found_is_asked_for_every_few_seconds(
    cluster: ManagedAks,
) -> None:
    cluster.arm.answers.append(refusal(503, "ServiceUnavailable"))

    failures = await asyncio.gather(
        *(cluster.access.client() for _ in range(20)), return_exceptions=True
    )

    assert {type(each) for each in failures} == {Unavailable}
    assert len(cluster.arm.asked) == 1
    cluster.clock.ahead_s += 5
    assert await namespaces(cluster) == ["default"]


async def test_a_token_that_is_refused_is_renewed_once(cluster: ManagedAks) -> None:
    await namespaces(cluster)
    cluster.clock.ahead_s += 60
    cluster.api.answers.append(web.Response(status=401))

    assert await namespaces(cluster) == ["default"]
    assert len(cluster.api.tokens) == 3
    assert len(set(cluster.api.tokens)) == 2


async def test_a_token_that_is_refused_again_is_an_answer(cluster: ManagedAks) -> None:
    from lightkube.core.exceptions import ApiError

    await namespaces(cluster)
    cluster.clock.ahead_s += 60
    cluster.api.answers.extend(status_of(401, "Unauthorized") for _ in range(2))

    with pytest.raises(ApiError, match="Unauthorized"):
        await namespaces(cluster)
    assert len(cluster.api.tokens) == 3


async def test_a_token_is_renewed_before_it_ends(cluster: ManagedAks) -> None:
    await namespaces(cluster)
    tokens = cluster.source._tokens
    tokens._ends_s = cluster.clock.now().timestamp() + 299

    await namespaces(cluster)

    assert tokens._ends_s > cluster.clock.now().timestamp() + 3000


async def test_a_cluster_is_described_with_its_pools(cluster: ManagedAks) -> None:
    cluster.properties |= {
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://oidc.test/shop/"},
        "securityProfile": {"workloadIdentity": {"enabled": True}},
        "networkProfile": {"networkPolicy": "cilium"},
        "agentPoolProfiles": [
            node_pool("system"),
            node_pool(
                "tenants",
                mode="User",
                enableAutoScaling=True,
                minCount=1,
                maxCount=9,
                availabilityZones=["1", "2"],
                nodeLabels={"tenant": "contoso"},
                nodeTaints=["tenant=contoso:NoSchedule"],
                scaleSetPriority="Spot",
                provisioningState="Scaling",
            ),
        ],
    }

    found = await cluster.access.managed_cluster()

    assert found is not None
    assert (found.kubernetes_version, found.is_running) == ("1.37.2", True)
    assert (found.oidc_issuer, found.has_workload_identity) == ("https://oidc.test/shop/", True)
    assert (found.network_policy, found.has_local_accounts) == ("cilium", False)
    assert (found.has_entra, found.has_azure_rbac, found.is_private) == (True, False, False)
    system, tenants = found.node_pools
    assert (system.name, system.count_min, system.count_max) == ("system", None, None)
    assert tenants == NodePool(
        "tenants", "User", 3, 1, 9, ("1", "2"), "Standard_D4ds_v5", "Linux", is_spot=True,
        labels={"tenant": "contoso"}, taints=("tenant=contoso:NoSchedule",),
        kubernetes_version="1.37.2", provisioning_state="Scaling", is_running=True,
    )  # fmt: skip


async def test_what_azure_leaves_out_is_off(cluster: ManagedAks) -> None:
    cluster.properties.clear()

    found = await cluster.source.read()

    assert (found.oidc_issuer, found.network_policy, found.has_entra) == (None, None, False)
    assert (found.has_workload_identity, found.has_local_accounts) == (False, True)
    assert found.node_pools == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"agentPoolProfiles": {"name": "system"}},
        {"agentPoolProfiles": [{"name": "system", "count": "many"}]},
        {"agentPoolProfiles": [{"name": "system", "availabilityZones": 7}]},
        {"aadProfile": "yes"},
        {"powerState": ["Running"]},
    ],
)
async def test_a_cluster_of_another_shape_is_unavailable(
    cluster: ManagedAks, changed: dict[str, Any]
) -> None:
    cluster.properties |= changed

    with pytest.raises(Unavailable, match="cannot be read"):
        await cluster.access.managed_cluster()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"powerState": {"code": "Stopped"}}, "az aks start -g shop", id="stopped"),
        pytest.param({"provisioningState": "Deleting"}, "is Deleting", id="deleting"),
    ],
)
async def test_a_cluster_that_does_not_run_is_said_to_be_stopped(
    cluster: ManagedAks, changed: dict[str, Any], said: str
) -> None:
    cluster.properties |= changed

    with pytest.raises(ClusterStopped, match=said):
        await cluster.access.client()


@pytest.mark.parametrize("state", ["Succeeded", "Updating", "Upgrading", "Failed"])
async def test_a_cluster_that_is_changed_is_connected_to(cluster: ManagedAks, state: str) -> None:
    cluster.properties["provisioningState"] = state

    assert await namespaces(cluster) == ["default"]


@pytest.mark.parametrize("disabled", [True, False, None])
async def test_local_accounts_make_no_difference(
    cluster: ManagedAks, *, disabled: bool | None
) -> None:
    cluster.properties["disableLocalAccounts"] = disabled

    assert await namespaces(cluster) == ["default"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param(
            {"apiServerAccessProfile": {"enablePrivateCluster": True}}, "is private", id="private"
        ),
        pytest.param({"aadProfile": None}, "--enable-aad", id="no-entra"),
        pytest.param({"aadProfile": {"serverAppID": "x"}}, "--enable-aad", id="an-own-entra"),
    ],
)
async def test_a_cluster_that_cannot_be_used_is_refused_with_its_fix(
    cluster: ManagedAks, changed: dict[str, Any], said: str
) -> None:
    cluster.properties |= changed

    with pytest.raises(ClusterRefused, match=said):
        await cluster.access.client()
    assert [line for line in cluster.arm.asked if line.startswith("POST")] == []


CERTIFICATE = {"client-certificate-data": "s3cret", "client-key-data": "s3cret"}


@pytest.mark.parametrize(
    ("user", "said"),
    [
        pytest.param(CERTIFICATE, "local account", id="a-certificate"),
        pytest.param({"token": "s3cret"}, "local account", id="a-token"),
        pytest.param({"exec": {"args": 7}}, "local account", id="no-arguments"),
        pytest.param(exec_user("another"), "application of your own", id="another-application"),
    ],
)
async def test_an_unexpected_user_credential_is_refused_and_not_shown(
    cluster: ManagedAks, user: dict[str, Any], said: str
) -> None:
    cluster.kubeconfig["users"][0]["user"] = user

    with pytest.raises(ClusterRefused, match=said) as refused:
        await cluster.access.client()
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize(
    "server", ["https://elsewhere.test:443", "http://localhost:1", "https://localhost@x.test", None]
)
async def test_a_token_goes_to_the_clusters_own_server_only(
    cluster: ManagedAks, server: str | None
) -> None:
    cluster.kubeconfig["clusters"][0]["cluster"]["server"] = server

    with pytest.raises(ClusterRefused, match="server"):
        await cluster.access.client()


async def test_a_user_credential_without_an_authority_is_refused(cluster: ManagedAks) -> None:
    del cluster.kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]

    with pytest.raises(ClusterRefused, match="authority"):
        await cluster.access.client()


@pytest.mark.parametrize("value", ["", "bm8ga3ViZWNvbmZpZw==", "!", None])
async def test_a_user_credential_that_is_no_kubeconfig_is_refused(
    cluster: ManagedAks, value: str | None
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"kubeconfigs": [{"name": "clusterUser", "value": value}]})

    cluster.arm.answers.extend([cluster.azure, answer])

    with pytest.raises((ClusterRefused, Unavailable)):
        await cluster.access.client()


async def test_a_cluster_that_is_not_there_is_named(cluster: ManagedAks) -> None:
    cluster.arm.answers.append(refusal(404, "ResourceNotFound"))

    with pytest.raises(NotFound, match=r"managedClusters/shop-aks.*RUNTIME_AKS_CLUSTER_ID"):
        await cluster.access.client()


async def test_who_throttles_is_asked_again_when_it_says(cluster: ManagedAks) -> None:
    cluster.arm.answers.append(refusal(429, "TooManyRequests", **{"Retry-After": "17"}))

    with pytest.raises(Unavailable, match="429 TooManyRequests") as away:
        await cluster.access.client()

    assert (away.value.retry_after_s, away.value.throttled) == (17.0, True)
    assert len(cluster.arm.asked) == 1
    assert "s3cret" not in away.value.message
    cluster.clock.ahead_s += 5
    assert await namespaces(cluster) == ["default"]


@pytest.mark.parametrize("at", [0, 1])
async def test_a_role_that_does_not_count_yet_is_waited_for(cluster: ManagedAks, at: int) -> None:
    refused = refusal(403, "AuthorizationFailed")
    cluster.arm.answers.extend([cluster.azure, refused] if at else [refused])

    with pytest.raises(Unavailable, match="Azure Kubernetes Service Cluster User Role") as away:
        await cluster.access.client()

    assert away.value.retry_after_s == 15.0
    cluster.clock.ahead_s += 5
    assert await namespaces(cluster) == ["default"]


@pytest.mark.parametrize("status", [301, 307])
async def test_a_redirection_is_not_followed(cluster: ManagedAks, status: int) -> None:
    elsewhere = {"Location": f"{cluster.api.url}{CLUSTER_ID}"}
    cluster.arm.answers.extend(web.Response(status=status, headers=elsewhere) for _ in range(4))

    with pytest.raises(Unavailable, match=f"answered {status}"):
        await cluster.access.client()
    assert cluster.api.asked == []


async def test_no_resource_provider_is_registered(cluster: ManagedAks) -> None:
    body = {
        "error": {
            "code": "MissingSubscriptionRegistration",
            "message": "register the namespace",
            "details": [
                {"code": "MissingSubscriptionRegistration", "target": "Microsoft.ContainerService"}
            ],
        }
    }
    cluster.arm.answers.append(web.json_response(body, status=409))

    with pytest.raises(Unavailable):
        await cluster.access.client()
    assert len(cluster.arm.asked) == 1


async def huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(64):
            await response.write(b" " * (ANSWER_BYTES_MAX // 32))
    except ConnectionError:
        pass
    return response


async def compressed(_request: web.Request) -> web.Response:
    return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


async def no_json(_request: web.Request) -> web.Response:
    return web.Response(text="<html>s3cret")


async def another_shape(_request: web.Request) -> web.Response:
    return web.json_response([1])


@pytest.mark.parametrize("fault", [huge, compressed, broken, no_json, another_shape])
async def test_an_answer_that_cannot_be_used_is_unavailable(
    cluster: ManagedAks, fault: Any
) -> None:
    cluster.arm.answers.extend([fault, fault])

    with pytest.raises(Unavailable) as away:
        await cluster.access.client()

    assert "s3cret" not in away.value.message
    cluster.arm.answers.clear()
    cluster.clock.ahead_s += 5
    assert await namespaces(cluster) == ["default"]


async def test_an_answer_that_does_not_come_is_given_up(cluster: ManagedAks) -> None:
    released = asyncio.Event()

    async def stalled(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    await cluster.source.read()
    cluster.source._clusters._timeout_s = 0.2
    cluster.arm.answers.append(stalled)

    with pytest.raises(Unavailable, match="cannot be reached"):
        await cluster.source.read()
    released.set()


async def test_a_cluster_that_was_stopped_meanwhile_is_said_to_be(cluster: ManagedAks) -> None:
    from httpx2 import TransportError

    await namespaces(cluster)
    await cluster.api.stop()
    cluster.properties["powerState"] = {"code": "Stopped"}
    with pytest.raises(TransportError):
        await namespaces(cluster)
    asked = len(cluster.arm.asked)
    with pytest.raises(TransportError):
        await namespaces(cluster)
    assert len(cluster.arm.asked) == asked, "Azure is not asked at every call"

    cluster.clock.ahead_s += LOOKED_UP_EVERY_S
    with pytest.raises(ClusterStopped):
        await namespaces(cluster)

    cluster.properties["powerState"] = {"code": "Running"}
    await cluster.api.start()
    cluster.clock.ahead_s += LOOKED_UP_EVERY_S
    assert await namespaces(cluster) == ["default"]


async def test_azure_being_away_takes_no_cluster_that_answers(cluster: ManagedAks) -> None:
    client = await cluster.access.client()
    cluster.access._transport.is_lost = True  # type: ignore[union-attr]
    cluster.clock.ahead_s += LOOKED_UP_EVERY_S
    cluster.arm.answers.append(refusal(503, "ServiceUnavailable"))

    assert await cluster.access.client() is client
    assert await namespaces(cluster) == ["default"]
