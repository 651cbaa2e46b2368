"""Composition root of catalog: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping

import azure.durable_functions as df

from function_apps.catalog.ports import LOCAL_RULES, CatalogApp, CatalogRules
from function_apps.catalog.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.surfaces.joined_readers import joined


def build(settings: Settings, parts: Parts) -> CatalogApp:
    """Return the app that *settings* describe, reading every surface."""
    service = build_service("catalog", settings, parts)
    rules = LOCAL_RULES if settings.is_local else CatalogRules()
    return CatalogApp(service, joined([*parts.surfaces().values()]), rules)


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
