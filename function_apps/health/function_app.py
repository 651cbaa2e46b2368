"""Composition root of health: chooses adapters from settings."""

import ipaddress
from collections.abc import Mapping
from datetime import timedelta

import azure.durable_functions as df

from function_apps.health.ports import GateRules, HealthApp
from function_apps.health.triggers import blueprint
from shared.contracts.health import LOCAL_HEALTH, HealthDefaults
from shared.embedding import required_embedding
from shared.probing.http_prober import HttpProber
from shared.service import compose, is_local
from shared.surfaces.local_surface import local_surface

SAMPLES = "healthsamples"
LOCAL_GATE_RULES = GateRules(look_every=timedelta(seconds=0.5))
LOCAL_INSTANCES = (ipaddress.ip_network("127.0.0.1/32"),)
"""Where the instances of the local surface listen, so where probes may go on this machine."""


def build(settings: Mapping[str, str]) -> HealthApp:
    """Return the app that *settings* describe, reading the local surface."""
    service = compose("health", settings)
    parts = required_embedding()
    local = is_local(settings)
    return HealthApp(
        service,
        local_surface(parts),
        HttpProber(parts.clock, owned=LOCAL_INSTANCES),
        parts.storage.table(SAMPLES),
        LOCAL_HEALTH if local else HealthDefaults(),
        LOCAL_GATE_RULES if local else GateRules(),
        reference=settings.get("RUNTIME_REFERENCE_PROBE"),
    )


def bound(settings: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that *settings* describe."""
    return blueprint(build(settings))
