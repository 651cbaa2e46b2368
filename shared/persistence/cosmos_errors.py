"""What the Cosmos DB SDK raises, in the families of `shared.kernel.errors`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from shared.kernel.errors import TooLarge, Unavailable
from shared.persistence.query_rules import no_continuation
from shared.persistence.store import BatchOperation, BatchRefused

_REFUSED: Final = frozenset({404, 409, 412})
_AWAY: Final = frozenset({403, 408, 410, 429, 449, 500, 502, 503, 504})
"""403: a role assignment takes minutes to reach the data plane."""


@asynccontextmanager
async def translated_errors(continuation: str | None = None) -> AsyncIterator[None]:
    """Turn what the SDK raises for throttling and absence into Unavailable.

    With a *continuation*, what it raises for one that it cannot go on from becomes Invalid.
    """
    from azure.core.exceptions import (  # noqa: PLC0415  heavy
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.cosmos.exceptions import CosmosClientTimeoutError  # noqa: PLC0415  heavy

    try:
        yield
    except (ServiceRequestError, ServiceResponseError, CosmosClientTimeoutError) as away:
        raise Unavailable(f"Cosmos DB cannot be reached: {away}") from away
    except HttpResponseError as failed:
        if failed.status_code == HTTPStatus.BAD_REQUEST and continuation is not None:
            raise no_continuation(continuation) from failed
        if failed.status_code not in _AWAY:
            raise
        raise _unavailable(failed.status_code, getattr(failed, "headers", None)) from failed
    except ValueError as problem:  # the SDK decodes those of a change feed
        if continuation is None:
            raise
        raise no_continuation(continuation) from problem


def never_connected(problem: Any) -> bool:
    from aiohttp import ClientConnectorError  # noqa: PLC0415  heavy: where used

    return isinstance(problem.inner_exception, ClientConnectorError)


def _unavailable(status: int | None, headers: Mapping[str, Any] | None) -> Unavailable:
    retry_after_ms = float((headers or {}).get("x-ms-retry-after-ms") or 1000)
    return Unavailable(
        f"Cosmos DB answered {status}",
        retry_after_s=retry_after_ms / 1000,
        throttled=status == HTTPStatus.TOO_MANY_REQUESTS,
    )


def refusal_of(failed: Any, operations: Sequence[BatchOperation]) -> BatchRefused | Unavailable:
    """Return what a failed operation of a batch means: nothing took effect."""
    status, index = int(failed.status_code), int(failed.error_index)
    if status in _REFUSED:
        return BatchRefused(status, index, operations[index].id)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        raise TooLarge(f"operation {index} is over Cosmos DB's own limit") from failed
    if status not in _AWAY:
        raise failed
    responses = failed.operation_responses
    retry_after_ms = responses[index].get("retryAfterMilliseconds") if responses else None
    return _unavailable(status, {"x-ms-retry-after-ms": retry_after_ms})
