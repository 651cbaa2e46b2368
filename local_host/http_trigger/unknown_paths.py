"""Answers a path below the platform's own that no app has, as the platform answers every error.

Other paths are answered as Azure answers them: 404 with an empty body.
"""

import json
from typing import Final

from local_host.model import HttpAnswer, HttpCall
from shared.kernel.entropy import Entropy
from shared.kernel.errors import NotFound
from shared.kernel.ids import trace_id
from shared.web.problem import PROBLEM_JSON, render

_BELOW: Final = ("/v1/runtime/", "/v1/platform/")
_SHOWN_MAX: Final = 200


def not_found(call: HttpCall, entropy: Entropy) -> HttpAnswer | None:
    """Return 404 with code, message and trace id; None for a path that is not the platform's."""
    path = call.path
    if not path.lower().startswith(_BELOW):
        return None
    kind, _, rest = path.removeprefix(_BELOW[0]).partition("/")
    if kind == "operations" and rest:
        message = f"no operation {rest.partition('/')[0][:_SHOWN_MAX]!r}"
    else:
        message = f"no route {call.method} {path[:_SHOWN_MAX]}: GET /openapi.json lists all"
    return problem_answer(NotFound(message), call, entropy)


def problem_answer(problem: Exception, call: HttpCall, entropy: Entropy) -> HttpAnswer:
    """Return what the platform answers to *call* where *problem* came up."""
    accept = call.header("accept") or ""
    answer = render(problem, trace_id(entropy), accept)
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    media = PROBLEM_JSON if PROBLEM_JSON in accept else "application/json"
    headers = (("content-type", media), *((n.lower(), v) for n, v in answer.headers.items()))
    return HttpAnswer(answer.status, headers, body)
