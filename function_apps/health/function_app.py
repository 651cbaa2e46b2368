"""Composition root of health: the app from its settings and parts, and its blueprint."""

import ipaddress
from collections.abc import Mapping
from functools import cache
from typing import Final

import azure.durable_functions as df

from function_apps.health.ports import LOCAL_RULES, HealthApp, HealthRules
from function_apps.health.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.contracts.storage import HEALTH_SAMPLES
from shared.probing.http_prober import HttpProber
from shared.surfaces.joined_readers import joined

LOCAL_INSTANCES: Final = (ipaddress.ip_network("127.0.0.1/32"),)
"""The instances of the local surface listen there, so probes may go there on this machine."""


def build(settings: Settings, parts: Parts) -> HealthApp:
    """Return the app that *settings* describe, reading every surface."""
    service = build_service("health", settings, parts)
    return HealthApp(
        service,
        joined([*parts.surfaces().values()]),
        HttpProber(parts.clock, owned=(*LOCAL_INSTANCES, *settings.instance_networks)),
        parts.table(HEALTH_SAMPLES),
        LOCAL_RULES if settings.is_local else HealthRules(),
        reference=settings.reference_probe,
        metrics=cache(parts.metrics),
    )


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
