"""Composition root of catalog: chooses adapters from settings."""

from collections.abc import Mapping
from datetime import timedelta

import azure.durable_functions as df

from function_apps.catalog.ports import CatalogApp
from function_apps.catalog.triggers import blueprint
from shared.contracts.catalog import CatalogDefaults
from shared.embedding import required_embedding
from shared.service import compose, is_local
from shared.surfaces.local_surface import local_surface


def build(settings: Mapping[str, str]) -> CatalogApp:
    """Return the app that *settings* describe, reading the local surface."""
    service = compose("catalog", settings)
    rules = CatalogDefaults()
    if is_local(settings):
        rules = CatalogDefaults(sweep=timedelta(seconds=5), stale_after=timedelta(seconds=30))
    return CatalogApp(service, local_surface(required_embedding()), rules)


def bound(settings: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that *settings* describe."""
    return blueprint(build(settings))
