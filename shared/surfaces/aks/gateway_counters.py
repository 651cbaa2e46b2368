"""Counters of requests per revision, from the Envoy of a cluster's gateway.

Each port of a Service is a cluster there, named by `envoy_documents.backend`, and each answer names
the start of that Envoy, as the gateway of a local cluster does it.
"""

import re
from typing import Final

import aiohttp

from shared.connections import envoy_documents
from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.surfaces import envoy_counters
from shared.surfaces.aks.names import Installation, component_name
from shared.surfaces.aks.revisions import SERVICE_PORT
from shared.surfaces.spec import SurfaceComponent
from shared.surfaces.traffic import TrafficSample

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_BYTES_MAX: Final = 2 * 2**20
"""A revision has some 30 KiB, nearly all of it buckets of latency."""


@dataclass(frozen=True)
class GatewayCounters:
    """The counters at *url*, `http://…/stats/prometheus`."""

    url: str
    clock: Clock

    async def read(self, installation: Installation, component: SurfaceComponent) -> TrafficSample:
        """Return the counters of *component*'s revisions.

        Raises:
            Unavailable: there is no answer, or one that says not what it is of.
        """
        namespace = installation.namespace(component.environment, component.tenant)
        name = component_name(component.module)
        clusters = re.compile(envoy_documents.backend(namespace, f"{name}-r([0-9]+)", SERVICE_PORT))

        def revision_of(cluster: str) -> int | None:
            found = clusters.fullmatch(cluster)
            return int(found[1]) if found else None

        started, text = await self._get(envoy_counters.pattern(clusters.pattern))
        return TrafficSample(self.clock.now(), started, envoy_counters.read(text, revision_of))

    async def _get(self, pattern: str) -> tuple[str, str]:
        """Return the name of the Envoy's start, and its counters that match *pattern*."""
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=_TIMEOUT, headers=PLAIN, auto_decompress=False
                ) as session,
                session.get(self.url, params={"filter": pattern}, allow_redirects=False) as answer,
            ):
                body = await read_bounded(answer, at_most=_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError, BodyTooLong) as failed:
            raise Unavailable(f"the gateway's counters cannot be read: {failed!r}") from failed
        started = answer.headers.get(envoy_counters.STARTED_HEADER, "")
        if answer.status != 200 or not started:  # noqa: PLR2004  OK
            raise Unavailable(
                f"the gateway's counters cannot be read: {answer.status}, started as {started!r}"
            )
        return started, body.decode(errors="replace")
