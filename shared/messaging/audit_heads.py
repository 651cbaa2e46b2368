"""Heads of the audit chains of all services, anchored in blobs apart from the table of the chains.

`<tenant>/<year>/<sequence>-<time>.json` has the head of each service's chain of one tenant; it is
the content of the file of `runtimectl audit verify --heads`. A blob is written once and never
changed. A head is anchored only when its chain leads to it from the head that was anchored before:
so the newest blob stands for all, and a chain that somebody made anew is never anchored.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, field
from datetime import datetime
from typing import Any, Final

from shared.contracts.events import BUILT
from shared.contracts.values import TenantId
from shared.kernel.clock import isoformat, parse_instant
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import UNREADABLE, Unavailable
from shared.messaging.audit import AuditTrail, Head
from shared.persistence.blobs import Blobs
from shared.persistence.tables import Table

_FIRST_YEAR: Final = 2026
"""Heads are anchored since then: no blob is older."""
YEARS_KEPT: Final = 7
"""At least: the heads of a year are deleted together, once all are older."""
PAGES_MAX: Final = 10
"""Pages of 1,000 records that one run follows of a chain; the next goes on from there."""
BYTES_MAX: Final = 64 * 1024
DELETED_MAX: Final = 1000
_RETRY_S: Final = 60.0
_HASH: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class AnchoredHeads:
    """The heads of one tenant's chains at a time, by the service as outside Python."""

    tenant: TenantId
    sequence: int = 0
    """Counts from 1; 0 where none were anchored yet."""
    at: str | None = None
    heads: Mapping[str, Head] = field(default_factory=dict)


@dataclass(frozen=True)
class HeadAnchors:
    """The anchors of the chains in *table*, in a container of their own."""

    table: Table
    blobs: Blobs

    async def tenants(self) -> Sequence[TenantId]:
        """Return every tenant that has a chain."""
        trail = AuditTrail(self.table, "")
        return [TenantId(each) async for each in trail.tenants()]

    async def newest(self, tenant: TenantId, now: datetime) -> AnchoredHeads:
        """Return what was anchored last of *tenant*.

        Raises:
            Unavailable: the blobs are away, or the newest has no heads: until a person has looked
                at it, nothing is compared with them and none are anchored.
        """
        for year in range(now.year, _FIRST_YEAR - 1, -1):
            stored = await self.blobs.list_stored(_folder(tenant, year))
            if stored:
                return await self._read(tenant, max(each.name for each in stored))
        return AnchoredHeads(tenant)

    def trails(self) -> Mapping[str, AuditTrail]:
        """Return the trail of each service, by its name as outside Python."""
        return {each.public_name: AuditTrail(self.table, each.value) for each in sorted(BUILT)}

    async def anchor(
        self, before: AnchoredHeads, heads: Mapping[str, Head], now: datetime
    ) -> AnchoredHeads:
        """Write *heads*, those of now, behind *before*; nothing where none is another one.

        A run that is killed has written all or nothing; two at once write the same chain twice.
        """
        if heads == before.heads:
            return before
        after = AnchoredHeads(before.tenant, before.sequence + 1, isoformat(now), heads)
        name = f"{_folder(after.tenant, now.year)}{after.sequence:08d}-{now:%Y%m%dT%H%M%SZ}.json"
        await self.blobs.put(name, _content(after))
        return after

    async def delete_old(self, newest: AnchoredHeads, now: datetime) -> None:
        """Delete what was anchored in the last year of which nothing is kept; never *newest*."""
        kept_from = now.year - YEARS_KEPT
        if newest.at is None or parse_instant(newest.at).year < kept_from:
            return
        stored = await self.blobs.list_stored(_folder(newest.tenant, kept_from - 1))
        for each in stored[:DELETED_MAX]:
            await self.blobs.delete(each.name)

    async def _read(self, tenant: TenantId, name: str) -> AnchoredHeads:
        text = bytearray()
        async for chunk in await self.blobs.open(name):
            text += chunk
            if len(text) > BYTES_MAX:
                raise _no_heads(name)
        try:
            return _anchored(json.loads(text), tenant)
        except UNREADABLE as wrong:
            raise _no_heads(name) from wrong


async def sealed_until(trail: AuditTrail, tenant: TenantId, head: Head) -> Head:
    """Return how far the chain of *trail* is sealed behind *head*, as far as one run goes.

    Raises:
        ChainBroken: it does not lead on from *head*.
    """
    for _ in range(PAGES_MAX):
        before, head = head, await trail.follow(tenant, head)
        if head == before:
            break
    return head


def _no_heads(name: str) -> Unavailable:
    return Unavailable(f"the blob {name} has no heads of audit records", retry_after_s=_RETRY_S)


def _folder(tenant: TenantId, year: int) -> str:
    return f"{tenant}/{year:04d}/"


async def _content(anchored: AnchoredHeads) -> AsyncIterator[bytes]:
    yield json.dumps(asdict(anchored), indent=2).encode() + b"\n"


def _anchored(content: Any, tenant: TenantId) -> AnchoredHeads:
    if content["tenant"] != tenant:
        raise ValueError("it is of another tenant")
    heads = {
        str(service): Head(int(head["number"]), str(head["hash"]))
        for service, head in content["heads"].items()
    }
    if any(head.number < 1 or not _HASH.fullmatch(head.hash) for head in heads.values()):
        raise ValueError("it has a head that no chain has")
    sequence, at = int(content["sequence"]), str(content["at"])
    parse_instant(at)
    if sequence < 1:
        raise ValueError("it is none in a sequence")
    return AnchoredHeads(tenant, sequence, at, heads)
