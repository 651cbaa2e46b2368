"""Reads one AKS cluster of Azure Resource Manager, by the official asynchronous SDK.

Two requests are made and no other ever leaves: GET of the cluster, and POST for its user's
credential. The administrator's is never asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from shared.connections.retry_after import retry_after_s
from shared.connections.trusted_transport import trusted_transport
from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.kernel.trust import untrusted_in
from shared.surfaces.aks.cluster_errors import ClusterRefused
from shared.surfaces.aks.managed_cluster import ClusterId, ManagedCluster, managed_cluster

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.mgmt.containerservice.aio import ContainerServiceClient

_ARM: Final = "Azure Resource Manager"
_SDK: Final = "azure.mgmt.containerservice.aio"
ROLE: Final = "Azure Kubernetes Service Cluster User Role"
TIMEOUT_S: Final = 20.0
"""For a whole call; Azure Resource Manager takes seconds at times."""
ANSWER_BYTES_MAX: Final = 2 * 2**20
"""A cluster with its hundred pools has some 200 KiB."""
_CREDENTIAL: Final = "/listclusterusercredential"
_RETRIES: Final[Mapping[str, Any]] = {"retry_connect": 1, "retry_read": 1, "retry_status": 0}
"""Who throttles says when to come again; the callers' own policies wait that long, we do not."""
_RETRY_FORBIDDEN_S: Final = 15.0
"""A role assignment takes minutes to count; a second is too soon."""


class ManagedClusters:
    """One cluster as Azure sees it, connected when first used. Close it when the app ends."""

    def __init__(
        self,
        cluster_id: ClusterId,
        *,
        credential: "Callable[[], AsyncTokenCredential]",
        ca_file: Path | None = None,
        endpoint: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """*credential* is asked when first used and stays its owner's to close.

        *endpoint* is another than that of the cloud that `AZURE_CLOUD` names, Azure's public one
        without it.
        """
        self.cluster_id = cluster_id
        self._credential = credential
        self._ca_file = ca_file
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._client: ContainerServiceClient | None = None

    async def read(self) -> ManagedCluster:
        """Return the cluster as it is now.

        Raises:
            NotFound: there is no such cluster.
            Unavailable: throttled, forbidden, away, or no token could be had.
        """
        async with self._called() as client:
            found = await client.managed_clusters.get(self.cluster_id.group, self.cluster_id.name)
            return managed_cluster(self.cluster_id, found)

    async def user_kubeconfig(self) -> bytes:
        """Return the kubeconfig of a user of the cluster, which names no secret.

        Raises:
            NotFound, Unavailable: as `read`.
            ClusterRefused: Azure gives none, or several.
        """
        async with self._called() as client:
            answer = await client.managed_clusters.list_cluster_user_credentials(
                self.cluster_id.group, self.cluster_id.name, format="exec"
            )
            contents = [each.value for each in answer.kubeconfigs or () if each.value]
        if len(contents) != 1:
            raise ClusterRefused(
                f"Azure gives {len(contents)} user credentials for the AKS cluster"
                f" {self.cluster_id.name}, where one is expected"
            )
        return bytes(contents[0])

    async def close(self) -> None:
        """Close the connections; the cluster may not be read afterwards."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _called(self) -> "AsyncIterator[ContainerServiceClient]":
        if self._client is None:
            await asyncio.to_thread(import_module, _SDK)  # half a second: not on the loop
        if self._client is None:
            self._client = self._connect()
        async with translated_errors(self.cluster_id), asyncio.timeout(self._timeout_s):
            yield self._client

    def _connect(self) -> "ContainerServiceClient":
        from azure.mgmt.containerservice.aio import (  # noqa: PLC0415  heavy: where used
            ContainerServiceClient,
        )

        return ContainerServiceClient(
            self._credential(),
            self.cluster_id.subscription,
            self._endpoint,
            transport=trusted_transport(
                self._ca_file,
                answer_max=ANSWER_BYTES_MAX,
                connection_timeout=self._timeout_s,
                read_timeout=self._timeout_s,
            ),
            raw_request_hook=self._check,
            permit_redirects=False,
            **_RETRIES,
        )

    def _check(self, request: Any) -> None:
        """Refuse a request that writes, or goes elsewhere, before it leaves.

        The SDK would register a resource provider by itself, for one.
        """
        asked = urlsplit(request.http_request.url)
        path = asked.path.rstrip("/").lower()
        cluster = str(self.cluster_id).lower()
        expected = {"GET": cluster, "POST": cluster + _CREDENTIAL}
        if asked.scheme != "https" or path != expected.get(request.http_request.method):
            raise Unavailable(f"{_ARM} leads to a request that is not made")


@asynccontextmanager
async def translated_errors(cluster_id: ClusterId) -> AsyncIterator[None]:
    """Raise the errors of `shared.kernel.errors` for those of the SDK.

    Raises:
        NotFound: there is no such cluster.
        Invalid: Azure does not take what was sent.
        Unavailable: throttled, forbidden, away, or no token could be had.
    """
    from azure.core.exceptions import (  # noqa: PLC0415  heavy: where used
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
    )

    # Answers are no cause of ours: one that cannot be read stands whole in the SDK's error.
    try:
        yield
    except ClientAuthenticationError as refused:
        raise Unavailable(
            f"{_ARM} gave no access: this app's identity got no token, or one that is refused"
            f" ({type(refused).__name__}; azure.identity logs why)",
            retry_after_s=_RETRY_FORBIDDEN_S,
        ) from None
    except HttpResponseError as failed:
        raise _error_for(failed, cluster_id) from None
    except (AzureError, TimeoutError) as away:
        raise Unavailable(
            f"{_ARM} cannot be reached ({type(away).__name__}){untrusted_in(away)}"
        ) from away
    except (ValueError, TypeError, AttributeError) as unread:  # of an answer of another shape
        raise Unavailable(f"{_ARM} gave an answer that cannot be read") from unread


def _error_for(failed: Any, cluster_id: ClusterId) -> Exception:
    """Return our error for an answer of Azure Resource Manager."""
    status = failed.status_code
    if status == HTTPStatus.OK:
        return Unavailable(f"{_ARM} gave an answer that cannot be read")
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"there is no AKS cluster {cluster_id}: see RUNTIME_AKS_CLUSTER_ID")
    if status == HTTPStatus.FORBIDDEN:
        return Unavailable(
            f"{_ARM} answered 403: this app's identity needs {ROLE} on the AKS cluster"
            f" {cluster_id.name}; a new role assignment takes minutes to count",
            retry_after_s=_RETRY_FORBIDDEN_S,
        )
    code = getattr(getattr(failed, "error", None), "code", None) or ""
    if status == HTTPStatus.BAD_REQUEST:
        return Invalid(f"{_ARM} refuses it ({code})")
    headers = failed.response.headers if failed.response is not None else {}
    return Unavailable(
        f"{_ARM} answered {status} {code}".rstrip(),
        retry_after_s=retry_after_s(headers.get("Retry-After")),
        throttled=status == HTTPStatus.TOO_MANY_REQUESTS,
    )
