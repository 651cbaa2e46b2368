"""The way to one cluster, for lightkube's asynchronous client.

A kubeconfig or an AKS cluster says where it answers. That is looked up again when the API server is
lost: a cluster of a laptop comes back with another certificate, one of Azure's may be stopped.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Refused, Unavailable
from shared.surfaces.aks.bearer_tokens import (
    AKS_SCOPE,
    BearerTokens,
    EntraTokens,
    GivenToken,
    TokenFile,
)
from shared.surfaces.aks.cluster_errors import ClusterRefused, ClusterStopped
from shared.surfaces.aks.kubeconfig import (
    ClusterAddress,
    Context,
    UserProof,
    parsed_context,
    read_context,
)
from shared.surfaces.aks.managed_cluster import ManagedCluster
from shared.surfaces.aks.managed_clusters import ManagedClusters
from shared.surfaces.aks.tls_context import tls_context

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from lightkube import AsyncClient

    from shared.surfaces.aks.api_transport import ApiTransport

_log = logging.getLogger(__name__)
FIELD_MANAGER: Final = "factory-runtime"
"""Who owns the fields that the platform applies."""
LOOKED_UP_EVERY_S: Final = 30.0
"""At most so often while the API server is lost: Azure throttles."""
_AGAIN_S: Final = 5.0
"""So long nobody asks again where a cluster is that was not found: many may wait for it."""
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 30.0
"""A page of a list of a large cluster takes seconds."""


@dataclass(frozen=True)
class FoundCluster:
    """Where a cluster answers now, and how we show who we are."""

    address: ClusterAddress
    proof: UserProof
    tokens: BearerTokens | None


class ClusterSource(Protocol):
    """Says where a cluster is."""

    async def find(self) -> FoundCluster:
        """Return where it answers.

        Raises:
            ClusterRefused: the platform does not connect to it.
            ClusterStopped: it is not running.
            NotFound: it is gone.
            Unavailable: that cannot be read now.
        """
        ...

    async def read(self) -> ManagedCluster | None:
        """Return what Azure says of it, and None of one that is not Azure's. Raises as `find`."""
        ...

    async def close(self) -> None: ...


class KubeconfigSource:
    """A cluster that a file names: of a laptop, of tests, or of a company."""

    def __init__(self, path: Path, context: str | None, clock: Clock) -> None:
        """Read the file. Raises ClusterRefused, so that an app does not start with a wrong one."""
        self._path = path
        self._context = context
        self._clock = clock
        found = self._read()
        tls_context(found.address.authority, found.proof, None)

    async def find(self) -> FoundCluster:
        try:
            return await asyncio.to_thread(self._read)
        except ClusterRefused as refused:  # it was good at the start, and may be again
            raise Unavailable(refused.message, retry_after_s=_AGAIN_S) from refused

    async def read(self) -> None:
        """Return nothing: Azure does not know the cluster."""

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    def _read(self) -> FoundCluster:
        context = read_context(self._path, self._context)
        proof = context.proof()
        tokens: BearerTokens | None = None
        if proof.token_file is not None:  # counts before a token, as it is the fresher
            tokens = TokenFile(proof.token_file, self._clock)
        elif proof.token is not None:
            tokens = GivenToken(proof.token)
        return FoundCluster(context.address(), proof, tokens)


class AksSource:
    """A cluster that Azure runs, whose users are those of Entra ID."""

    def __init__(
        self,
        clusters: ManagedClusters,
        credential: "Callable[[], AsyncTokenCredential]",
        clock: Clock,
    ) -> None:
        self._clusters = clusters
        self._tokens = EntraTokens(credential, clock)

    async def read(self) -> ManagedCluster:
        """Return the cluster with its node pools, as Azure has it now."""
        return await self._clusters.read()

    async def find(self) -> FoundCluster:
        cluster = await self._clusters.read()
        cluster.check_reachable()
        content = await self._clusters.user_kubeconfig()
        source = f"the user credential of the AKS cluster {cluster.cluster_id.name}"
        context = await asyncio.to_thread(parsed_context, content, source=source)
        _check_user(context)
        address = context.address()
        host = urlsplit(address.server).hostname
        if host != (cluster.host or "").lower() or address.authority is None:
            raise ClusterRefused(f"{source}: its server is not {cluster.host}, or has no authority")
        return FoundCluster(address, UserProof(), self._tokens)

    async def close(self) -> None:
        await self._clusters.close()


class ClusterAccess:
    """One cluster, connected when first used. Close it when the app ends."""

    def __init__(self, source: ClusterSource, clock: Clock, *, ca_file: Path | None = None) -> None:
        """*ca_file* is trusted besides the machine's authorities where the source names none."""
        self._source = source
        self._clock = clock
        self._ca_file = ca_file
        self._lock = asyncio.Lock()
        self._found: FoundCluster | None = None
        self._client: AsyncClient | None = None
        self._transport: ApiTransport | None = None
        self._looked_up_at_s = 0.0
        self._failure: Refused | Unavailable | None = None
        """Why it was not found, at that time."""

    async def client(self) -> "AsyncClient":
        """Return the client of the cluster, to be asked for at each use.

        A lost cluster may come back elsewhere; the client from before is closed then.

        Raises:
            ClusterRefused, ClusterStopped, NotFound, Unavailable: as `ClusterSource.find`.
        """
        async with self._lock:
            if self._client is None:
                await self._find()
            elif self._is_lost():
                await self._look_up()
            assert self._client is not None, "connected"
            return self._client

    async def managed_cluster(self) -> ManagedCluster | None:
        """Return what Azure says of the cluster now, its node pools among it.

        None of a cluster that is not Azure's; its nodes say what there is.

        Raises:
            NotFound, Unavailable: as `ClusterSource.find`.
        """
        return await self._source.read()

    async def close(self) -> None:
        """Close the connections; the cluster may not be used afterwards."""
        async with self._lock:
            await self._disconnect()
            await self._source.close()

    async def _find(self) -> None:
        if self._failure is not None and self._age_s() < _AGAIN_S:
            raise self._failure.with_traceback(None)
        try:
            await self._connect(await self._source.find())
        except (Refused, Unavailable) as failure:
            self._failure, self._looked_up_at_s = failure, self._clock.monotonic_s()
            raise
        self._failure = None

    def _is_lost(self) -> bool:
        assert self._transport is not None, "of the client"
        return self._transport.is_lost and self._age_s() >= LOOKED_UP_EVERY_S

    def _age_s(self) -> float:
        return self._clock.monotonic_s() - self._looked_up_at_s

    async def _look_up(self) -> None:
        """Ask again where the cluster is. What cannot be asked now leaves the client as it is."""
        self._looked_up_at_s = self._clock.monotonic_s()
        try:
            found = await self._source.find()
        except ClusterStopped:
            raise
        except Unavailable as away:
            _log.warning("where the cluster is cannot be read: %s", away.message)
            return
        assert self._found is not None, "of the client"
        assert self._transport is not None, "of the client"
        self._transport.is_lost = False
        if (found.address, found.proof) != (self._found.address, self._found.proof):
            await self._disconnect()
            await self._connect(found)

    async def _connect(self, found: FoundCluster) -> None:
        self._transport, self._client = await asyncio.to_thread(_opened, found, self._ca_file)
        self._found = found
        self._looked_up_at_s = self._clock.monotonic_s()

    async def _disconnect(self) -> None:
        client, self._client, self._transport = self._client, None, None
        if client is not None:
            await client.close()


def _opened(found: FoundCluster, ca_file: Path | None) -> "tuple[ApiTransport, AsyncClient]":
    """Return a client of the cluster; it reads certificates and takes time to be imported."""
    from httpx2 import Timeout  # noqa: PLC0415  heavy: where used
    from lightkube import AsyncClient, KubeConfig  # noqa: PLC0415  heavy: where used
    from lightkube.config.models import Cluster, User  # noqa: PLC0415  heavy: where used

    from shared.surfaces.aks.api_transport import ApiTransport  # noqa: PLC0415  heavy: where used

    tls = tls_context(found.address.authority, found.proof, ca_file)
    transport = ApiTransport(tls, found.tokens)
    config = KubeConfig.from_one(
        cluster=Cluster(server=found.address.server),
        user=User(),
        namespace=found.address.namespace,
    )
    client = AsyncClient(
        config,
        timeout=Timeout(_ANSWER_S, connect=_CONNECT_S),
        field_manager=FIELD_MANAGER,
        trust_env=False,
        transport=transport,
    )
    return transport, client


def _check_user(context: Context) -> None:
    """Refuse a user credential that is not for a token of Entra for AKS. Raises ClusterRefused."""
    program: Any = context.user.get("exec")
    arguments = program.get("args") if isinstance(program, dict) else None
    if not isinstance(arguments, list):
        raise ClusterRefused(
            f"{context.source}: it has no user of Entra but a local account, which is an"
            " administrator's: az aks update --enable-aad --disable-local-accounts"
        )
    words = [each for each in arguments if isinstance(each, str)]
    server_id = dict(pairwise(words)).get("--server-id")
    if server_id != AKS_SCOPE.partition("/")[0]:
        raise ClusterRefused(
            f"{context.source}: its users are of an application of your own, which AKS no longer"
            " takes: az aks update --enable-aad moves it to the integration that AKS manages"
        )
