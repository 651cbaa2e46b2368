"""Composition root of environments: chooses adapters from settings."""

from collections.abc import Mapping
from datetime import timedelta

import azure.durable_functions as df

from function_apps.environments.ports import EnvironmentRules, EnvironmentsApp
from function_apps.environments.triggers import blueprint
from shared.embedding import required_embedding
from shared.infrastructure.embedded import embedded_engine
from shared.service import compose, is_local
from shared.surfaces.local_surface import local_surface


def build(settings: Mapping[str, str]) -> EnvironmentsApp:
    """Return the app that *settings* describe: the embedded engine over the local surface."""
    service = compose("environments", settings)
    parts = required_embedding()
    engine = embedded_engine(service.folder, local_surface(parts))
    rules = EnvironmentRules()
    if is_local(settings):
        rules = EnvironmentRules(drain_timeout=timedelta(seconds=60))
    return EnvironmentsApp(service, engine, rules)


def bound(settings: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that *settings* describe."""
    return blueprint(build(settings))
