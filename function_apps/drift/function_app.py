"""Composition root of drift: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping

import azure.durable_functions as df

from function_apps.drift.ports import LOCAL_RULES, DriftApp, DriftRules, webhook_rate
from function_apps.drift.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.service import build_service, composition
from shared.composition.settings import Settings
from shared.contracts.drift import RemediationPolicy
from shared.contracts.storage import DRIFT_SNAPSHOTS
from shared.git.smart_http import SmartHttpRepositories
from shared.surfaces.joined_readers import joined
from shared.surfaces.reader_ports import author_readers, boundary_readers, site_readers


def build(settings: Settings, parts: Parts) -> DriftApp:
    """Return the app that *settings* describe, reading every surface."""
    surfaces = parts.surfaces()
    return DriftApp(
        build_service("drift", settings, parts),
        joined([*surfaces.values()]),
        site_readers(surfaces),
        boundary_readers(surfaces),
        author_readers(surfaces),
        parts.table(DRIFT_SNAPSHOTS),
        SmartHttpRepositories(
            settings.git_networks, plain_loopback=settings.is_local, ca_file=settings.ca_file
        ),
        parts.vaults(),
        webhook_rate(parts.clock),
        LOCAL_RULES if settings.is_local else DriftRules(),
        RemediationPolicy(settings.drift_remediation),
    )


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ)))
