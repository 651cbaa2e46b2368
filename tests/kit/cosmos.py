"""The embedded Cosmos endpoint with the official SDK connected to it."""

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp

from local_cloud.cosmos_endpoint.authentication import MasterKey
from local_cloud.cosmos_endpoint.resource_address import address_of
from local_cloud.cosmos_endpoint.server import CosmosEndpoint
from local_cloud.storage import LocalStorage
from shared.kernel.clock import Clock
from shared.persistence.cosmos_account import CosmosAccount
from shared.persistence.cosmos_store import CosmosStore

KEY: Final = "bG9jYWwga2V5IG9mIHRoZSB0ZXN0cw=="


@dataclass
class Wire:
    endpoint: CosmosEndpoint
    account: CosmosAccount
    storage: LocalStorage

    def store(self) -> CosmosStore:
        """Return the container `runtime/deployments`, over the wire."""
        return CosmosStore(self.account, "runtime", "deployments")


@asynccontextmanager
async def wired(clock: Clock, folder: Path | None = None) -> AsyncIterator[Wire]:
    """Serve an account with the container `runtime/deployments`, and connect to it.

    It is in memory, or in *folder*.
    """
    storage = LocalStorage(folder or Path("/nowhere"), clock, in_memory=folder is None)
    endpoint = CosmosEndpoint(storage, 0, KEY)
    await endpoint.start()
    account = CosmosAccount(endpoint.url, key=KEY)
    try:
        await account.create("runtime", "deployments")
        yield Wire(endpoint, account, storage)
    finally:
        await account.close()
        await endpoint.stop()
        storage.close()


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


async def sent(
    wire: Wire, method: str, path: str, body: object = b"", link: str | None = None, **headers: str
) -> Answer:
    """Send one signed request as it is, a *body* that is no bytes as JSON.

    *link* is signed in place of the path's; `_` in the names of *headers* stands for `-`.
    """
    date = formatdate(usegmt=True)
    address = address_of(path)
    signature = MasterKey(KEY).sign(
        method, address.resource_type, address.link if link is None else link, date
    )
    signed = {
        "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe=""),
        "x-ms-date": date,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = wire.endpoint.url.rstrip("/") + path
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=io.BytesIO(data), headers=signed) as answer,
    ):
        return Answer(answer.status, answer.headers, await answer.text())
