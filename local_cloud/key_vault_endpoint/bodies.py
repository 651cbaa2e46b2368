"""The JSON of Key Vault's REST protocol: bundles, items, attributes, pages.

https://learn.microsoft.com/rest/api/keyvault/secrets/. Instants are epoch seconds.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from pydantic_core import from_json

from local_cloud.key_vault_endpoint.errors import ErrorAnswer, VaultRefused, bad_parameter
from local_cloud.vault.rows import Changes, StoredVersion

BODY_MAX_BYTES: Final = 256 * 1024
"""A value of 25 KiB, escaped, with every tag."""
PAGE_MAX: Final = 25
"""The service's own: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets."""
_RECOVERY_LEVEL: Final = "Recoverable+Purgeable"
_TIME_MAX: Final = 253_402_300_800
"""The end of the year 9999."""


@dataclass(frozen=True)
class Page:
    """What one request for a list asks for."""

    size: int
    after: str


async def json_body(request: web.Request) -> Mapping[str, Any]:
    """Return the object that *request* carries. Raises VaultRefused."""
    try:
        body = from_json(await request.read() or b"{}")
    except web.HTTPRequestEntityTooLarge as problem:
        answer = ErrorAnswer(413, "RequestEntityTooLarge", f"a body has at most {BODY_MAX_BYTES} B")
        raise VaultRefused(answer) from problem
    except ValueError:
        # Without its cause, which may quote the body.
        body = None
    if not isinstance(body, dict):
        raise bad_parameter("the body must be a JSON object")
    return body


def value_of(body: Mapping[str, Any]) -> str:
    value = body.get("value")
    if not isinstance(value, str):
        raise bad_parameter("value must be specified, and is text")
    return value


def changes_of(body: Mapping[str, Any]) -> Changes:
    """Return what *body* names; an absent, null or empty part changes nothing."""
    attributes = {} if body.get("attributes") is None else body["attributes"]
    if not isinstance(attributes, dict):
        raise bad_parameter("attributes must be an object")
    enabled, content_type = attributes.get("enabled"), body.get("contentType")
    if not isinstance(enabled, bool | None):
        raise bad_parameter("attributes.enabled must be true or false")
    if not isinstance(content_type, str | None):
        raise bad_parameter("contentType must be text")
    return Changes(
        enabled=enabled,
        expires_at=_instant(attributes, "exp"),
        not_before=_instant(attributes, "nbf"),
        content_type=content_type,
        tags=_tags(body.get("tags")),
    )


def _tags(tags: Any) -> Mapping[str, str] | None:
    if tags is None:
        return None
    if not isinstance(tags, dict) or not all(isinstance(text, str) for text in tags.values()):
        raise bad_parameter("tags must be an object of texts")
    return tags


def _instant(attributes: Mapping[str, Any], name: str) -> datetime | None:
    seconds = attributes.get(name)
    if seconds is None:
        return None
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds < _TIME_MAX:
        raise bad_parameter(f"attributes.{name} must be whole seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def item(vault: str, version: StoredVersion, days: int, *, named: bool = True) -> dict[str, Any]:
    """Return *version* without its value; its id names the version where *named*."""
    attributes = {
        "enabled": version.enabled,
        "nbf": _seconds(version.not_before),
        "exp": _seconds(version.expires_at),
        "created": _seconds(version.created_at),
        "updated": _seconds(version.updated_at),
        "recoveryLevel": _RECOVERY_LEVEL,
        "recoverableDays": days,
    }
    shown: dict[str, Any] = {
        "id": f"{vault}/secrets/{version.name}" + (f"/{version.version}" if named else ""),
        "attributes": _without_none(attributes),
        "contentType": version.content_type,
        "tags": version.tags,
    }
    if version.deleted_at is not None:
        shown |= {
            "recoveryId": f"{vault}/deletedsecrets/{version.name}",
            "deletedDate": _seconds(version.deleted_at),
            "scheduledPurgeDate": _seconds(version.purge_at),
        }
    return _without_none(shown)


def page_of(request: web.Request) -> Page:
    """Return the page that *request* asks for. Raises VaultRefused."""
    asked = request.query.get("maxresults", str(PAGE_MAX))
    size = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 4 else 0  # noqa: PLR2004  three digits are enough to be too many
    if not 1 <= size <= PAGE_MAX:
        raise bad_parameter(f"maxresults must be 1 to {PAGE_MAX}")
    token = request.query.get("$skiptoken", "")
    try:
        return Page(size, base64.b64decode(token, b"-_", validate=True).decode())
    except ValueError as problem:
        raise bad_parameter("$skiptoken is none of this vault's") from problem


def list_body(
    url: str, request: web.Request, items: Sequence[Mapping[str, Any]], last: str | None
) -> Mapping[str, Any]:
    """Return one page; *last* is where the next goes on behind, None at the end."""
    if last is None:
        return {"value": items, "nextLink": None}
    query = {
        "api-version": request.query["api-version"],
        "$skiptoken": base64.urlsafe_b64encode(last.encode()).decode(),
        "maxresults": request.query.get("maxresults", str(PAGE_MAX)),
    }
    return {"value": items, "nextLink": f"{url}{request.path}?{urlencode(query)}"}


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
