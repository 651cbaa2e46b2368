"""Composition root of secret_bindings: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping
from functools import partial

import azure.durable_functions as df

from function_apps.secret_bindings.ports import LOCAL_RULES, SecretBindingsApp, SecretBindingsRules
from function_apps.secret_bindings.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.kernel.errors import NotFound
from shared.kernel.ids import parse_id
from shared.passwords.port import PasswordResource, ResourceMissing
from shared.passwords.servers import ServerPasswords, administrator_secret
from shared.vault.port import SecretValue, Vaults


def build(settings: Settings, parts: Parts) -> SecretBindingsApp:
    """Return the app that *settings* describe, built from *parts*."""
    rules = LOCAL_RULES if settings.is_local else SecretBindingsRules()
    service, vaults = build_service("secret_bindings", settings, parts), parts.vaults()
    passwords = ServerPasswords(partial(_administrator, vaults), parts.entropy)
    return SecretBindingsApp(service, vaults, passwords, rules)


async def _administrator(vaults: Vaults, resource: PasswordResource) -> SecretValue:
    """Return the login of the administrator of *resource*, which its environment's vault has."""
    key = parse_id(resource.environment, "env").environment
    vault = vaults.at(vaults.of_environment(key, {}))
    try:
        return (await vault.get(administrator_secret(resource.name))).value
    except NotFound:
        raise ResourceMissing(
            f"{resource.environment} has no data resource {resource.name!r} that has passwords"
        ) from None


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
