"""Whether a connection string can work, told at the start rather than at the first call.

The SDKs take these forms; they are not asked, as importing them is what a cold start waits for.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from shared.kernel.errors import Invalid
from shared.persistence.cosmos_account import string_parts

COSMOS_FORM: Final = "AccountEndpoint=<URL>;AccountKey=<key>"
SERVICE_BUS_FORM: Final = "Endpoint=sb://<host>;SharedAccessKeyName=<name>;SharedAccessKey=<key>"
STORAGE_FORM: Final = (
    "UseDevelopmentStorage=true, or"
    " AccountName=<name>;AccountKey=<key>;BlobEndpoint=<URL>;TableEndpoint=<URL>"
)


def expected_instead(setting: str, text: str) -> str | None:
    """Return the form that *text* of the connection *setting* lacks; None where it has it."""
    form, has_form = _FORMS[setting]
    return None if has_form(text) else form


def _is_of_cosmos(text: str) -> bool:
    try:
        endpoint, key = string_parts(text)
    except Invalid:
        return False
    return bool(key) and _has_host(endpoint, ("http", "https"))


def _is_of_service_bus(text: str) -> bool:
    """Return whether a key, a signature or the mark of an emulator goes with the endpoint."""
    parts = _parts(text)
    proofs = ("sharedaccesskey", "sharedaccesssignature", "usedevelopmentemulator")
    return _has_host(parts.get("endpoint", ""), ("sb",)) and any(map(parts.get, proofs))


def _is_of_storage(text: str) -> bool:
    parts = _parts(text)
    if parts.get("usedevelopmentstorage") == "true":
        return True
    endpoints = [value for name, value in parts.items() if name.endswith("endpoint")]
    is_named = bool(parts.get("accountname") or endpoints)
    has_proof = any(map(parts.get, ("accountkey", "sharedaccesssignature")))
    return is_named and has_proof and all(_has_host(each, ("http", "https")) for each in endpoints)


def _parts(text: str) -> Mapping[str, str]:
    """Return the values in *text* by their names in small letters; none where a part has no `=`."""
    pairs = [part.strip().partition("=") for part in text.strip().rstrip(";").split(";")]
    if not all(equals for _, equals, _ in pairs):
        return {}
    return {name.lower(): value for name, _, value in pairs}


def _has_host(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


_FORMS: Final[Mapping[str, tuple[str, Callable[[str], bool]]]] = {
    "CosmosDB": (COSMOS_FORM, _is_of_cosmos),
    "ServiceBus": (SERVICE_BUS_FORM, _is_of_service_bus),
    "Storage": (STORAGE_FORM, _is_of_storage),
}
