"""What the API server refused, and what it did not answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic_core import from_json

from shared.kernel.errors import Invalid, NotFound, Unavailable
from shared.surfaces.aks.answer_shapes import causes_of

_WAIT_MAX_S: Final = 3600
_AWAY: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""The same request may succeed later."""


class ApiAway(Unavailable):
    """The API server did not answer, is overloaded, or its certificate or our token is refused."""

    code = Unavailable.code


class ApiRefusal(Exception):
    """The API server refuses a request; `message` is its own sentence.

    `causes` are the fields it names, each with a reason and a message.
    """

    def __init__(
        self, status: int, reason: str, message: str, causes: tuple[Mapping[str, str], ...]
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes

    @property
    def names_an_object(self) -> bool:
        """Return whether it is about one object, and not about a kind that is not served."""
        return self.reason == "NotFound" and "the requested resource" not in self.message

    @property
    def is_of_fields(self) -> bool:
        """Return whether others own fields of an applied object, and it is no older than theirs."""
        return self.status == HTTPStatus.CONFLICT and bool(self.causes)


def refusal(status: int, content: bytes) -> Exception:
    try:
        answer = from_json(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("kind") != "Status":
        answer = {"message": f"the API server answered {status}"}
    return refusal_of({**answer, "code": status})


def refusal_of(status: Mapping[str, Any]) -> Exception:
    code, message = status.get("code"), str(status.get("message", ""))[:2000]
    if not isinstance(code, int):
        return ApiAway("the API server gave an error without a code")
    details = status.get("details")
    # A namespace that is going refuses with 403 until it is gone.
    is_passing = "being terminated" in message
    if code == HTTPStatus.UNAUTHORIZED:
        return ApiAway(
            f"the API server does not take our token or certificate (401: {message}): it may have"
            " ended; renew it where the kubeconfig has it, or see that the cluster takes tokens of"
            " our identity",
            retry_after_s=_wait_s(details),
        )
    if code in _AWAY or is_passing:
        return ApiAway(
            f"the API server answered {code}: {message}",
            retry_after_s=_wait_s(details),
            throttled=code == HTTPStatus.TOO_MANY_REQUESTS,
        )
    causes = causes_of(details)
    return ApiRefusal(code, str(status.get("reason", "")), message, causes)


def _wait_s(details: Any) -> float:
    """Return how long the server wants us to wait: one second where it says nothing of sense."""
    value = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return float(value) if isinstance(value, int) and 0 < value <= _WAIT_MAX_S else 1.0


def reason_of(problem: Exception) -> str:
    """Return the sentence of an error of the API or of `ClusterAccess`."""
    if isinstance(problem, ApiRefusal | Unavailable | Invalid | NotFound):
        return problem.message
    return str(problem)
