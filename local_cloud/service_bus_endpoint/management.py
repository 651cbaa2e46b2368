"""The requests that clients send to `<entity>/$management`, and their answers.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
Actions of rules are not served.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from proton import UNDESCRIBED, Array, Data, int32, timestamp

from local_cloud.broker.broker import Broker
from local_cloud.broker.message import Disposition, ReceivedMessage
from local_cloud.broker.topology import DEAD_LETTER_SUFFIX
from local_cloud.service_bus_endpoint.authorization import Right
from local_cloud.service_bus_endpoint.conditions import (
    LOCK_LOST,
    MESSAGE_NOT_FOUND,
    NOT_IMPLEMENTED,
    AmqpRefused,
)
from local_cloud.service_bus_endpoint.message_codec import (
    MESSAGES_MAX,
    lock_texts,
    lock_token,
    read_message,
    uuids,
    with_changes,
    with_lock_token,
    written,
)
from local_cloud.service_bus_endpoint.rule_codec import read_rule, written_rule
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid

PATH_SUFFIX: Final = "/$management"
PEEKED_MAX: Final = 256
ANSWER_MAX_BYTES: Final = 1024 * 1024
Body = Mapping[str, Any]
_OK: Final = 200
_NOTHING: Final = 204
_DISPOSITIONS: Final = {
    "completed": Disposition.COMPLETE,
    "abandoned": Disposition.ABANDON,
    "defered": Disposition.DEFER,
    "suspended": Disposition.DEAD_LETTER,
}
_RECEIVE_AND_DELETE: Final = 0
_NUMBER_MAX: Final = 2**63 - 1
_ALWAYS_MS: Final = 253_402_300_799_999
"""The last millisecond that .NET knows, and what it is rounded to, mean no time at all."""
_SENDING: Final = {"com.microsoft:schedule-message", "com.microsoft:cancel-scheduled-message"}


def right_of(operation: str) -> Right:
    """Return the right that *operation* needs."""
    return Right.SEND if operation in _SENDING else Right.LISTEN


class Management:
    """The management node of one entity."""

    def __init__(self, broker: Broker, path: str, entropy: Entropy) -> None:
        self._broker = broker
        self._path = path
        self._entropy = entropy
        self._operations: Mapping[str, Callable[[Body], Awaitable[tuple[int, Body]]]] = {
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:schedule-message": self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel_scheduled,
            "com.microsoft:receive-by-sequence-number": self._receive_deferred,
            "com.microsoft:update-disposition": self._settle,
            "com.microsoft:renew-session-lock": self._renew_session,
            "com.microsoft:get-session-state": self._session_state,
            "com.microsoft:set-session-state": self._set_session_state,
            "com.microsoft:get-message-sessions": self._session_names,
            "com.microsoft:add-rule": self._add_rule,
            "com.microsoft:remove-rule": self._remove_rule,
            "com.microsoft:enumerate-rules": self._rules,
        }

    async def answer(self, operation: str, body: Body) -> tuple[int, Body]:
        """Return status and body of the answer. Raises what refuses the request."""
        if operation not in self._operations:
            served = ", ".join(sorted(self._operations))
            raise AmqpRefused(
                NOT_IMPLEMENTED, f"{operation[:80]!r} is not served here; served: {served}", 501
            )
        return await self._operations[operation](body)

    async def _renew(self, body: Body) -> tuple[int, Body]:
        ends = [
            round(self._broker.renew(self._locked(token)) * 1000)
            for token in uuids(_items(body, "lock-tokens"))
        ]
        return _OK, {"expirations": _array(Data.TIMESTAMP, ends)}

    def _locked(self, token: Any) -> ReceivedMessage:
        for text in lock_texts(token):
            message = self._broker.locked(self._path, text)
            if message is not None:
                return message
        raise AmqpRefused(LOCK_LOST, f"the lock {token} is not held", 410)

    async def _peek(self, body: Body) -> tuple[int, Body]:
        first, count = _number(body, "from-sequence-number"), _number(body, "message-count")
        shown: list[dict[str, bytes]] = []
        size = 0
        after, limit = max(0, first - 1), max(1, min(count, PEEKED_MAX))
        session = None if body.get("session-id") is None else _session(body)
        peek = partial(self._broker.peek, self._path, after=after, limit=limit, session=session)
        held, later = peek(), peek(scheduled=True)
        ordered = sorted([*held, *later], key=lambda message: message.sequence_number)
        for message in ordered[:limit]:
            encoded = written(message, self._source, counted=0)
            size += len(encoded)
            if shown and size > ANSWER_MAX_BYTES:
                break
            shown.append({"message": encoded})
        return (_OK, {"messages": shown}) if shown else (_NOTHING, {})

    @property
    def _source(self) -> str:
        """The entity that a dead letter comes from."""
        is_dead = self._path.endswith(DEAD_LETTER_SUFFIX)
        return self._path.removesuffix(DEAD_LETTER_SUFFIX) if is_dead else ""

    async def _schedule(self, body: Body) -> tuple[int, Body]:
        entries = [
            each.get("message") if isinstance(each, dict) else None
            for each in _items(body, "messages")
        ]
        # A number would be so many bytes.
        encoded = [each for each in entries if isinstance(each, bytes)]
        if len(encoded) < len(entries):
            raise Invalid("messages: expected maps with a message")
        messages = [read_message(each, self._entropy) for each in encoded]
        numbers = await self._broker.schedule(self._path, messages)
        return _OK, {"sequence-numbers": _array(Data.LONG, numbers)}

    async def _cancel_scheduled(self, body: Body) -> tuple[int, Body]:
        numbers = _numbers(body)
        if await self._broker.cancel_scheduled(self._path, numbers) < len(set(numbers)):
            raise AmqpRefused(MESSAGE_NOT_FOUND, "not all of them are scheduled", 404)
        return _OK, {}

    async def _receive_deferred(self, body: Body) -> tuple[int, Body]:
        numbers = _numbers(body)
        messages = await self._broker.lock_deferred(self._path, numbers)
        try:
            self._check_deferred(messages, len(set(numbers)))
        except Exception:
            await self._broker.settle_all(messages, Disposition.RELEASE)
            raise
        if body.get("receiver-settle-mode") == _RECEIVE_AND_DELETE:
            await self._broker.settle_all(messages, Disposition.COMPLETE)
        return _OK, {"messages": [self._shown_locked(message) for message in messages]}

    def _check_deferred(self, messages: Sequence[ReceivedMessage], wanted: int) -> None:
        if len(messages) < wanted:
            absent = "not all of them are deferred and unlocked"
            raise AmqpRefused(MESSAGE_NOT_FOUND, absent, 404)
        # Go's client names no session: the messages do.
        for name in {message.session_id for message in messages} - {""}:
            self._broker.sessions.held(self._path, name)

    def _shown_locked(self, message: ReceivedMessage) -> dict[str, Any]:
        token = lock_token(message)
        encoded = with_lock_token(written(message, self._source), token)
        return {"lock-token": token, "message": encoded}

    async def _renew_session(self, body: Body) -> tuple[int, Body]:
        until = self._broker.sessions.renew(self._path, _session(body))
        return _OK, {"expiration": timestamp(round(until * 1000))}

    async def _session_state(self, body: Body) -> tuple[int, Body]:
        return _OK, {"session-state": self._broker.sessions.state(self._path, _session(body))}

    async def _set_session_state(self, body: Body) -> tuple[int, Body]:
        state = body.get("session-state")
        if state is not None and not isinstance(state, bytes):
            raise Invalid("session-state: expected bytes or nothing")
        await self._broker.sessions.set_state(self._path, _session(body), state)
        return _OK, {}

    async def _session_names(self, body: Body) -> tuple[int, Body]:
        skip, top = max(0, _number(body, "skip", 0)), _number(body, "top", PEEKED_MAX)
        updated = _number(body, "last-updated-time", _ALWAYS_MS)
        names = self._broker.sessions.names(
            self._path,
            skip,
            max(1, min(top, PEEKED_MAX)),
            None if updated >= _ALWAYS_MS else updated / 1000,
        )
        if not names:
            return _NOTHING, {}
        listed = Array(UNDESCRIBED, Data.STRING, *names)  # type: ignore[arg-type]  # proton's own
        return _OK, {"skip": int32(skip + len(names)), "sessions-ids": listed}

    async def _add_rule(self, body: Body) -> tuple[int, Body]:
        rule = read_rule(body.get("rule-name"), body.get("rule-description"))
        await self._broker.add_rule(self._path, rule)
        return _OK, {}

    async def _remove_rule(self, body: Body) -> tuple[int, Body]:
        await self._broker.remove_rule(self._path, str(body.get("rule-name")))
        return _OK, {}

    async def _rules(self, body: Body) -> tuple[int, Body]:
        skip, top = max(0, _number(body, "skip", 0)), _number(body, "top", PEEKED_MAX)
        rules = self._broker.rules(self._path)[skip : skip + max(1, min(top, PEEKED_MAX))]
        listed = [{"rule-description": written_rule(rule)} for rule in rules]
        return (_OK, {"rules": listed}) if listed else (_NOTHING, {})

    async def _settle(self, body: Body) -> tuple[int, Body]:
        status = body.get("disposition-status")
        if not isinstance(status, str) or status not in _DISPOSITIONS:
            raise Invalid(f"disposition-status is {status!r}, expected {', '.join(_DISPOSITIONS)}")
        for token in uuids(_items(body, "lock-tokens")):
            await self._settle_one(self._locked(token), _DISPOSITIONS[status], body)
        return _OK, {}

    async def _settle_one(
        self, message: ReceivedMessage, disposition: Disposition, body: Body
    ) -> None:
        changes = body.get("properties-to-modify")
        message = with_changes(message, changes if isinstance(changes, dict) else None)
        if disposition is Disposition.DEAD_LETTER:
            await self._broker.dead_letter(
                message,
                str(body.get("deadletter-reason") or ""),
                str(body.get("deadletter-description") or ""),
            )
        elif await self._broker.settle_all([message], disposition):
            raise AmqpRefused(LOCK_LOST, f"the lock {lock_token(message)} is not held", 410)


def _session(body: Body) -> str:
    name = body.get("session-id")
    if not isinstance(name, str) or not name:
        raise Invalid("session-id: expected a text")
    return name


def _array(kind: int, values: Sequence[int]) -> Array:
    """Return an array whose elements have no descriptor: Go's client drops another."""
    return Array(UNDESCRIBED, kind, *values)  # type: ignore[arg-type]  # proton's own constant


def _items(body: Body, name: str) -> list[Any]:
    """Return the array or list *name* of a request. Raises Invalid."""
    value = body.get(name)
    items = list(value.elements) if isinstance(value, Array) else value
    if not isinstance(items, list) or not 0 < len(items) <= MESSAGES_MAX:
        raise Invalid(f"{name}: expected a list of 1 to {MESSAGES_MAX}")
    return items


def _numbers(body: Body) -> list[int]:
    numbers = _items(body, "sequence-numbers")
    if not all(_is_number(number) for number in numbers):
        raise Invalid("sequence-numbers: expected whole numbers of 64 bits")
    return [int(number) for number in numbers]


def _number(body: Body, name: str, default: int = 1) -> int:
    value = body.get(name, default)
    if not _is_number(value):
        raise Invalid(f"{name}: expected a whole number of 64 bits")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= _NUMBER_MAX


def status_properties(status: int, description: str, condition: str = "") -> dict[str, Any]:
    """Return the application properties of an answer, in the spelling of `$management`."""
    properties: dict[str, Any] = {
        "statusCode": int32(status),
        "statusDescription": description,
    }
    if condition:
        properties["errorCondition"] = condition
    return properties
