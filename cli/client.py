"""The REST API over one kept connection: JSON in and out, errors as `Failure`.

Every write carries an `Idempotency-Key`, so that a request whose answer was lost may be repeated:
the second one gets the first one's answer.
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from cli.exit_codes import ExitCode, exit_code_of
from cli.failure import Detail, Failure
from shared.kernel.entropy import Entropy, SystemEntropy

TIMEOUT_S: Final = 30.0
"""Longer than the longest poll."""
_OK_BELOW: Final = 400
_NOT_MODIFIED: Final = 304
PAGE: Final = 200


@dataclass(frozen=True)
class Reply:
    """What came back; `body` is None when there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def etag(self) -> str | None:
        return self.headers.get("etag")

    @property
    def is_unchanged(self) -> bool:
        return self.status == _NOT_MODIFIED

    @property
    def operation(self) -> str | None:
        """Return the id that `Operation-Location` names."""
        location = self.headers.get("operation-location")
        return location.rpartition("/")[2] if location else None


class HostAway(Failure):
    """Nobody answers at the address of the system; it may be restarting."""


class Client:
    """Requests to one system on behalf of one token."""

    def __init__(self, url: str, token: str | None, entropy: Entropy | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._entropy = entropy or SystemEntropy()
        self._connection: http.client.HTTPConnection | None = None

    def get(
        self, path: str, query: Mapping[str, str | None] | None = None, *, etag: str | None = None
    ) -> Reply:
        """Return the answer; with *etag*, one that `is_unchanged` when nothing changed.

        Raises:
            Failure: the answer is an error. HostAway: there is none.
        """
        headers = {"If-None-Match": etag} if etag else {}
        return self._send("GET", path, query, headers, b"")

    def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str | None] | None = None,
    ) -> Reply:
        """Send a command as JSON and return the answer. Raises as `get`."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Idempotency-Key": self._entropy.uuid().hex}
        if content:
            headers["Content-Type"] = "application/json"
        return self._send(method, path, query, headers, content)

    def upload(self, path: str, content: bytes, media_type: str) -> Reply:
        """Send bytes and return the answer. Raises as `get`."""
        headers = {"Content-Type": media_type, "Idempotency-Key": self._entropy.uuid().hex}
        return self._send("POST", path, None, headers, content)

    def each(
        self, path: str, query: Mapping[str, str | None] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield every item of a collection, page by page. Raises as `get`."""
        following: str | None = ""
        asked = {"top": str(PAGE), **(query or {})}
        while following is not None:
            more = dict(parse_qsl(following.lstrip("?")))
            page = self.get(path, {**asked, **more}).body
            yield from page["value"]
            following = page.get("nextLink")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None,
        headers: Mapping[str, str],
        content: bytes,
    ) -> Reply:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = quote(path) + (f"?{urlencode(given)}" if given else "")
        sent = {"Accept": "application/json", **headers}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        return _judged(self._exchange(method, target, sent, content))

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes
    ) -> Reply:
        is_kept = self._connection is not None
        try:
            return self._exchange_once(method, target, headers, content)
        except (http.client.HTTPException, OSError) as lost:
            self.close()
            # A kept connection may have been closed while nobody looked; a new one tells.
            if is_kept and not isinstance(lost, TimeoutError):
                try:
                    return self._exchange_once(method, target, headers, content)
                except (http.client.HTTPException, OSError) as again:
                    self.close()
                    raise self._away(again) from again
            raise self._away(lost) from lost

    def _exchange_once(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes
    ) -> Reply:
        if self._connection is None:
            parts = urlsplit(self.url)
            is_secure = parts.scheme == "https"
            kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
            self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._connection.request(method, target, body=content or None, headers=dict(headers))
        answer = self._connection.getresponse()
        read = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, told, _parsed(read))

    def _away(self, problem: Exception) -> HostAway:
        return HostAway(
            f"no answer from {self.url}: {str(problem) or type(problem).__name__}",
            ExitCode.UNAVAILABLE,
            code="HostAway",
        )


def _parsed(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return None


def _judged(reply: Reply) -> Reply:
    if reply.status < _OK_BELOW:
        return reply
    body = reply.body if isinstance(reply.body, dict) else {}
    error = body.get("error") or {}
    raise Failure(
        error.get("message") or f"the system answered {reply.status} without saying why",
        exit_code_of(reply.status),
        code=error.get("code", ""),
        details=[
            Detail(
                str(each.get("target", "")),
                str(each.get("message", "")),
                str(each.get("expected") or ""),
                str(each.get("received") or ""),
            )
            for each in error.get("details", ())
        ],
        trace_id=error.get("traceId") or reply.headers.get("x-traceid", ""),
    )
