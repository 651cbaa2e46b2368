"""Composition root of secret_bindings: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping

import azure.durable_functions as df

from function_apps.secret_bindings.ports import LOCAL_RULES, SecretBindingsApp, SecretBindingsRules
from function_apps.secret_bindings.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.passwords.servers import ServerPasswords, administrators_in
from shared.passwords.webhooks import SignedWebhooks


def build(settings: Settings, parts: Parts) -> SecretBindingsApp:
    """Return the app that *settings* describe, built from *parts*."""
    rules = LOCAL_RULES if settings.is_local else SecretBindingsRules()
    service, vaults = build_service("secret_bindings", settings, parts), parts.vaults()
    passwords = ServerPasswords(administrators_in(vaults), parts.entropy)
    return SecretBindingsApp(service, vaults, passwords, SignedWebhooks(parts.clock), rules)


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
