"""Composition root of tenants: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping

import azure.durable_functions as df

from function_apps.tenants.ports import (
    LOCAL_RULES,
    SIGNING_KEY,
    TenantsApp,
    TenantsRules,
)
from function_apps.tenants.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import EVERY_APP, Need, Settings
from shared.surfaces.reader_ports import attempt_readers, boundary_readers
from shared.vault.signing_keys import SigningKeys


def build(settings: Settings, parts: Parts) -> TenantsApp:
    """Return the app that *settings* describe, built from *parts*."""
    rules = LOCAL_RULES if settings.is_local else TenantsRules()
    surfaces = parts.surfaces()
    return TenantsApp(
        build_service("tenants", settings, parts),
        boundary_readers(surfaces),
        surfaces,
        SigningKeys(parts.vault(), SIGNING_KEY),
        rules,
        settings.retention,
        attempt_readers(surfaces),
    )


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ, (*EVERY_APP, Need.VAULT))))
