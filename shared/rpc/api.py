"""How the calls of a port are written in the HTTP API of another process of this machine.

`POST /v1/<method>` with a JSON object of the arguments by name, and that process's token as a
bearer token. A read answers `{"present": …}`, `{"absent": true}` or `{"unknown": "<reason>"}`,
another method with a result `{"value": …}`, one without `{}`. What a method raises answers its
status with `{"error": {"type", "code", "message", "target", "details", "retryAfterS"}}`, and is
raised again by the client.
"""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    PlanRefused,
    Refused,
    Stale,
    Unavailable,
    Violation,
)
from shared.kernel.fence import StaleFence
from shared.kernel.observation import Absent, Present, Unknown

CALL_BYTES_MAX: Final = 4 * 2**20
"""A call is a spec at most; its texts are bounded by the contracts."""
UNAVAILABLE: Final = 503
_LATER: Final = ConfigDict(defer_build=True)
"""An app has these forms at its cold start, and needs some of them later."""
_STRICT: Final = ConfigDict(extra="forbid", defer_build=True)
_COMMON: Final = (Invalid, NotFound, Conflict, Stale, PlanRefused, Unavailable, StaleFence)


@dataclass(frozen=True)
class Call:
    """One method of a port; `answer` is the form of its result, None where it has none."""

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

    def write_answer(self, result: Any) -> bytes:
        if self.answer is None:
            return b"{}"
        if "value" in self.answer.model_fields:
            answer = self.answer.model_construct(value=result)
        else:
            match result:
                case Present(value):
                    answer = self.answer.model_construct(present=value)
                case Unknown(reason):
                    answer = self.answer.model_construct(unknown=reason)
                case _:
                    answer = self.answer.model_construct(absent=True)
        return answer.model_dump_json(exclude_unset=True).encode()

    def read_answer(self, body: bytes) -> Any:
        """Return the result in *body*. Raises ValueError where it has none of this method."""
        if self.answer is None:
            return None
        answer: Any = self.answer.model_validate_json(body)
        if "value" in self.answer.model_fields:
            return answer.value
        if "present" in answer.model_fields_set:
            return Present(answer.present)
        return Absent() if answer.absent else Unknown(answer.unknown)


class Api:
    """The methods of *ports* that wait, by name, and their errors: the common ones and *errors*."""

    def __init__(self, ports: Sequence[type], errors: Iterable[object] = ()) -> None:
        self.calls: Final[Mapping[str, Call]] = {
            name: _call(port, name)
            for port in ports
            for name, method in inspect.getmembers(port, inspect.iscoroutinefunction)
        }
        self._errors: Final[Mapping[str, type[Refused | Unavailable]]] = {
            kind.__name__: kind
            for kind in (*_COMMON, *errors)
            if isinstance(kind, type) and issubclass(kind, Refused | Unavailable)
        }

    def write_error(self, error: Refused | Unavailable) -> tuple[int, bytes]:
        """Return the status and the body that stand for *error*."""
        known = (each for each in type(error).__mro__ if each.__name__ in self._errors)
        kind = next(known, Invalid)
        document: dict[str, Any] = {
            "type": kind.__name__,
            "code": error.code,
            "message": error.message,
        }
        if isinstance(error, Unavailable):
            status, document["retryAfterS"] = UNAVAILABLE, error.retry_after_s
        else:
            status, document["target"] = error.http_status, error.target
            document["details"] = [asdict(detail) for detail in error.details]
        return status, json.dumps({"error": document}).encode()

    def read_error(self, body: bytes) -> Refused | Unavailable:
        """Return the error that *body* stands for; Unavailable where it stands for none."""
        try:
            document = json.loads(body)["error"]
            return self._error_of(document, self._errors[document["type"]])
        except (ValueError, KeyError, TypeError):  # the other process may be of another version
            return Unavailable("the process that does this failed: its log says why")

    def _error_of(
        self, document: Mapping[str, Any], kind: type[Refused | Unavailable]
    ) -> Refused | Unavailable:
        message = str(document["message"])
        # Some kinds are made of what their message says; here the message is all there is.
        error = kind.__new__(kind)
        if isinstance(error, Unavailable):
            Unavailable.__init__(error, message, retry_after_s=float(document["retryAfterS"]))
        else:
            details = [Violation(**detail) for detail in document.get("details", ())]
            Refused.__init__(
                error, message, code=document["code"], target=document["target"], details=details
            )
        return error


def _call(port: type, name: str) -> Call:
    method = getattr(port, name)
    types = get_type_hints(method)
    _, *parameters = inspect.signature(method).parameters.values()
    fields: dict[str, Any] = {
        each.name: (types[each.name], ... if each.default is each.empty else each.default)
        for each in parameters
    }
    arguments = create_model(name, __config__=_STRICT, **fields)
    return Call(name, arguments, _answer(name, types["return"]))


def _answer(name: str, returned: Any) -> type[BaseModel] | None:
    if returned is NoneType:
        return None
    first, *others = get_args(returned) or (returned,)
    if others != [Absent, Unknown]:
        return create_model(f"{name}_answer", __config__=_LATER, value=(returned, ...))
    return create_model(
        f"{name}_answer",
        __config__=_LATER,
        present=(get_args(first)[0] | None, None),  # first is Present[value]
        absent=(bool, False),
        unknown=(str, ""),
    )
