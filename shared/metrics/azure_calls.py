"""Calls of Azure Monitor's clients: bounded in time and size, asked once, errors as one kind."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from shared.connections.trusted_transport import trusted_transport
from shared.kernel.clock import Clock
from shared.kernel.errors import Unavailable
from shared.kernel.trust import untrusted_in
from shared.metrics.clock_skew import check_clock
from shared.metrics.provider_client import BODY_MAX, TIMEOUT_S
from shared.metrics.throttle import THROTTLED, Throttle

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

Hook = Callable[[Any], None]
T = TypeVar("T")
_OK: Final = 200
_REFUSED: Final = frozenset({401, 403})
_WORDS_MAX: Final = 200


def client_options(ca_file: Path | None, body_max: int = BODY_MAX) -> Mapping[str, Any]:
    """Return what a client of Azure Monitor is made with.

    It asks once, as a throttled service says when to come again and a gate asks again anyway, and
    follows no redirect.
    """
    return {
        "transport": trusted_transport(ca_file, answer_max=body_max),
        "retry_total": 0,
        "permit_redirects": False,
    }


class Client(Protocol):
    """A client of one of Microsoft's SDKs."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=Client)


class AzureCalls(Generic[C]):
    """The calls to one service, by a client that is opened at the first of them. Close it."""

    def __init__(self, open_: Callable[[], C], clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        self._open = open_
        self._client: C | None = None
        self._clock = clock
        self._timeout_s = timeout_s
        self._throttle = Throttle(clock)

    async def close(self) -> None:
        """Close the connections; the next question opens others."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def call(self, ask: Callable[[C, Hook], Awaitable[T]]) -> T:
        """Return what *ask* does, which hands its hook to the SDK as `raw_response_hook`.

        Raises:
            Unavailable: there is no answer that may be believed; the message says why.
        """
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415  heavy

        self._throttle.check()
        answers: list[Any] = []

        def keep(response: Any) -> None:
            answers.append(response.http_response)

        sent_at = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._client is None:
                    self._client = self._open()
                answer = await ask(self._client, keep)
        except TimeoutError as problem:
            raise Unavailable(f"no answer within {self._timeout_s:g} s") from problem
        except HttpResponseError as problem:
            raise self._refusal(problem) from problem
        except AzureError as problem:
            reason = untrusted_in(problem) or f": {type(problem).__name__}"
            raise Unavailable(f"it cannot be reached{reason}") from problem
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            # The SDK takes the members of an answer, also of a refusal, as they come.
            status = answers[-1].status_code if answers else _OK
            said = "its answer is not of the documented form"
            raise Unavailable(said if status == _OK else f"it answered {status}") from problem
        check_clock(answers[-1].headers.get("Date"), sent_at, self._clock.now())
        return answer

    def _refusal(self, problem: "HttpResponseError") -> Unavailable:
        status = problem.status_code
        if status in THROTTLED:
            headers: Mapping[str, str] = getattr(problem.response, "headers", {})
            return self._throttle.pause(headers.get("Retry-After"))
        if status in _REFUSED:
            return Unavailable(f"it refuses our identity, or a token that has expired ({status})")
        if status == _OK:
            return Unavailable("its answer is not of the documented form")
        code = getattr(problem.error, "code", None) or type(problem).__name__
        return Unavailable(f"it answered {status}: {str(code)[:_WORDS_MAX]}")
