"""Translates errors of the Cosmos DB SDK to the families of `shared.kernel.errors`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from shared.connections.retry_after import retry_after_s
from shared.kernel.errors import TooLarge, Unavailable
from shared.kernel.full_disk import reason_in
from shared.kernel.trust import untrusted_in
from shared.persistence.query_rules import no_continuation
from shared.persistence.store import AnswerLost, BatchOperation, BatchRefused

WITHIN_S: Final = 20.0
"""One call of the SDK, with its retries: an answer that comes in drops is none."""
_REFUSED: Final = frozenset({404, 409, 412})
_AWAY: Final = frozenset({401, 403, 408, 410, 429, 449, 500, 502, 503, 504})
"""401: a token ended on the way. 403: a role assignment takes minutes to reach the data plane."""
_NO_ROLE: Final = 5301
_GRANTED_WITHIN_S: Final = 15.0
"""What an identity has no token or role for is asked again; a second is too soon."""
_UNKNOWN_EFFECT: Final = frozenset({408, 500, 502, 504})


@asynccontextmanager
async def translated_errors(
    continuation: str | None = None,
    batch: Sequence[BatchOperation] = (),
    *,
    within_s: float = WITHIN_S,
) -> AsyncIterator[None]:
    """Raise the errors of `shared.kernel.errors` for those of the SDK.

    Raises:
        Invalid: the SDK cannot go on from *continuation*.
        BatchRefused: an operation of *batch* failed; nothing took effect.
        AnswerLost: *batch* was sent, and may or may not have taken effect.
        Unavailable: throttled, away, or slower than *within_s*.
    """
    from aiohttp import ClientConnectorError  # noqa: PLC0415  heavy: where used
    from azure.core.exceptions import (  # noqa: PLC0415  heavy
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.cosmos.exceptions import (  # noqa: PLC0415  heavy
        CosmosBatchOperationError,
        CosmosClientTimeoutError,
    )

    try:
        async with asyncio.timeout(within_s):
            yield
    except (
        TimeoutError,
        ServiceRequestError,
        ServiceResponseError,
        CosmosClientTimeoutError,
    ) as away:
        cause = getattr(away, "inner_exception", None)
        if batch and not isinstance(cause, ClientConnectorError):
            raise AnswerLost("no answer came to a batch that was sent") from away
        reason = type(cause or away).__name__
        raise Unavailable(f"Cosmos DB cannot be reached: {reason}{untrusted_in(away)}") from away
    except CosmosBatchOperationError as failed:
        raise _refusal_of(failed, batch) from failed
    except ClientAuthenticationError as refused:
        raise Unavailable(
            f"this app's identity got no token for Cosmos DB ({type(refused).__name__};"
            " azure.identity logs why)",
            retry_after_s=_GRANTED_WITHIN_S,
        ) from refused
    except HttpResponseError as failed:
        error = _error_for(failed, continuation, batch)
        if error is None:
            raise
        raise error from failed
    except ValueError as problem:  # the SDK decodes those of a change feed
        if continuation is None:
            raise
        raise no_continuation(continuation) from problem


def _error_for(
    failed: Any, continuation: str | None, batch: Sequence[BatchOperation]
) -> Exception | None:
    """Return our error for the status of *failed*; None where that shows a defect."""
    status = failed.status_code
    # One that broke off has no status, or that of a good one.
    is_no_answer = status is None or status < HTTPStatus.BAD_REQUEST
    if batch and (is_no_answer or status in _UNKNOWN_EFFECT):
        return AnswerLost(f"a batch ended with status {status}")
    if is_no_answer:
        return Unavailable(f"Cosmos DB gave no whole answer: {type(failed).__name__}")
    if batch and status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge("the batch is over Cosmos DB's own limit")
    if continuation is not None and status == HTTPStatus.BAD_REQUEST:
        return no_continuation(continuation)
    if getattr(failed, "sub_status", None) == _NO_ROLE:
        return Unavailable(
            "Cosmos DB answered 403: this app's identity has not the role for it, or has it for"
            " minutes only",
            retry_after_s=_GRANTED_WITHIN_S,
        )
    asked_ms = (getattr(failed, "headers", None) or {}).get("x-ms-retry-after-ms")
    return _unavailable(failed, asked_ms) if status in _AWAY else None


def _unavailable(failed: Any, asked_ms: Any) -> Unavailable:
    return Unavailable(
        f"Cosmos DB answered {failed.status_code}{reason_in(failed)}",
        retry_after_s=retry_after_s(asked_ms or None, per_s=1000),
        throttled=failed.status_code == HTTPStatus.TOO_MANY_REQUESTS,
    )


def _refusal_of(failed: Any, operations: Sequence[BatchOperation]) -> Exception:
    """Return the error for a failed operation of a batch, of which nothing took effect."""
    status, index = int(failed.status_code), int(failed.error_index)
    if status in _REFUSED:
        return BatchRefused(status, index, operations[index].id)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(f"operation {index} is over Cosmos DB's own limit")
    if status not in _AWAY:
        raise failed
    responses = failed.operation_responses
    asked_ms = responses[index].get("retryAfterMilliseconds") if responses else None
    return _unavailable(failed, asked_ms)
