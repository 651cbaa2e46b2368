"""How errors look over HTTP: one rendering for every service.

The body follows the Azure REST guidelines (`error.code`, `error.message`, `error.target`,
`error.details`); with `Accept: application/problem+json` it follows RFC 9457.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from shared.kernel.errors import Refused, Unavailable
from shared.web.request import Answer

PROBLEM_JSON: Final = "application/problem+json"
_DOCS: Final = "https://factory-runtime.dev/errors/"
"""A name, not an address: RFC 9457 types need not resolve."""


def render(problem: Exception, trace_id: str, accept: str = "") -> Answer:
    """Return the answer for *problem*; a defect shows its trace id only."""
    headers: dict[str, str] = {}
    details: list[Mapping[str, Any]] = []
    target: str | None = None
    match problem:
        case Refused():
            status, code, message = problem.http_status, problem.code, problem.message
            target = problem.target
            headers.update(problem.headers)
            details = [
                {name: value for name, value in vars(detail).items() if value is not None}
                for detail in problem.details
            ]
            if status == 401:  # noqa: PLR2004  RFC 9110: a 401 names the scheme
                headers["WWW-Authenticate"] = (
                    f'Bearer error="invalid_token", error_description="{code}"'
                )
        case Unavailable():
            status, code, message = 503, problem.code, problem.message
            if problem.throttled:
                status = 429
            headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
        case _:
            status, code = 500, "InternalError"
            message = f"something went wrong on our side; quote the trace id {trace_id}"
    headers["x-ms-error-code"] = code
    if PROBLEM_JSON in accept:
        body: dict[str, Any] = {
            "type": _DOCS + code,
            "title": code,
            "status": status,
            "detail": message,
            "traceId": trace_id,
        }
        if details:
            body["errors"] = details
        return Answer(status, json.dumps(body).encode(), headers, PROBLEM_JSON)
    error: dict[str, Any] = {"code": code, "message": message}
    if target is not None:
        error["target"] = target
    error["details"] = details
    error["traceId"] = trace_id
    return Answer(status, {"error": error}, headers)
