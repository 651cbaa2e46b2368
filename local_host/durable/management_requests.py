"""What a request to the management endpoints asks for: its body and its query, checked."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Final

from local_host.durable import history, records
from local_host.durable.client import CommandRefused

CONTINUATION: Final = "x-ms-continuation-token"
_DECIMAL: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{0,9})?")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_STATUSES: Final = {
    status.lower(): status
    for status in (
        records.PENDING, records.RUNNING, records.CONTINUED, records.SUSPENDED,
        records.COMPLETED, records.FAILED, records.TERMINATED, records.CANCELED,
    )
}  # fmt: skip


def json_text(body: bytes) -> str | None:
    """Return *body* as JSON text, None for nothing or null."""
    given = text(body)
    if not given.strip():
        return None
    try:
        value = json.loads(given)
    except (ValueError, RecursionError) as problem:
        raise CommandRefused(400, f"the body is not JSON: {problem}") from problem
    return None if value is None else given


def text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise CommandRefused(400, f"the body is not UTF-8: {problem.reason}") from problem


def seconds(query: Mapping[str, str], name: str) -> float | None:
    given = query.get(name.lower(), "")
    if not given:
        return None
    if not _DECIMAL.fullmatch(given):
        raise CommandRefused(
            400, f"{name} is a number of seconds below a million, got {given[:80]!r}"
        )
    return float(given)


def count(query: Mapping[str, str], name: str) -> int:
    given = query.get(name, "") or "0"
    if not _WHOLE.fullmatch(given):
        raise CommandRefused(
            400, f"{name} is a whole number of at most nine digits, got {given[:80]!r}"
        )
    return int(given)


def after(token: str | None) -> str:
    """Return the id that a page ended with. Raises CommandRefused."""
    try:
        return base64.b64decode(token or "", altchars=b"-_", validate=True).decode()
    except ValueError as problem:
        raise CommandRefused(400, f"{CONTINUATION} is none of ours: {problem}") from problem


def statuses(query: Mapping[str, str]) -> list[str]:
    wanted = [part.strip() for part in query.get("runtimestatus", "").split(",") if part.strip()]
    unknown = [part for part in wanted if part.lower() not in _STATUSES]
    if unknown:
        known = ", ".join(_STATUSES.values())
        raise CommandRefused(400, f"runtimeStatus knows {known}; got {', '.join(unknown)}")
    return [_STATUSES[part.lower()] for part in wanted]


def instant(query: Mapping[str, str], name: str) -> str:
    given = query.get(name.lower(), "")
    try:
        return history.timestamp(history.instant(given)) if given else ""
    except (ValueError, OverflowError) as problem:
        raise CommandRefused(
            400, f"{name} must be an ISO 8601 time, got {given[:80]!r}"
        ) from problem
