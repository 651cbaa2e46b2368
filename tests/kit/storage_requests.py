"""Requests to a storage account without an SDK, signed as the service's reference says.

https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
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
        signed = self.blob_headers(method, path, len(body), headers or {})
        return await self._send(self.emulator.blobs, method, path, body, signed)

    async def table(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send to the Table service."""
        signed = self.table_headers(method, path, headers or {})
        return await self._send(self.emulator.tables, method, path, body, signed)

    def blob_headers(
        self, method: str, path: str, length: int, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Return *headers* and those that sign a request with a body of *length* bytes."""
        sent = {"x-ms-date": DATE, "x-ms-version": "2021-08-06", **headers}
        own = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent) if name.startswith("x-ms-"))
        md5, content = sent.get("Content-MD5", ""), sent.get("Content-Type", "")
        if self.scheme == "SharedKeyLite":
            return self._signed(sent, f"{method}\n{md5}\n{content}\n\n{own}{_resource(path)}")
        names = ("If-Match", "If-None-Match", "If-Unmodified-Since", "Range")
        rest = "\n".join(sent.get(name, "") for name in names)
        where, _, query = path.partition("?")
        queried = "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(query)))
        heads = f"{method}\n\n\n{length or ''}\n{md5}\n{content}\n\n\n{rest}\n{own}"
        return self._signed(sent, f"{heads}/{ACCOUNT}/{ACCOUNT}{where}{queried}")

    def table_headers(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        sent = {"x-ms-date": DATE, "Accept": "application/json;odata=minimalmetadata", **headers}
        text = f"{DATE}\n{_resource(path)}"
        if self.scheme == "SharedKey":
            text = f"{method}\n\n{sent.get('Content-Type', '')}\n{text}"
        return self._signed(sent, text)

    def _signed(self, headers: Mapping[str, str], text: str) -> Mapping[str, str]:
        digest = hmac.digest(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        signature = base64.b64encode(digest).decode()
        authorization = f"{self.scheme} {ACCOUNT}:{signature}"
        return {"Authorization": authorization, **headers, **self.unsigned}

    async def _send(
        self, url: str, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        async with self.http.request(
            method,
            URL(url + path, encoded=True),
            data=BytesIO(body) if body else None,
            headers=headers,
            skip_auto_headers=["Content-Type"],
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())


def _resource(path: str) -> str:
    """Return the resource in the short form: of the query only `comp`."""
    where, _, query = path.partition("?")
    comp = dict(parse_qsl(query)).get("comp")
    return f"/{ACCOUNT}/{ACCOUNT}{where}" + (f"?comp={comp}" if comp else "")
