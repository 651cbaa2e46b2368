"""Composition root of configurations: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping

import azure.durable_functions as df

from function_apps.configurations.ports import LOCAL_RULES, ConfigurationsApp, ConfigurationsRules
from function_apps.configurations.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.contracts.storage import CONFIGURATION_REPORTS
from shared.web.long_polls import Followers


def build(settings: Settings, parts: Parts) -> ConfigurationsApp:
    """Return the app that *settings* describe, built from *parts*."""
    rules = LOCAL_RULES if settings.is_local else ConfigurationsRules()
    service = build_service("configurations", settings, parts)
    reports = parts.table(CONFIGURATION_REPORTS)
    return ConfigurationsApp(service, reports, Followers(parts.clock), rules)


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
