"""A client of the REST API over one persistent connection; errors are raised as `Failure`.

Every write carries an `Idempotency-Key`, so a request whose response was lost can be repeated and
gets the response of the first one.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from cli.exit_codes import ExitCode, exit_code_of
from cli.failure import Detail, Failure
from cli.interruption import sending
from shared.kernel.entropy import Entropy, SystemEntropy

TIMEOUT_S: Final = 75.0
"""Longer than the longest poll, and than a front end waits for an app that starts."""
_OK_BELOW: Final = 400
_NOT_MODIFIED: Final = 304
PAGE_SIZE: Final = 200
_NOT_READABLE: Final = frozenset({ExitCode.NOT_FOUND, ExitCode.REFUSED})
"""There is no such service, or not for this caller."""


@dataclass(frozen=True)
class Response:
    """The response to one request; `body` is None without content."""

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
    def is_repeat(self) -> bool:
        """Return whether what was asked for was there already, so that nothing was begun."""
        return self.headers.get("repeatability-result") == "accepted"

    @property
    def operation(self) -> str | None:
        """Return the operation id in `Operation-Location`."""
        location = self.headers.get("operation-location")
        return location.rpartition("/")[2] if location else None


class HostUnreachable(Failure):
    """The host does not answer; it may be restarting."""


def query_of(next_link: str) -> Mapping[str, str | None]:
    """Return the query of a `nextLink`, of which only that is followed."""
    return dict(parse_qsl(urlsplit(next_link).query, keep_blank_values=True))


class Client:
    """Sends requests to one system with one token."""

    def __init__(self, url: str, token: str | None, entropy: Entropy | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._entropy = entropy or SystemEntropy()
        self._connection: http.client.HTTPConnection | None = None

    def get(
        self, path: str, query: Mapping[str, str | None] | None = None, *, etag: str | None = None
    ) -> Response:
        """Return the response; with *etag*, it `is_unchanged` if the resource has not changed.

        Raises:
            Failure: the response is an error. HostUnreachable: there is no response.
        """
        headers = {"If-None-Match": etag} if etag else {}
        return self._send("GET", path, query, headers, b"")

    def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str | None] | None = None,
    ) -> Response:
        """Send a command as JSON and return the response. Raises as `get`.

        One that only plans (`dryRun`) is nothing that an interruption leaves behind.
        """
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Idempotency-Key": self._entropy.uuid().hex}
        if content:
            headers["Content-Type"] = "application/json"
        if isinstance(body, dict) and body.get("dryRun"):
            return self._send(method, path, query, headers, content)
        return self._send_once(method, path, query, headers, content)

    def upload(self, path: str, content: bytes, media_type: str) -> Response:
        """Send bytes and return the response. Raises as `get`."""
        headers = {"Content-Type": media_type, "Idempotency-Key": self._entropy.uuid().hex}
        return self._send_once("POST", path, None, headers, content)

    def list_all(
        self, path: str, query: Mapping[str, str | None] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield every item of a collection, page by page. Raises as `get`.

        Of a page's `nextLink` only the query is followed: the token goes to no other address.
        """
        page_query: Mapping[str, str | None] = {"top": str(PAGE_SIZE), **(query or {})}
        while True:
            page = self.get(path, page_query).body
            yield from page["value"]
            next_link = page.get("nextLink")
            if next_link is None:
                return
            page_query = query_of(next_link)

    def list_readable(
        self, path: str, query: Mapping[str, str | None] | None = None
    ) -> Sequence[Mapping[str, Any]] | None:
        """Return every item of a collection; None where the caller may not read it.

        Raises as `get` what is otherwise wrong.
        """
        try:
            return [*self.list_all(path, query)]
        except Failure as failure:
            if failure.exit_code in _NOT_READABLE:
                return None
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None,
        headers: Mapping[str, str],
        content: bytes,
    ) -> Response:
        """Return the response to what may change something: until then nobody knows whether."""
        with sending(f"{method} {path}"):
            return self._send(method, path, query, headers, content)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | None] | None,
        headers: Mapping[str, str],
        content: bytes,
    ) -> Response:
        parameters = {name: value for name, value in (query or {}).items() if value is not None}
        target = quote(path) + (f"?{urlencode(parameters)}" if parameters else "")
        all_headers = {"Accept": "application/json", **headers}
        if self._token:
            all_headers["Authorization"] = f"Bearer {self._token}"
        return _raise_for_error(self._exchange(method, target, all_headers, content))

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes
    ) -> Response:
        # The server may have closed a reused connection, so that is tried once more with a new one.
        attempts = 1 if self._connection is None else 2
        while True:
            attempts -= 1
            try:
                return self._exchange_once(method, target, headers, content)
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if not attempts or isinstance(error, TimeoutError):
                    raise self._unreachable(error) from error

    def _exchange_once(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes
    ) -> Response:
        if self._connection is None:
            parts = urlsplit(self.url)
            is_https = parts.scheme == "https"
            connect = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
            self._connection = connect(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._connection.request(method, target, body=content or None, headers=dict(headers))
        response = self._connection.getresponse()
        body = response.read()
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, response_headers, _parse(body))

    def _unreachable(self, error: Exception) -> HostUnreachable:
        return HostUnreachable(
            f"no answer from {self.url}: {str(error) or type(error).__name__}",
            ExitCode.UNAVAILABLE,
            code="HostUnreachable",
        )


def _parse(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return None


def _raise_for_error(response: Response) -> Response:
    if response.status < _OK_BELOW:
        return response
    body = response.body if isinstance(response.body, dict) else {}
    error = body.get("error") or {}
    raise Failure(
        error.get("message") or f"the system answered {response.status} without a reason",
        exit_code_of(response.status),
        code=error.get("code", ""),
        details=[
            Detail(
                str(detail.get("target", "")),
                str(detail.get("message", "")),
                str(detail.get("expected") or ""),
                str(detail.get("received") or ""),
                str(detail.get("code") or ""),
            )
            for detail in error.get("details", ())
        ],
        trace_id=error.get("traceId") or response.headers.get("x-traceid", ""),
    )
