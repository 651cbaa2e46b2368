"""Where the keys of the trusted issuers come from: a file, or the issuers themselves."""

from pathlib import Path

from shared.composition.settings import Settings
from shared.web.authentication import FileKeys, KeysByIssuer, KeySource
from shared.web.discovery import DiscoveredKeys
from shared.web.issuer import DEV_ISSUER


def key_source(settings: Settings, local: Path | None = None) -> KeySource:
    """Return the keys that *settings* name; *local* has those of this machine's issuer."""
    if settings.issuer_keys is not None and settings.cluster_issuer is None:
        return FileKeys(settings.issuer_keys)
    discovered = DiscoveredKeys(
        frozenset(settings.issuer_key_hosts),
        settings.issuer_networks,
        plain_loopback=settings.is_local,
        ca_file=settings.ca_file,
    )
    if settings.issuer_keys is not None:
        own = {
            each: FileKeys(settings.issuer_keys)
            for each in settings.without_cluster(settings.issuers)
        }
        return KeysByIssuer(own, discovered)
    if local is None or not settings.is_local:
        return discovered
    return KeysByIssuer({DEV_ISSUER: FileKeys(local)}, discovered)
