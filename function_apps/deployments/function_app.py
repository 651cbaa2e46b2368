"""Composition root of deployments: the app from its settings and parts, and its blueprint."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import azure.durable_functions as df

from function_apps.deployments.ports import LOCAL_RULES, DeploymentsApp, DeploymentsRules
from function_apps.deployments.triggers import blueprint
from shared.composition.parts import Parts
from shared.composition.prod_policy import prod_policy
from shared.composition.service import build_service, composition
from shared.composition.settings import EVERY_APP, Need, Settings
from shared.contracts.health import ServiceHealth
from shared.contracts.storage import ARTIFACTS, AUDIT, AUDIT_HEADS, LOGS
from shared.contracts.values import ServiceId
from shared.images.image_rules import read_image_rules
from shared.messaging.audit_heads import HeadAnchors
from shared.web.reader import HttpReader


class HealthOverHttp:
    """The `SoakVerdicts` port over health's own API, asked as the caller who promotes."""

    def __init__(self, gateway: HttpReader) -> None:
        self._gateway = gateway

    async def ask(self, services: Sequence[ServiceId], *, token: str) -> Sequence[ServiceHealth]:
        answers = [
            await self._gateway.get(f"/v1/runtime/services/{service}/health", token)
            for service in services
        ]
        return [ServiceHealth.model_validate_json(answer) for answer in answers]


def build(settings: Settings, parts: Parts) -> DeploymentsApp:
    """Return the app that *settings* describe, changing every surface."""
    service = build_service("deployments", settings, parts)
    rules = LOCAL_RULES if settings.is_local else DeploymentsRules()
    return DeploymentsApp(
        service,
        parts.surfaces(),
        parts.blobs(ARTIFACTS),
        parts.blobs(LOGS),
        HeadAnchors(parts.table(AUDIT), parts.blobs(AUDIT_HEADS)),
        parts.images(),
        HealthOverHttp(HttpReader(parts.gateway(), settings.ca_file)),
        replace(rules, images=read_image_rules(settings.image_rules)),
        prod_policy(settings, parts.clock),
    )


def bound(environ: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that the settings in *environ* describe."""
    return blueprint(build(*composition(environ, (*EVERY_APP, Need.BLOBS, Need.GATEWAY))))
