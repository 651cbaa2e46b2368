"""Requests and answers by AMQP messages: of `$cbs`, which takes tokens, and of `$management`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from proton import Message, Sender, int32, symbol

from local_cloud.service_bus_endpoint.authorization import Right
from local_cloud.service_bus_endpoint.conditions import refusal_of
from local_cloud.service_bus_endpoint.management import (
    Body,
    Management,
    right_of,
    status_properties,
)
from local_cloud.service_bus_endpoint.sections import (
    APPLICATION_PROPERTIES,
    PROPERTIES,
    VALUE,
    Section,
    split,
)
from shared.kernel.errors import Invalid

_MESSAGE_ID, _REPLY_TO = 0, 4


class Request:
    """One request. Raises Invalid where it is none."""

    def __init__(self, encoded: bytes) -> None:
        by_code: dict[int, Section] = {each.code: each for each in split(encoded)}
        properties = by_code[PROPERTIES].value if PROPERTIES in by_code else []
        if not isinstance(properties, list) or not properties:
            raise Invalid("a request has a message id")
        self.id: Any = properties[_MESSAGE_ID]
        self.reply_to = properties[_REPLY_TO] if len(properties) > _REPLY_TO else None
        application = (
            by_code[APPLICATION_PROPERTIES].value if APPLICATION_PROPERTIES in by_code else {}
        )
        self.properties: Mapping[str, Any] = application if isinstance(application, dict) else {}
        self.body: Any = by_code[VALUE].value if VALUE in by_code else None

    @property
    def operation(self) -> str:
        return str(self.properties.get("operation"))

    def answered(self, properties: Mapping[str, Any], body: Body) -> bytes:
        message = Message(body=dict(body), properties=dict(properties), inferred=False)
        message.correlation_id = self.id
        encoded: bytes = message.encode()
        return encoded


Reply = Callable[[Any, bytes], None]
"""Sends an answer to the address of a request's `reply_to`."""
PutToken = Callable[[str, str], Awaitable[None]]
"""Takes note of a token for the address that it is put for. Raises what refuses it."""


def token_requests(put: PutToken, reply: Reply) -> Callable[[bytes, int], Awaitable[None]]:
    """Return what takes requests of `$cbs`."""

    async def take(encoded: bytes, _format: int) -> None:
        request = Request(encoded)
        status, description = 202, "Accepted"
        try:
            await _put_token(request, put)
        except Exception as problem:  # noqa: BLE001  whatever it was, the client is told
            refusal = refusal_of(problem)
            status, description = refusal.status, refusal.description
        reply(
            request.reply_to,
            request.answered({"status-code": int32(status), "status-description": description}, {}),
        )

    return take


async def _put_token(request: Request, put: PutToken) -> None:
    if request.operation != "put-token":
        raise Invalid(f"{request.operation[:80]!r} is unknown, expected put-token")
    await put(str(request.body), str(request.properties.get("name") or ""))


def management_requests(
    management: Management, check: Callable[[Right], None], reply: Reply
) -> Callable[[bytes, int], Awaitable[None]]:
    """Return what takes requests of an entity's `$management`."""

    async def take(encoded: bytes, _format: int) -> None:
        request = Request(encoded)
        try:
            check(right_of(request.operation))
            body = request.body if isinstance(request.body, dict) else {}
            status, answer = await management.answer(request.operation, body)
            properties = status_properties(status, "OK")
        except Exception as problem:  # noqa: BLE001  whatever it was, the client is told
            refusal = refusal_of(problem)
            answer = {}
            condition = symbol(refusal.condition)
            properties = status_properties(refusal.status, refusal.description, condition)
        reply(request.reply_to, request.answered(properties, answer))

    return take


def answers_to(sender: Sender, reply_to: Any) -> bool:
    """Return whether the link *sender* is where answers to *reply_to* go."""
    address = sender.remote_target.address
    return not address or not reply_to or str(reply_to) == address
