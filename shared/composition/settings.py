"""The app settings that choose parts and rules. Strict values are the default everywhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.kernel.errors import Invalid
from shared.web.issuer import AUDIENCE, DEV_ISSUER

PROFILE: Final = "RUNTIME_PROFILE"
LOCAL: Final = "local"
PRODUCTION: Final = "production"
ISSUERS: Final = "RUNTIME_ISSUERS"
ISSUER_KEYS: Final = "RUNTIME_ISSUER_KEYS"
AUDIENCE_SETTING: Final = "RUNTIME_AUDIENCE"
GATEWAY: Final = "RUNTIME_GATEWAY_URL"
DATABASE: Final = "runtime"
"""The one Cosmos DB database; it has a container, and one for leases, of each service."""
COSMOS_ENDPOINT: Final = "CosmosDB__accountEndpoint"


class InvalidSetting(Invalid):
    """A setting is missing or names nothing that exists; the app does not start."""


def is_local(settings: Mapping[str, str]) -> bool:
    """Return whether the profile with the short waits was chosen, for work on one machine.

    Raises:
        InvalidSetting: the profile is no known one.
    """
    profile = settings.get(PROFILE, PRODUCTION)
    if profile not in {LOCAL, PRODUCTION}:
        raise InvalidSetting(
            f"{PROFILE}: expected {LOCAL} or {PRODUCTION}, got {profile[:40]!r}", target=PROFILE
        )
    return profile == LOCAL


def required(settings: Mapping[str, str], name: str, expected: str) -> str:
    """Return the setting *name*. Raises InvalidSetting, which says what was *expected*."""
    value = settings.get(name, "").strip()
    if not value:
        raise InvalidSetting(f"{name} is missing: expected {expected}", target=name)
    return value


def issuers(settings: Mapping[str, str]) -> list[str]:
    """Return the issuers whose tokens are taken; the local profile takes the local one's.

    Raises:
        InvalidSetting: none is named, and the profile is not the local one.
    """
    if is_local(settings) and ISSUERS not in settings:
        return [DEV_ISSUER]
    expected = f"issuer URLs, separated by spaces ({PROFILE}={LOCAL} takes this machine's)"
    return required(settings, ISSUERS, expected).split()


def issuer_keys(settings: Mapping[str, str], local: Path | None = None) -> Path:
    """Return the path of the issuers' key set; the local profile takes *local* where there is one.

    Raises:
        InvalidSetting: none is named.
    """
    if local is not None and ISSUER_KEYS not in settings and is_local(settings):
        return local
    return Path(required(settings, ISSUER_KEYS, "the path of the issuers' key set"))


def audience(settings: Mapping[str, str]) -> str:
    """Return the audience that tokens must name."""
    return settings.get(AUDIENCE_SETTING, AUDIENCE)
