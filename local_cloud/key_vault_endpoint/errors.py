"""The error answers of Key Vault's REST protocol.

https://learn.microsoft.com/azure/key-vault/general/rest-error-codes and
https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil

from shared.kernel.errors import NotFound, Refused, Unavailable
from shared.vault.port import SecretDeleted, SecretDisabled


@dataclass(frozen=True)
class ErrorAnswer:
    """One error: `{"error": {"code", "message", "innererror": {"code"}}}` with a status."""

    status: int
    code: str
    message: str
    inner: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> Mapping[str, object]:
        inner = {} if self.inner is None else {"innererror": {"code": self.inner}}
        return {"error": {"code": self.code, "message": self.message, **inner}}


class VaultRefused(Exception):
    """A request that is answered by an error."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.message)
        self.answer = answer


def bad_parameter(message: str) -> VaultRefused:
    """Return the refusal of what no vault takes, or this endpoint cannot do."""
    return VaultRefused(ErrorAnswer(400, "BadParameter", message))


def answer_to(error: Refused | Unavailable) -> ErrorAnswer:
    """Return how Key Vault says *error*."""
    match error:
        case SecretDeleted():
            return ErrorAnswer(409, "Conflict", error.message, "ObjectIsDeletedButRecoverable")
        case SecretDisabled():
            return ErrorAnswer(403, "Forbidden", error.message, "SecretDisabled")
        case NotFound():
            return ErrorAnswer(404, "SecretNotFound", error.message)
        case Unavailable(throttled=True):
            headers = {"Retry-After": str(ceil(error.retry_after_s))}
            return ErrorAnswer(429, "Throttled", error.message, headers=headers)
        case Unavailable():
            return ErrorAnswer(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", error.message)
        case _:
            return ErrorAnswer(400, "BadParameter", error.message)
