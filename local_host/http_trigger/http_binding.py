"""The HTTP binding: a call becomes an `HttpRequest`, a result becomes an answer.

The rules of a result are the worker's and the host's (functions-host-protocol, section 2): a
string that is a JSON object with `body` is a whole response, other JSON is written again, None
with an http `$return` is an error.
"""

import json
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookies import CookieError, Morsel, SimpleCookie
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from azure.functions import HttpResponse
from azure.functions._http import HttpRequestHeaders
from azure.functions.http import HttpRequest

from local_host.http_trigger.response_heads import check_answer
from local_host.model import Binding, HttpAnswer, HttpCall, IndexedFunction

_TEXT: Final = (("content-type", "text/plain; charset=utf-8"),)
_JSON: Final = (("content-type", "application/json; charset=utf-8"),)
EMPTY_OK: Final = HttpAnswer(HTTPStatus.OK)


class ResultRefused(Exception):
    """The function's result is no HTTP response; the caller gets a 500."""


class Request(HttpRequest):
    """The library's request, its mappings made when they are first asked for.

    A function seldom reads all of headers, query and URL, and making them costs more than
    finding the route. What is not overridden here reads the attributes that the library's own
    constructor sets; a test holds every member to the library's.
    """

    def __init__(self, call: HttpCall, route_values: Mapping[str, str]) -> None:
        self._call = call
        self._headers: HttpRequestHeaders | None = None
        self._params: Mapping[str, str] | None = None
        self._route_values = MappingProxyType(route_values)
        self._HttpRequest__body_bytes = call.body
        self._HttpRequest__body_type = "bytes"
        self._HttpRequest__form_parsed = False

    @property
    def method(self) -> str:
        return self._call.method.upper()

    @property
    def url(self) -> str:
        query = f"?{self._call.query}" if self._call.query else ""
        return f"{self._call.origin}{self._call.path}{query}"

    @property
    def headers(self) -> HttpRequestHeaders:
        """Repeated names are one, their values joined with a comma."""
        if self._headers is None:
            self._headers = HttpRequestHeaders(_joined(self._call.headers))
        return self._headers

    @property
    def params(self) -> Mapping[str, str]:
        """Empty values are dropped, repeated ones joined with a comma."""
        if self._params is None:
            self._params = MappingProxyType(_joined(parse_qsl(self._call.query)))
        return self._params

    @property
    def route_params(self) -> Mapping[str, str]:
        return self._route_values


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def output_of(function: IndexedFunction) -> Binding | None:
    return function.of_type("http")


def answer(
    function: IndexedFunction, output: Binding | None, returned: Any, outputs: Mapping[str, Any]
) -> HttpAnswer:
    """Return the answer that a result means.

    Raises:
        ResultRefused: None with an http `$return`, a type that is no response, or a response
            that HTTP cannot carry.
    """
    if output is None:
        return EMPTY_OK
    if output.name != "$return":
        value = outputs.get(output.name)
        return EMPTY_OK if value is None else _answer(function, value)
    if returned is None:
        raise ResultRefused(
            f"function {function.name!r} returned None: return func.HttpResponse() for an empty 200"
        )
    return _answer(function, returned)


def _answer(function: IndexedFunction, value: Any) -> HttpAnswer:
    if isinstance(value, HttpResponse):
        return _checked(function, _from_response(value))
    if isinstance(value, str):
        return _checked(function, _from_text(value))
    raise ResultRefused(
        f"function {function.name!r} returned {type(value).__name__}: return func.HttpResponse"
        " or str"
    )


def _checked(function: IndexedFunction, made: HttpAnswer) -> HttpAnswer:
    """Return *made* if HTTP can carry it. Raises ResultRefused."""
    try:
        check_answer(made)
    except (ValueError, TypeError) as problem:
        raise ResultRefused(f"function {function.name!r} returned {problem}") from problem
    return made


def _from_response(response: HttpResponse) -> HttpAnswer:
    headers: list[tuple[str, str]] = []
    has_type = False
    if response.headers:
        for name, value in response.headers.items():
            lowered = name.lower()
            if lowered == "set-cookie":
                headers += [("set-cookie", cookie) for cookie in _cookies(value)]
            elif lowered not in _OF_THE_CONNECTION:
                has_type = has_type or lowered == "content-type"
                headers.append((lowered, value))
    if not has_type:
        kind = response.mimetype
        is_text = kind.startswith("text/")
        headers.append(("content-type", f"{kind}; charset={response.charset}" if is_text else kind))
    return HttpAnswer(response.status_code, headers, response.get_body())


_OF_THE_CONNECTION: Final = frozenset({"content-length", "transfer-encoding", "connection"})


def _cookies(text: str) -> list[str]:
    """Write each cookie anew, as the host does; what cannot be parsed is dropped.

    Raises:
        ResultRefused: `Expires` is no date.
    """
    try:
        parsed = SimpleCookie(text)
    except CookieError:
        return []
    return [_cookie(morsel) for morsel in parsed.values()]


def _cookie(morsel: "Morsel[str]") -> str:
    parts = [f"{morsel.key}={morsel.value}"]
    if morsel["expires"]:
        try:
            at = parsedate_to_datetime(morsel["expires"])
        except ValueError as problem:
            raise ResultRefused(
                f"cookie {morsel.key!r}: Expires is {morsel['expires']!r}, which is no date"
            ) from problem
        parts.append(f"expires={at:%a, %d %b %Y %H:%M:%S} GMT")
    if morsel["max-age"]:
        parts.append(f"max-age={morsel['max-age']}")
    # Domain and path are written even when they are empty.
    parts += [f"domain={morsel['domain']}", f"path={morsel['path']}"]
    if morsel["secure"]:
        parts.append("secure")
    if morsel["samesite"]:
        parts.append(f"samesite={morsel['samesite'].lower()}")
    if morsel["httponly"]:
        parts.append("httponly")
    return "; ".join(parts)


def _from_text(text: str) -> HttpAnswer:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return HttpAnswer(HTTPStatus.OK, _TEXT, text.encode())
    if isinstance(content, dict) and "body" in content:
        return _from_object(content)
    if isinstance(content, str):
        return HttpAnswer(HTTPStatus.OK, _TEXT, content.encode())
    return HttpAnswer(HTTPStatus.OK, _JSON, json.dumps(content, indent=2).encode())


def _from_object(content: Mapping[str, Any]) -> HttpAnswer:
    body = content["body"]
    status = _status(content.get("status", content.get("statusCode", HTTPStatus.OK)))
    given = content.get("headers")
    headers = [
        (str(name).lower(), str(value))
        for name, value in (given.items() if isinstance(given, dict) else ())
    ]
    is_text = isinstance(body, str)
    if not any(name == "content-type" for name, _ in headers):
        headers += _TEXT if is_text else _JSON
    if body is None:
        return HttpAnswer(status, headers)
    return HttpAnswer(status, headers, (body if is_text else json.dumps(body, indent=2)).encode())


def _status(given: Any) -> int:
    try:
        return int(given)
    except (TypeError, ValueError) as problem:
        raise ResultRefused(f"status {str(given)[:80]!r} is no number: write 200, say") from problem
