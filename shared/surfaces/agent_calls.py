"""How a call of the `Surface` and `Sites` ports is written in the HTTP API of the local agent.

`POST /v1/<method>` with a JSON object of the arguments by name, and the agent's token as a bearer
token. A read answers `{"present": …}`, `{"absent": true}` or `{"unknown": "<reason>"}`, a write
`{}`. What a method raises answers its status with `{"error": {"type", "code", "message", "target",
"retryAfterS"}}`, and is raised again by the client.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from shared.kernel.errors import Conflict, Invalid, NotFound, Refused, Stale, Unavailable
from shared.kernel.fence import StaleFence
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces import errors
from shared.surfaces.port import Sites, Surface

CALL_BYTES_MAX: Final = 4 * 2**20
"""A call is a spec at most; its texts are bounded by the contracts."""
UNAVAILABLE: Final = 503
_LATER: Final = ConfigDict(defer_build=True)
"""An app has these forms at its cold start, and needs some of them later."""
_STRICT: Final = ConfigDict(extra="forbid", defer_build=True)
_ERRORS: Final[Mapping[str, type[Refused | Unavailable]]] = {
    kind.__name__: kind
    for kind in (
        *(Invalid, NotFound, Conflict, Stale, Unavailable, StaleFence),
        *vars(errors).values(),
    )
    if isinstance(kind, type) and issubclass(kind, Refused | Unavailable)
}


@dataclass(frozen=True)
class AgentCall:
    """One method of the ports; `answer` is the form of what a read answers, None for a write."""

    name: str
    arguments: type[BaseModel]
    answer: type[BaseModel] | None

    def write_arguments(self, arguments: Mapping[str, Any]) -> bytes:
        return self.arguments.model_construct(**arguments).model_dump_json().encode()

    def read_arguments(self, body: bytes) -> Mapping[str, Any]:
        """Return the arguments in *body*. Raises Invalid."""
        try:
            given = self.arguments.model_validate_json(body)
        except ValidationError as problem:
            raise Invalid(f"the arguments of {self.name}: {problem}") from problem
        return {name: getattr(given, name) for name in self.arguments.model_fields}

    def write_answer(self, result: Reading[Any] | None) -> bytes:
        if self.answer is None:
            return b"{}"
        match result:
            case Present(value):
                answer = self.answer.model_construct(present=value)
            case Unknown(reason):
                answer = self.answer.model_construct(unknown=reason)
            case _:
                answer = self.answer.model_construct(absent=True)
        return answer.model_dump_json(exclude_unset=True).encode()

    def read_answer(self, body: bytes) -> Reading[Any] | None:
        """Return what a read answered, None of a write. Raises ValueError for another answer."""
        if self.answer is None:
            return None
        answer: Any = self.answer.model_validate_json(body)
        if "present" in answer.model_fields_set:
            return Present(answer.present)
        return Absent() if answer.absent else Unknown(answer.unknown)


def _call(port: type, name: str) -> AgentCall:
    method = getattr(port, name)
    types = get_type_hints(method)
    _, *parameters = inspect.signature(method).parameters.values()
    fields: dict[str, Any] = {
        each.name: (types[each.name], ... if each.default is each.empty else each.default)
        for each in parameters
    }
    arguments = create_model(name, __config__=_STRICT, **fields)
    if types["return"] is type(None):
        return AgentCall(name, arguments, None)
    value = get_args(get_args(types["return"])[0])[0]  # of Present[value] | Absent | Unknown
    answer = create_model(
        f"{name}_answer",
        __config__=_LATER,
        present=(value | None, None),
        absent=(bool, False),
        unknown=(str, ""),
    )
    return AgentCall(name, arguments, answer)


CALLS: Final[Mapping[str, AgentCall]] = {
    name: _call(port, name)
    for port in (Surface, Sites)
    for name, method in inspect.getmembers(port, inspect.iscoroutinefunction)
}
"""Every method of the ports but `capabilities`, which are in the agent's record."""


def write_error(error: Refused | Unavailable) -> tuple[int, bytes]:
    """Return the status and the body that stand for *error*."""
    kind = next(each for each in type(error).__mro__ if each.__name__ in _ERRORS)
    document: dict[str, Any] = {"type": kind.__name__, "code": error.code, "message": error.message}
    if isinstance(error, Unavailable):
        status, document["retryAfterS"] = UNAVAILABLE, error.retry_after_s
    else:
        status, document["target"] = error.http_status, error.target
    return status, json.dumps({"error": document}).encode()


def read_error(body: bytes) -> Refused | Unavailable:
    """Return the error that *body* stands for; Unavailable where it stands for none."""
    try:
        document = json.loads(body)["error"]
        kind, message = _ERRORS[document["type"]], str(document["message"])
    except (ValueError, KeyError, TypeError):
        return Unavailable("the local agent failed: its log says why")
    # Some kinds are made of what their message says; here the message is all there is.
    error = kind.__new__(kind)
    if isinstance(error, Unavailable):
        Unavailable.__init__(error, message, retry_after_s=document["retryAfterS"])
    else:
        Refused.__init__(error, message, code=document["code"], target=document["target"])
    return error
