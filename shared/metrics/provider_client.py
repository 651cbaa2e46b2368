"""Asks a provider over HTTP for a JSON object: bounded in time and size, without redirects."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json

from shared.connections.bounded_body import PLAIN, BodyTooLong, read_bounded
from shared.kernel.clock import Clock
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Unavailable
from shared.kernel.trust import trusting, untrusted_in
from shared.metrics.clock_skew import check_clock
from shared.metrics.credentials import Authorization, nobody
from shared.metrics.throttle import THROTTLED, Throttle

TIMEOUT_S: Final = 10.0
BODY_MAX: Final = 2 * 2**20
"""The pods of the largest namespace that is asked for have 500 KB."""
_OK: Final = 200
_REFUSED: Final = frozenset({401, 403})
_REDIRECTS: Final = range(300, 400)
_WORDS_MAX: Final = 200


@dataclass
class ProviderClient:
    """One provider at *url*. Each request has a connection of its own: they are rare."""

    url: str
    clock: Clock
    authorization: Authorization = nobody
    ca_file: Path | None = None
    timeout_s: float = TIMEOUT_S
    body_max: int = BODY_MAX
    _throttle: Throttle = field(init=False)
    _trust: ssl.SSLContext | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Begin unthrottled."""
        self._throttle = Throttle(self.clock)

    async def ask(
        self,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Return the JSON object at *path*: of a POST of *form*, without one of a GET.

        Raises:
            Unavailable: there is none that may be believed; the message says why.
        """
        self._throttle.check()
        try:
            async with asyncio.timeout(self.timeout_s):
                return json_object(await self._body(path, form, headers or {}))
        except TimeoutError as problem:
            raise Unavailable(f"no answer within {self.timeout_s:g} s") from problem
        except BodyTooLong as problem:
            raise Unavailable(f"its answer is longer than {self.body_max} bytes") from problem
        except OSError as problem:
            # Not its words, which have addresses: tenants read them in the evidence of a gate.
            cause = problem.__cause__ or problem
            reason = untrusted_in(problem) or f": {type(cause).__name__}"
            raise Unavailable(f"it cannot be reached{reason}") from problem

    async def _body(
        self, path: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> bytes:
        import aiohttp  # noqa: PLC0415  heavy: where used

        if self._trust is None:
            # Reads files: beside the loop.
            self._trust = await asyncio.to_thread(trusting, self.ca_file)
        shown = await self.authorization()
        authorized = {"Authorization": shown} if shown else {}
        sent_at = self.clock.now()
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(force_close=True, ssl=self._trust),
                    trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
                ) as session,
                session.request(
                    "GET" if form is None else "POST", f"{self.url.rstrip('/')}{path}",
                    data=form, allow_redirects=False,
                    headers={"Accept": "application/json", **PLAIN, **headers, **authorized},
                ) as answer,
            ):  # fmt: skip
                if answer.status in THROTTLED:
                    raise self._throttle.pause(answer.headers.get("Retry-After"))
                body = await read_bounded(answer, at_most=self.body_max)
                check_status(answer.status, body)
                check_clock(answer.headers.get("Date"), sent_at, self.clock.now())
                return body
        except aiohttp.ClientConnectorCertificateError as problem:
            raise problem.certificate_error from problem
        except aiohttp.ClientConnectorError as problem:
            raise problem.os_error from problem
        except (aiohttp.ClientError, ValueError) as problem:
            raise OSError(str(problem)[:_WORDS_MAX] or type(problem).__name__) from problem


def check_status(status: int, body: bytes) -> None:
    """Raises Unavailable: the answer is none to the question."""
    if status == _OK:
        return
    if status in _REFUSED:
        raise Unavailable(f"it refuses our token, which may have expired ({status})")
    if status in _REDIRECTS:
        raise Unavailable(f"it redirects ({status}), which is not followed")
    raise Unavailable(f"it answered {status}{_words(body)}")


def _words(body: bytes) -> str:
    """Return what the body of a refusal says, as Prometheus (`error`) and Kubernetes have it."""
    try:
        answer = json_object(body)
    except Unavailable:
        return ""
    words = answer.get("error") or answer.get("message")
    return f": {' '.join(words.split())[:_WORDS_MAX]}" if isinstance(words, str) else ""


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that *body* is. Raises Unavailable."""
    try:
        answer = from_json(body, allow_inf_nan=False)
    except ValueError as problem:
        raise Unavailable("its answer is not JSON") from problem
    if not isinstance(answer, dict):
        raise Unavailable("its answer is not a JSON object")
    return answer
