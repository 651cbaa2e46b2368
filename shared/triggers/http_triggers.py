"""Binds a route table to Azure Functions: one function a route, the checks once for every service.

Order of the checks: token and tenant, the tenant's rate, the scope of the route, the ids in the
path, the query, the body, then the handler. Each answer carries the trace and correlation ids of
its request.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

import azure.durable_functions as df
import azure.functions as func
from pydantic import BaseModel

from shared.composition.service import Service
from shared.contracts.validation import parse
from shared.kernel.context import (
    UNKEYED_TTL,
    Cause,
    Context,
    Scope,
    idempotency_marker,
    request_marker,
)
from shared.kernel.entropy import Entropy
from shared.kernel.errors import (
    Denied,
    Invalid,
    LengthRequired,
    TooLarge,
    UnsupportedMedia,
    Violation,
)
from shared.kernel.ids import TenantId, correlation_id, parse_id, trace_id
from shared.telemetry.names import (
    CORRELATION,
    ENVIRONMENT,
    METHOD,
    OPERATION,
    REQUEST,
    ROUTE,
    STATUS,
    TENANT,
)
from shared.telemetry.trace_context import host_parent, read_traceparent
from shared.telemetry.work import Value, current
from shared.triggers.durable_triggers import bind_function
from shared.web.problem import render
from shared.web.request import Answer, Request, entity_tags
from shared.web.routes import Route

_IDEMPOTENCY_KEY_MAX: Final = 128
_QUERY_MAX: Final = 50
_LINKS: Final = frozenset({"Location", "Operation-Location", "Azure-AsyncOperation"})
"""Absolute on the wire: pollers of azure-core request them unchanged."""
_FORWARDED: Final = re.compile(r"(?:trace|corr)-[0-9A-Za-z-]{1,64}")
"""The form that the envelope accepts; another id is replaced by a new one."""
_ID_KINDS: Final = {
    "environmentId": "env",
    "deploymentId": "dep",
    "serviceId": "svc",
    "operationId": "op",
}
"""A malformed id in a path names nothing: 404, before the handler runs."""
_log = logging.getLogger(__name__)


def bind_routes(
    blueprint: df.Blueprint, routes: Sequence[Route], app: Any, service: Service
) -> None:
    """Register one HTTP function for each of *routes*; its name carries the service's."""
    for route in routes:
        _bind(blueprint, route, app, service)


def _bind(blueprint: df.Blueprint, route: Route, app: Any, service: Service) -> None:
    async def run(
        req: func.HttpRequest, client: df.DurableOrchestrationClient
    ) -> func.HttpResponse:
        service.hub.attach(client)
        return await serve(route, req, app, service)

    async def check_head(req: func.HttpRequest) -> func.HttpResponse | None:
        return await refusal_of_head(route, req, service)

    # Asked by the embedded host before it reads a long body.
    run.check_head = check_head  # type: ignore[attr-defined]
    trigger = blueprint.route(
        route=route.template,
        methods=[route.method],
        auth_level=func.AuthLevel.ANONYMOUS,
        trigger_arg_name="req",
    )
    name = f"{service.name}_{route.operation_name}"
    bind_function(blueprint, name, trigger, run, service.telemetry)


async def serve(
    route: Route, req: func.HttpRequest, app: Any, service: Service
) -> func.HttpResponse:
    """Answer one request; nothing is raised."""
    headers = req.headers
    trace = _trace(headers, service.entropy)
    correlation = _forwarded_id(headers.get("x-correlation-id"), "corr-") or correlation_id(
        service.entropy
    )
    attributes: dict[str, Value] = {
        METHOD: route.method,
        ROUTE: route.template,
        CORRELATION: correlation,
    }
    name, parent = f"{route.method} {route.template}", headers.get("traceparent", "")
    with service.telemetry.span(REQUEST, name, trace, attributes, parent=parent) as span:
        try:
            answer = await _answer(route, req, app, service, trace, correlation)
        except Exception as problem:  # noqa: BLE001  rendered once, for every family
            span.failed(problem)
            answer = render(problem, trace, headers.get("accept", ""))
            if answer.status == 500:  # noqa: PLR2004
                _log.exception("%s %s failed, trace %s", route.method, req.url, trace)
        span.set(STATUS, answer.status)
        if operation := answer.headers.get("Operation-Location"):
            span.set(OPERATION, operation.rpartition("/")[2])
    return _response(answer, req.url, trace, correlation)


async def refusal_of_head(
    route: Route, req: func.HttpRequest, service: Service
) -> func.HttpResponse | None:
    """Return the answer to a request that needs not be read whole to be refused, or None."""
    headers = req.headers
    trace = _trace(headers, service.entropy)
    try:
        scope = await _scope(route, headers, service, is_counted=False)
        size = int(headers.get("content-length", route.body_max_bytes))
        _require_size(size, route)
        # What anybody may send counts for what it is sent to, not for all who send there.
        service.rates.take_body(scope.tenant or urlsplit(req.url).path, size)
    except Exception as problem:  # noqa: BLE001  rendered once, for every family
        answer = render(problem, trace, headers.get("accept", ""))
        return _response(answer, req.url, trace, correlation_id(service.entropy))
    return None


async def _answer(
    route: Route, req: func.HttpRequest, app: Any, service: Service, trace: str, correlation: str
) -> Answer:
    headers = req.headers
    scope = await _scope(route, headers, service)
    current().set(TENANT, scope.tenant or None)
    for name, kind in _ID_KINDS.items():
        if name in req.route_params:
            named = parse_id(req.route_params[name], kind)
            current().set(ENVIRONMENT, f"env-{named.environment}")
    if route.method == "GET":
        return await _handled(route, req, app, service, scope, trace, correlation)
    async with service.write_turns.turn(scope.tenant):
        return await _handled(route, req, app, service, scope, trace, correlation)


async def _handled(
    route: Route,
    req: func.HttpRequest,
    app: Any,
    service: Service,
    scope: Scope,
    trace: str,
    correlation: str,
) -> Answer:
    headers = req.headers
    content = req.get_body()
    query = _query(route, req.url)
    body = _body(route, content, headers)
    current().set(ENVIRONMENT, getattr(body, "environment_id", None))
    cause = Cause(
        actor=scope.caller,
        kind="request",
        reference=f"{route.method} {route.template}",
        trace_id=trace,
        correlation_id=correlation,
    )
    if route.method != "GET":
        cause = _committing(cause, route, req, service.entropy)
    request: Request[Any] = Request(
        body=body,
        ctx=Context(scope, cause, service.clock, service.entropy),
        url=req.url.partition("?")[0],
        path=dict(req.route_params),
        query=query,
        if_none_match=headers.get("if-none-match"),
        signature=headers.get("x-hub-signature-256", ""),
        content=content if route.takes_bytes else b"",
        token=headers.get("authorization", "").partition(" ")[2],
    )
    answer = await route.handler(request, app)
    is_known = answer.etag is not None and request.has_known(answer.etag)
    if route.method == "GET" and answer.status == 200 and is_known and not answer.is_composite:  # noqa: PLR2004
        return Answer(304, None, answer.headers)
    return answer


async def _scope(
    route: Route, headers: Mapping[str, str], service: Service, *, is_counted: bool = True
) -> Scope:
    authorization = headers.get("authorization")
    if route.permission is None and authorization is None:
        return Scope(TenantId(""), "anonymous")
    if route.permission is None:
        return await service.authenticator.authenticate(authorization, None)
    scope = await service.authenticator.authenticate(authorization, headers.get("x-tenant-id"))
    if is_counted:
        is_write = route.method != "GET"
        service.rates.take(scope.tenant, is_write=is_write, is_follow=route.is_followed)
    if scope.workload is not None and not route.is_followed:
        raise Denied("a workload may ask for its own configuration only", code="ScopeMissing")
    if not scope.allows(route.permission):
        raise Denied(f"this call needs the scope {route.permission}", code="ScopeMissing")
    return scope


def _body(route: Route, content: bytes, headers: Mapping[str, str]) -> BaseModel | None:
    if not content and headers.get("transfer-encoding"):
        # Azure's host drops a body whose length was not announced: it must not count as none.
        raise LengthRequired("the body came without its length: send Content-Length")
    _require_size(len(content), route)
    if route.body is None:
        if not route.takes_bytes and content.strip() not in {b"", b"{}"}:
            raise Invalid("this call takes no body", code="UnexpectedBody", target="")
        return None
    if not content and route.optional_body:
        return parse(route.body, b"{}")
    media = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia(f"expected application/json, got {media[:60]!r}")
    return parse(route.body, content)


def _require_size(size: int, route: Route) -> None:
    if size > route.body_max_bytes:
        raise TooLarge(f"the body is {size} bytes; at most {route.body_max_bytes} are taken")


def _query(route: Route, url: str) -> Mapping[str, str]:
    try:
        given = parse_qs(urlsplit(url).query, keep_blank_values=True, max_num_fields=_QUERY_MAX)
    except ValueError as problem:
        raise Invalid(f"expected at most {_QUERY_MAX} query parameters, got more") from problem
    unknown = sorted(set(given) - set(route.query))
    if unknown:
        expected = ", ".join(route.query) or "none"
        raise Invalid(
            f"unknown query parameter {unknown[0][:40]!r}; known: {expected}",
            code="UnknownParameter",
            target=unknown[0][:40],
            details=[
                Violation("UnknownParameter", name[:40], "unknown", expected, name[:40])
                for name in unknown
            ],
        )
    twice = next((name for name, values in given.items() if len(values) > 1), None)
    if twice is not None:
        raise Invalid(
            f"query parameter {twice} is given twice",
            code="RepeatedParameter",
            target=twice,
            details=[
                Violation("RepeatedParameter", twice, "given twice", "one value", "several values")
            ],
        )
    return {name: values[0] for name, values in given.items()}


def _committing(cause: Cause, route: Route, req: func.HttpRequest, entropy: Entropy) -> Cause:
    """Return *cause* with its marker, and with the etags and the content that it expects."""
    expected, excluded = req.headers.get("if-match"), req.headers.get("if-none-match")
    if expected is not None:
        cause = replace(cause, if_match=entity_tags("If-Match", expected))
    if excluded is not None:
        # Compared weakly (RFC 9110, 13.1.2): the etags of the store are strong.
        tags = [tag.removeprefix("W/") for tag in entity_tags("If-None-Match", excluded)]
        cause = replace(cause, if_none_match=tuple(tags))
    key = req.headers.get("idempotency-key")
    if key is None:
        marker = request_marker(entropy)
        return replace(cause, marker=marker, marker_ttl=UNKEYED_TTL)
    if not 1 <= len(key) <= _IDEMPOTENCY_KEY_MAX or not key.isprintable():
        raise Invalid(
            f"Idempotency-Key: expected 1 to {_IDEMPOTENCY_KEY_MAX} printable characters",
            target="Idempotency-Key",
        )
    named = "&".join(f"{name}={value}" for name, value in sorted(req.route_params.items()))
    content = hashlib.sha256(urlsplit(req.url).query.encode() + b"\0")
    content.update(req.get_body())
    return replace(
        cause,
        marker=idempotency_marker(f"{route.method} {route.template} {named}", key),
        fingerprint=content.hexdigest(),
    )


def _forwarded_id(value: str | None, prefix: str) -> str | None:
    """Return a forwarded id if it is one of ours and harmless, else None."""
    is_ours = value is not None and value.startswith(prefix) and _FORWARDED.fullmatch(value)
    return value if is_ours else None


def _trace(headers: Mapping[str, str], entropy: Entropy) -> str:
    named = _forwarded_id(headers.get("x-traceid"), "trace-")
    if named:
        return named
    parent = read_traceparent(headers.get("traceparent")) or read_traceparent(host_parent.get())
    return parent.trace_id if parent else trace_id(entropy)


def _response(answer: Answer, url: str, trace: str, correlation: str) -> func.HttpResponse:
    headers = {
        "Content-Type": answer.content_type,
        "X-TraceId": trace,
        "X-Correlation-Id": correlation,
        **answer.headers,
    }
    for name in _LINKS & headers.keys():
        headers[name] = urljoin(url, headers[name])
    return func.HttpResponse(answer.content, status_code=answer.status, headers=headers)
