"""Values that somebody else's service makes: asked for by a signed request, which the guard checks.

The service proves by the signature who asks, and answers a repeat by its id with the same value.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict, Invalid, Unavailable
from shared.probing.guard import Forbidden, Network, Resolve, resolve_by_system
from shared.probing.signed_request import post_signed
from shared.vault.port import SecretValue

TIMEOUT_S: Final = 20.0
_AGAIN: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


class WebhookDenied(Invalid):
    """No request goes to this URL."""


class WebhookRefused(Conflict):
    """The service does not make a value, or answers with none."""


@dataclass(frozen=True)
class ValueRequest:
    """What a service is asked for. The same *request_id* is answered by the same value."""

    request_id: str
    environment_id: str
    secret_name: str


class ValueWebhooks(Protocol):
    """Services that make values of secrets."""

    async def new_value(self, url: str, key: SecretValue, request: ValueRequest) -> SecretValue:
        """Return the value that the service at *url* makes; the request is signed with *key*.

        No error has a value in it.

        Raises:
            WebhookDenied: no request goes there.
            WebhookRefused: it answers otherwise than with a value.
            Unavailable: it is away, late, or says so.
        """
        ...


class SignedWebhooks:
    """The port over https. *owned* are address ranges that are reached by http too, in tests."""

    def __init__(
        self, clock: Clock, *, owned: Sequence[Network] = (), resolve: Resolve = resolve_by_system
    ) -> None:
        self._clock = clock
        self._owned = owned
        self._resolve = resolve

    async def new_value(self, url: str, key: SecretValue, request: ValueRequest) -> SecretValue:
        if not url.startswith("https://") and not self._owned:
            raise WebhookDenied("a webhook is asked by https only", target="/generator/settings")
        content = {
            "requestId": request.request_id,
            "environmentId": request.environment_id,
            "secretName": request.secret_name,
        }
        try:
            status, answer = await post_signed(
                url,
                content,
                request.request_id,
                key=key.reveal(),
                clock=self._clock,
                within_s=TIMEOUT_S,
                resolve=self._resolve,
                owned=self._owned,
            )
        except Forbidden as denied:
            raise WebhookDenied(str(denied), target="/generator/settings") from denied
        except (OSError, TimeoutError) as away:
            raise Unavailable(f"the webhook is away: {type(away).__name__}") from away
        return _value(status, answer)


def _value(status: int, answer: bytes) -> SecretValue:
    """Return the value in an answer. The answer stands in no error: it may be one."""
    if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unavailable(f"the webhook answered {status}")
    if status != HTTPStatus.OK:
        raise WebhookRefused(f"the webhook answered {status}: expected 200 with a value")
    try:
        found: Any = json.loads(answer)
    except ValueError:
        found = None
    value = found.get("value") if isinstance(found, dict) else None
    if not isinstance(value, str) or not value:
        raise WebhookRefused('the webhook answered otherwise than {"value": "…"}')
    return SecretValue(value)
