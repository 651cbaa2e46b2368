"""A signed request to somebody else's service, at an address that the guard has checked, bounded.

The service proves by the signature who asks: `sha256=` and the HMAC-SHA256 in hex of
`<timestamp>.<body>`, both in headers.
"""

import asyncio
import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.connections.bounded_body import read_bounded
from shared.kernel.clock import Clock, isoformat
from shared.probing.guard import Network, Resolve, resolve_destination
from shared.probing.guarded_request import answer_of

TIMESTAMP: Final = "X-Runtime-Timestamp"
SIGNATURE: Final = "X-Runtime-Signature"
ANSWER_MAX_BYTES: Final = 64 * 1024


async def post_signed(
    url: str,
    content: Mapping[str, Any],
    request_id: str,
    *,
    key: str,
    clock: Clock,
    within_s: float,
    resolve: Resolve,
    owned: Sequence[Network] = (),
    named: Sequence[Network] = (),
    trust: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """Return status and body of the answer to *content*, signed with *key*.

    *owned* and *named* are ranges that the guard lets literal addresses and names lead to.

    Raises:
        Forbidden: no request goes to this URL.
        OSError: no answer, or a longer one.
        TimeoutError: none in *within_s*.
    """
    body = json.dumps(content).encode()
    timestamp = isoformat(clock.now())
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": request_id,
        TIMESTAMP: timestamp,
        SIGNATURE: signature(key, timestamp, body),
    }
    async with asyncio.timeout(within_s):
        destination = await resolve_destination(url, owned=owned, named=named, resolve=resolve)
        async with answer_of(
            "POST", destination, headers=headers, body=body, trust=trust
        ) as response:
            return response.status, await read_bounded(response, at_most=ANSWER_MAX_BYTES)


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a request, as its receiver computes it."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
