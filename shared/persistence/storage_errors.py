"""Translates errors of the storage SDKs to the families of `shared.kernel.errors`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from shared.connections.retry_after import retry_after_s
from shared.kernel.errors import TooLarge, Unavailable
from shared.kernel.full_disk import reason_in
from shared.kernel.trust import untrusted_in

WITHIN_S: Final = 20.0
"""One call of an SDK, with its retries: an answer that comes in drops is none."""
_AWAY: Final = frozenset({401, 403, 404, 408, 409, 412, 429, 500, 502, 503, 504})
"""401: a token ended on the way. 403: a role assignment takes minutes to arrive. 404: the table or
container itself. 409: it is being deleted. 412: a blob was replaced while it was read."""
_OVERTAKEN: Final = "InvalidBlockList"
"""Another put of the same blob ended meanwhile, and with it the blocks of this one."""
_BUSY: Final = "ServerBusy"


class UnexpectedAnswer(Exception):
    """The service refused what an adapter sent: a defect of ours, or a wrong address."""


@asynccontextmanager
async def translated_errors(what: str, *, within_s: float = WITHIN_S) -> AsyncIterator[None]:
    """Raise the errors of `shared.kernel.errors` for those of the SDKs; *what* is asked for.

    Raises:
        Unavailable: throttled, away, or slower than *within_s*. What was asked may have been done.
        TooLarge: the service says so.
        UnexpectedAnswer: any other refusal.
    """
    from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415  heavy

    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError as slow:
        raise Unavailable(f"{what}: no answer within {within_s:g} s") from slow
    except HttpResponseError as failed:
        raise _error_for(what, failed) from failed
    except AzureError as away:
        cause = type(away.inner_exception or away).__name__
        raise Unavailable(f"{what} cannot be reached: {cause}{untrusted_in(away)}") from away


def code_of(failed: Any) -> str:
    """Return the code in an error of an SDK, such as `BlobNotFound`; empty where it has none."""
    code = getattr(failed, "error_code", None) or ""
    return str(getattr(code, "value", code))


def _error_for(what: str, failed: Any) -> Exception:
    status, code = failed.status_code, code_of(failed)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(f"{what}: more than the service takes at once")
    if status is None:  # no answer at all: a credential that gives no token, a body cut short
        return Unavailable(f"{what} cannot be reached: {type(failed).__name__}")
    headers = failed.response.headers if failed.response else {}
    if status in _AWAY or code == _OVERTAKEN or status < HTTPStatus.BAD_REQUEST:
        return Unavailable(
            f"{what}: the service answered {status} {code}".rstrip() + reason_in(failed),
            retry_after_s=retry_after_s(headers.get("Retry-After")),
            throttled=status == HTTPStatus.TOO_MANY_REQUESTS or code == _BUSY,
        )
    return UnexpectedAnswer(f"{what}: the service answered {status} {code}".rstrip())
