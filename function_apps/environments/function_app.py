"""Composition root of environments: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping

import azure.durable_functions as df

from function_apps.environments.ports import LOCAL_RULES, EnvironmentsApp, EnvironmentsRules
from function_apps.environments.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.prod_policy import prod_policy
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings


def build(settings: Settings, parts: Parts) -> EnvironmentsApp:
    """Return the app that *settings* describe, built from *parts*."""
    rules = LOCAL_RULES if settings.is_local else EnvironmentsRules()
    service = build_service("environments", settings, parts)
    policy = prod_policy(settings, parts.clock)
    return EnvironmentsApp(service, parts.engine(), parts.surfaces(), rules, policy)


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
