"""The versions of a secret in its vault: the newest one, and one more of it."""

import re
from collections.abc import Mapping, Sequence

from function_apps.secret_bindings.activities.resource_passwords import new_value
from function_apps.secret_bindings.model.binding import FoundVersion
from function_apps.secret_bindings.model.generators import (
    KEY,
    ROTATION_TAG,
    URL,
    bits_of,
    resource_of,
    text_of,
)
from function_apps.secret_bindings.ports import SecretBindingsApp
from shared.contracts.secret_bindings import Generator, GeneratorKind
from shared.kernel.clock import isoformat
from shared.kernel.ids import parse_id, secret_rotation_id
from shared.passwords.webhooks import ValueRequest
from shared.vault.port import SecretProperties, SecretValue, SecretVault


def found_version(version: SecretProperties) -> FoundVersion:
    """Return what is kept of *version*."""
    expires_at = version.expires_at
    return FoundVersion(version.version, isoformat(expires_at) if expires_at else None)


def last_rotation(versions: Sequence[SecretProperties], environment_id: str, secret: str) -> int:
    """Return the number of the last rotation of *secret* that made one of *versions*, 0 of none.

    The vault remembers it where the head of the secret was removed.
    """
    key = parse_id(environment_id, "env").environment
    number = re.compile(re.escape(secret_rotation_id(key, secret, 0))[:-1] + "([0-9]{1,9})")
    found = (number.fullmatch((each.tags or {}).get(ROTATION_TAG, "")) for each in versions)
    return max((int(each[1]) for each in found if each), default=0)


def tagged(
    versions: Sequence[SecretProperties], tags: Mapping[str, str]
) -> SecretProperties | None:
    """Return the one of *versions* that has *tags*; None where none has."""
    return next((each for each in versions if tags.items() <= (each.tags or {}).items()), None)


async def make_version(
    generator: Generator,
    vault: SecretVault,
    name: str,
    tags: Mapping[str, str],
    environment_id: str,
    app: SecretBindingsApp,
) -> SecretProperties:
    """Return a new version of *name*, made as *generator* says; its value stays in the vault.

    Once: after a lost answer its *tags* show it.
    """
    known = tagged(await vault.versions(name), tags)
    if known is not None:
        return known
    value = await _new_value(generator, vault, name, tags, environment_id, app)
    return await vault.set(name, value, tags=tags)


async def _new_value(
    generator: Generator,
    vault: SecretVault,
    name: str,
    tags: Mapping[str, str],
    environment_id: str,
    app: SecretBindingsApp,
) -> SecretValue:
    if generator.kind is GeneratorKind.WEBHOOK:
        key = (await vault.get(generator.settings[KEY])).value
        request = ValueRequest("-".join(tags.values()), environment_id, name)
        return await app.webhooks.new_value(generator.settings[URL], key, request)
    text = text_of(generator, app.service.entropy.bits(bits_of(generator)))
    resource = resource_of(generator, environment_id)
    if resource is None:
        return SecretValue(text)
    return await new_value(generator, resource, text, app)
