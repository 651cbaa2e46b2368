"""Leases in a container of a Cosmos DB account, which all hosts of an app share.

A lease is a document that its holder renews, and that says until when it is held. Whoever finds it
later takes it under its etag, so two hosts follow one feed range at most for as long as one of them
does not know yet that it was taken for dead. The times are those of the real trigger, and shorter
where instances of one app on a machine are to go on for each other.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-cosmosdb-v2-trigger
"""

import asyncio
import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from local_host.cosmos_db.leases import LeaseLost
from local_host.cosmos_db.settings import FeedSettings
from shared.kernel.clock import Clock
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_errors import translated_errors

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

_log = logging.getLogger(__name__)
HELD_FOR_S: Final = 60.0
"""A lease that was not renewed for so long is anybody's."""
HELD_BESIDE_OTHERS_S: Final = 10.0
"""In a host that joins others. Each renewal is a write, so no shorter."""
_RENEWALS: Final = 3.5
"""In the time that a lease is held; 17 s in 60."""
_HELD_MAX_S: Final = HELD_FOR_S + 1.0
"""After the last renewal by the account's clock, which tells whole seconds: the clock of a host may
have been ahead by hours when it was killed."""
_NOBODY: Final = ""
_TAKEN: Final = frozenset({409, 412})


class AccountLeases:
    """The leases in the containers that triggers name."""

    def __init__(
        self,
        account: CosmosAccount,
        clock: Clock,
        entropy: Entropy,
        *,
        held_for_s: float = HELD_FOR_S,
    ) -> None:
        self._held_for_s = held_for_s
        self._account = account
        self._clock = clock
        self._owner = entropy.uuid().hex

    async def prepare(self) -> None:
        """Do nothing: lease containers are made with the account, or by the flag of a trigger."""

    async def take(self, feed: FeedSettings, feed_range: str) -> "AccountLease | None":
        """Return the lease, from now on renewed until it is released or lost.

        Raises:
            Unavailable: the account is away, or has no such lease container, and it may or can
                not be made.
        """
        document_id = _document_id(feed, feed_range)
        container = await self._account.container(feed.lease_database, feed.lease_container)
        try:
            stored = await _read(container, document_id)
        except _NoContainer as missing:
            if not feed.creates_leases:
                raise
            await self._create(feed, missing)
            stored = None
        if stored is not None and self._is_others(stored):
            return None
        known = stored or {"id": document_id, "continuation": None}
        lease = AccountLease(
            container, {**known, "owner": self._owner}, self._clock, self._held_for_s
        )
        try:
            await lease.write()
        except LeaseLost:  # another host was faster
            return None
        lease.begin_renewal()
        return lease

    async def _create(self, feed: FeedSettings, missing: "_NoContainer") -> None:
        try:
            await self._account.create_leases(feed.lease_database, feed.lease_container)
        except Unavailable as refused:
            # A role for data makes no containers: somebody else has to.
            raise Unavailable(
                f"{missing.message}; it could not be created: {refused.message}",
                retry_after_s=refused.retry_after_s,
            ) from refused

    def _is_others(self, document: dict[str, Any]) -> bool:
        if document["owner"] in (_NOBODY, self._owner):
            return False
        # One of a host of before this version has no end.
        until_s: float = min(document.get("heldUntil", 0.0), document["_ts"] + _HELD_MAX_S)
        return self._clock.now().timestamp() < until_s


class _NoContainer(Unavailable):
    """The lease container does not exist."""


class AccountLease:
    """One document, held."""

    def __init__(
        self,
        container: "ContainerProxy",
        document: dict[str, Any],
        clock: Clock,
        held_for_s: float,
    ) -> None:
        self._held_for_s = held_for_s
        self._container = container
        self._document = document
        self._clock = clock
        self._writing = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        self.is_lost = False

    @property
    def continuation(self) -> str | None:
        continuation: str | None = self._document["continuation"]
        return continuation

    async def move(self, continuation: str) -> None:
        await self.write(continuation=continuation)

    async def release(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        if not self.is_lost:
            with suppress(LeaseLost, Unavailable):
                await self.write(owner=_NOBODY)

    async def write(self, **changes: Any) -> None:
        """Write the document with *changes*, renewed. Raises LeaseLost and Unavailable."""
        async with self._writing:
            held_until = self._clock.now().timestamp() + self._held_for_s
            changed = {**self._document, **changes, "heldUntil": held_until}
            self._document = await self._replace(changed) or await self._replace_own(changed)

    async def _replace_own(self, changed: dict[str, Any]) -> dict[str, Any]:
        """Write over a document that is this host's still: a write of ours lost its answer."""
        stored = await _read(self._container, changed["id"])
        if stored is not None and stored["owner"] == self._document["owner"]:
            written = await self._replace({**changed, "_etag": stored["_etag"]})
            if written is not None:
                return written
        self.is_lost = True
        raise LeaseLost(changed["id"])

    async def _replace(self, changed: dict[str, Any]) -> dict[str, Any] | None:
        """Return the document as it is stored; None where another write came before."""
        from azure.core import MatchConditions  # noqa: PLC0415  heavy: where used
        from azure.cosmos.exceptions import CosmosHttpResponseError  # noqa: PLC0415  heavy

        async with translated_errors():
            try:
                if "_etag" not in changed:
                    return await self._container.create_item(changed, no_response=False)
                return await self._container.replace_item(
                    changed["id"],
                    changed,
                    etag=changed["_etag"],
                    match_condition=MatchConditions.IfNotModified,
                    no_response=False,
                )
            except CosmosHttpResponseError as failed:
                if failed.status_code not in _TAKEN:
                    raise
                return None

    def begin_renewal(self) -> None:
        self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._held_for_s / _RENEWALS)
            try:
                await self.write()
            except LeaseLost:
                return
            except Exception:  # noqa: BLE001  tried again, until another host takes the lease
                _log.exception("the lease %s was not renewed", self._document["id"])


async def _read(container: "ContainerProxy", document_id: str) -> dict[str, Any] | None:
    from azure.cosmos.exceptions import CosmosResourceNotFoundError  # noqa: PLC0415  heavy

    async with translated_errors():
        try:
            return await container.read_item(document_id, document_id)
        except CosmosResourceNotFoundError as absent:
            if absent.sub_status:
                raise _NoContainer(
                    f"the lease container {container.id} does not exist: create it with the"
                    " partition key /id"
                ) from absent
            return None


def _document_id(feed: FeedSettings, feed_range: str) -> str:
    """Return a valid id, the same for all hosts of the trigger."""
    return hashlib.sha256(f"{feed.lease}\n{feed_range}".encode()).hexdigest()
