"""Requests to a storage account without an SDK, signed as the service's reference says.

https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import ClientSession
from yarl import URL

from tests.kit.storage_accounts import ACCOUNT, KEY, Emulator

DATE = "Sat, 28 Nov 2026 19:00:00 GMT"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self.headers.get("x-ms-error-code", "")


@dataclass(frozen=True)
class Requests:
    """Sends to one emulator; *key* signs, by `SharedKey` or `SharedKeyLite`."""

    emulator: Emulator
    http: ClientSession
    key: str = KEY
    scheme: str = "SharedKey"
    unsigned: Mapping[str, str] = field(default_factory=dict)
    """Headers that are added after the signature."""

    async def blob(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send to the Blob service; *path* begins behind the account and is encoded."""
        sent = {"x-ms-date": DATE, "x-ms-version": "2021-08-06", **(headers or {})}
        own = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent) if name.startswith("x-ms-"))
        if self.scheme == "SharedKeyLite":
            text = f"{method}\n\n{sent.get('Content-Type', '')}\n\n{own}{_resource(path)}"
        else:
            length = str(len(body)) if body else ""
            names = ("If-Match", "If-None-Match", "If-Unmodified-Since", "Range")
            rest = "\n".join(sent.get(name, "") for name in names)
            where, _, query = path.partition("?")
            queried = "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(query)))
            md5, content = sent.get("Content-MD5", ""), sent.get("Content-Type", "")
            heads = f"{method}\n\n\n{length}\n{md5}\n{content}\n\n\n{rest}\n{own}"
            text = f"{heads}/{ACCOUNT}/{ACCOUNT}{where}{queried}"
        return await self._send(self.emulator.blobs, method, path, body, sent, text)

    async def table(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send to the Table service."""
        accept = "application/json;odata=minimalmetadata"
        sent = {
            "x-ms-date": DATE,
            "Accept": accept,
            "x-ms-version": "2019-02-02",
            **(headers or {}),
        }
        text = f"{DATE}\n{_resource(path)}"
        if self.scheme == "SharedKey":
            text = f"{method}\n\n{sent.get('Content-Type', '')}\n{text}"
        return await self._send(self.emulator.tables, method, path, body, sent, text)

    async def _send(
        self, url: str, method: str, path: str, body: bytes, headers: Mapping[str, str], text: str
    ) -> Answer:
        digest = hmac.digest(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        signature = base64.b64encode(digest).decode()
        signed = {"Authorization": f"{self.scheme} {ACCOUNT}:{signature}", **headers}
        async with self.http.request(
            method,
            URL(url + path, encoded=True),
            data=body or None,
            headers={**signed, **self.unsigned},
            skip_auto_headers=["Content-Type"],
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())


def _resource(path: str) -> str:
    """Return the resource in the short form: of the query only `comp`."""
    where, _, query = path.partition("?")
    comp = dict(parse_qsl(query)).get("comp")
    return f"/{ACCOUNT}/{ACCOUNT}{where}" + (f"?comp={comp}" if comp else "")
