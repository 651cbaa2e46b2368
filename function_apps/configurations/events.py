"""The events that configurations publishes, as rows of the outbox."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

from function_apps.configurations.model.configuration import Configuration
from function_apps.configurations.model.count import Count
from shared.contracts.configuration_merge import LayerContent
from shared.contracts.configurations import (
    ConfigurationPublished,
    ConfigurationSynced,
    ConfigurationSyncFailed,
    KeyChange,
)
from shared.messaging.outbox import Publish

KEYS_MAX: Final = 500
NAMED_MAX: Final = 100
"""Of the keys that changed, and of the instances that are missing, as many as an event names."""
FLOATING_MAX: Final = 200
KEYS_LENGTH_MAX: Final = 32 * 1024
"""Of the names of keys together: the values take up to 128 KiB, and an event has 192."""


def published(
    head: Configuration,
    content: LayerContent,
    previous: int,
    changed: Sequence[KeyChange],
    floating: Iterable[str],
) -> Publish:
    """Return the event that *head* has a new version in force, with *content*."""
    event = ConfigurationPublished.model_validate(
        {
            **_facts(head),
            "previousVersion": previous,
            "values": content.values,
            "schema": content.schema,
            "keysChanged": _keys_that_fit([change.key for change in changed[:KEYS_MAX]]),
            "keysChangedTotal": len(changed),
            "floating": sorted(floating)[:FLOATING_MAX],
        }
    )
    return Publish(event, module=head.layer.module_id)


def _keys_that_fit(keys: Sequence[str]) -> Sequence[str]:
    """Return as many of *keys*, from the first on, as an event has room for."""
    lengths = accumulate(len(key) for key in keys)
    return [key for key, length in zip(keys, lengths, strict=True) if length <= KEYS_LENGTH_MAX]


def synced(head: Configuration, count: Count) -> Publish:
    """Return the event that every instance that is to run the version in force does."""
    event = ConfigurationSynced.model_validate({**_facts(head), **_adoption(count)})
    return Publish(event, module=head.layer.module_id)


def sync_failed(head: Configuration, count: Count) -> Publish:
    """Return the event that some instances were to run the version in force, and do not."""
    message = (
        f"{len(count.missing)} of {count.expected} instances do not run version {head.version}"
    )
    if count.silent:
        message += f": {count.silent} did not ask for it"
    reason = {"code": "NotAdopted", "message": message}
    event = ConfigurationSyncFailed.model_validate(
        {**_facts(head), **_adoption(count), "reason": reason}
    )
    return Publish(event, module=head.layer.module_id)


def _facts(head: Configuration) -> dict[str, Any]:
    return {
        "aggregateId": head.configuration_id,
        "revision": head.revision,
        "configurationId": head.configuration_id,
        "environmentId": head.layer.environment_id,
        "moduleId": head.layer.module_id,
        "layer": head.layer.kind,
        "scope": head.layer.label,
        "version": head.version,
        "contentHash": head.content_hash,
        "status": head.status,
    }


def _adoption(count: Count) -> dict[str, Any]:
    return {
        "expected": count.expected,
        "acknowledged": count.acknowledged,
        "missing": count.missing[:NAMED_MAX],
        "basis": count.basis,
    }
