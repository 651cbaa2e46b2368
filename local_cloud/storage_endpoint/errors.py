"""The refusals of Azure Storage, and how kernel errors are said in its words.

https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2. How an error is
written differs: XML for blobs, JSON for tables; each service renders its own.
"""

from collections.abc import Mapping
from math import ceil

from shared.kernel.errors import Denied, NotFound, Refused, TooLarge, Unauthenticated, Unavailable


class StorageRefused(Exception):
    """A request that is answered by an error: a status, Azure's code and a sentence."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def not_implemented(what: str) -> StorageRefused:
    """Return the refusal of what Azure has and this endpoint has not."""
    return StorageRefused(501, "NotImplemented", f"the local cloud does not serve {what}")


def invalid(message: str, code: str = "InvalidInput") -> StorageRefused:
    return StorageRefused(400, code, message)


def refusal_for(error: Refused | Unavailable) -> StorageRefused:
    """Return how Azure Storage says *error*."""
    match error:
        case Unauthenticated():
            return StorageRefused(401, "InvalidAuthenticationInfo", error.message)
        case Denied():
            return StorageRefused(403, "AuthorizationPermissionMismatch", error.message)
        case NotFound():
            return StorageRefused(404, "ResourceNotFound", error.message)
        case TooLarge():
            return StorageRefused(413, "RequestBodyTooLarge", error.message)
        case Unavailable():
            headers = {"Retry-After": str(ceil(error.retry_after_s))}
            return StorageRefused(503, "ServerBusy", error.message, headers)
        case _:
            return invalid(error.message)
