"""How errors look over HTTP: one rendering for every service.

The body follows the Azure REST guidelines (`error.code`, `error.message`, `error.target`,
`error.details`); with `Accept: application/problem+json` it follows RFC 9457.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from shared.kernel.errors import Refused, Unauthenticated, Unavailable
from shared.web.request import Answer

PROBLEM_JSON: Final = "application/problem+json"
_DOCS: Final = "https://factory-runtime.dev/errors/"
"""A name, not an address: RFC 9457 types need not resolve."""


def render(problem: Exception, trace_id: str, accept: str = "") -> Answer:
    """Return the answer for *problem*; a defect shows its trace id only."""
    headers: dict[str, str] = {}
    target, details = None, list[Mapping[str, Any]]()
    match problem:
        case Refused():
            status, code, message = problem.http_status, problem.code, problem.message
            target, details = problem.target, [_present(vars(detail)) for detail in problem.details]
            headers.update(problem.headers)
            if isinstance(problem, Unauthenticated):  # RFC 9110: a 401 names the scheme
                description = f'error="invalid_token", error_description="{code}"'
                headers["WWW-Authenticate"] = f"Bearer {description}"
        case Unavailable():
            status, code, message = 429 if problem.throttled else 503, problem.code, problem.message
            headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
        case _:
            status, code = 500, "InternalError"
            message = f"something went wrong on our side; quote the trace id {trace_id}"
    headers["x-ms-error-code"] = code
    if PROBLEM_JSON in accept:
        body = {
            "type": _DOCS + code,
            "title": code,
            "status": status,
            "detail": message,
            "traceId": trace_id,
            "errors": details or None,
        }
        return Answer(status, json.dumps(_present(body)).encode(), headers, PROBLEM_JSON)
    error = {
        "code": code,
        "message": message,
        "target": target,
        "details": details,
        "traceId": trace_id,
    }
    return Answer(status, {"error": _present(error)}, headers)


def _present(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
