"""Signatures with an account's key, `SharedKey` and `SharedKeyLite`, of blobs and of tables.

https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key. The age of a
request is not checked: clients and endpoint are one machine.
"""

import base64
import binascii
import hashlib
import hmac
from enum import StrEnum
from typing import Final

from local_cloud.storage_endpoint.errors import StorageRefused
from local_cloud.storage_endpoint.requests import Call

_BLOB_HEADERS: Final = (
    "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
    "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
)  # fmt: skip
_LITE_HEADERS: Final = ("Content-MD5", "Content-Type", "Date")


class Scheme(StrEnum):
    FULL = "SharedKey"
    LITE = "SharedKeyLite"


class SharedKey:
    """Knows the key of an account and checks that a request was signed with it."""

    def __init__(self, account: str, key: str) -> None:
        """*key* is base64. Raises ValueError when it is not."""
        self.account = account
        try:
            self._key = base64.b64decode(key, validate=True)
        except binascii.Error as problem:
            msg = "the key of a storage account is base64"
            raise ValueError(msg) from problem

    def check(self, call: Call, scheme: Scheme, proof: str) -> None:
        """Raises StorageRefused unless *proof*, `<account>:<signature>`, is of *call*."""
        signed = blob_text(call, scheme) if call.service == "blob" else table_text(call, scheme)
        digest = hmac.digest(self._key, signed.encode(errors="surrogateescape"), hashlib.sha256)
        expected = f"{self.account}:{base64.b64encode(digest).decode()}"
        if not hmac.compare_digest(proof.encode(errors="replace"), expected.encode()):
            raise StorageRefused(
                403,
                "AuthenticationFailed",
                "Server failed to authenticate the request. Make sure the value of Authorization"
                " header is formed correctly including the signature.",
            )


def blob_text(call: Call, scheme: Scheme) -> str:
    """Return what the signature of a request for blobs is made of."""
    names = sorted({name.lower() for name in call.headers if name.lower().startswith("x-ms-")})
    own = "".join(f"{name}:{call.header(name)}\n" for name in names)
    if scheme is Scheme.LITE:
        values = [call.header(name) for name in _LITE_HEADERS]
        return "\n".join([call.method, *values, own]) + _resource(call)
    values = [call.header(name) for name in _BLOB_HEADERS]
    values[2] = "" if values[2] == "0" else values[2]
    queried = "".join(f"\n{name}:{value}" for name, value in sorted(call.query.items()))
    return "\n".join([call.method, *values, own]) + f"/{call.account}{call.raw_path}{queried}"


def table_text(call: Call, scheme: Scheme) -> str:
    """Return what the signature of a request for tables is made of."""
    date = call.header("x-ms-date") or call.header("Date")
    if scheme is Scheme.LITE:
        return f"{date}\n{_resource(call)}"
    values = (call.method, call.header("Content-MD5"), call.header("Content-Type"), date)
    return "\n".join(values) + f"\n{_resource(call)}"


def _resource(call: Call) -> str:
    comp = call.query.get("comp")
    return f"/{call.account}{call.raw_path}" + ("" if comp is None else f"?comp={comp}")
