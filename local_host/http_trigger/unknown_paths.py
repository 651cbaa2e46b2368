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
    accept = call.header("accept") or ""
    problem = render(NotFound(message), trace_id(entropy), accept)
    body = problem.body if isinstance(problem.body, bytes) else json.dumps(problem.body).encode()
    media = PROBLEM_JSON if PROBLEM_JSON in accept else "application/json"
    headers = (("content-type", media), *((n.lower(), v) for n, v in problem.headers.items()))
    return HttpAnswer(problem.status, headers, body)
