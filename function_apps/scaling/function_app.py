"""Composition root of scaling: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping
from functools import cache

import azure.durable_functions as df

from function_apps.scaling.ports import LOCAL_RULES, ScalingApp, ScalingRules
from function_apps.scaling.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.prod_policy import prod_policy
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.contracts.storage import SCALING_SAMPLES


def build(settings: Settings, parts: Parts) -> ScalingApp:
    """Return the app that *settings* describe, built from *parts*."""
    return ScalingApp(
        build_service("scaling", settings, parts),
        parts.surfaces(),
        cache(parts.metrics),
        parts.table(SCALING_SAMPLES),
        LOCAL_RULES if settings.is_local else ScalingRules(),
        prod_policy(settings, parts.clock),
    )


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
