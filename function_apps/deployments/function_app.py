"""Composition root of deployments: chooses adapters from settings."""

from collections.abc import Mapping, Sequence
from typing import Final

import azure.durable_functions as df

from function_apps.deployments.ports import ARTIFACTS, LOCAL_RULES, DeploymentsApp, Rules
from function_apps.deployments.triggers import blueprint
from shared.contracts.health import ServiceHealth
from shared.contracts.values import ComputeTargetKind, ServiceId
from shared.embedding import required_embedding
from shared.kernel.errors import Invalid
from shared.kernel.scope import Scope
from shared.service import compose, is_local
from shared.surfaces.local_surface import local_surface
from shared.web.reader import HttpReader

GATEWAY: Final = "RUNTIME_GATEWAY_URL"
"""Where all apps answer under one name; on one machine, without it, the host of this app."""


class HealthOverHttp:
    """The `SoakVerdicts` port over health's own API, asked as the caller who promotes."""

    def __init__(self, gateway: HttpReader) -> None:
        self._gateway = gateway

    async def ask(
        self,
        scope: Scope,  # noqa: ARG002  the token says it
        services: Sequence[ServiceId],
        *,
        token: str,
    ) -> Sequence[ServiceHealth]:
        answers = [
            await self._gateway.get(f"/v1/runtime/services/{service}/health", token)
            for service in services
        ]
        return [ServiceHealth.model_validate_json(answer) for answer in answers]


def build(settings: Mapping[str, str]) -> DeploymentsApp:
    """Return the app that *settings* describe, changing the local surface."""
    service = compose("deployments", settings)
    parts = required_embedding()
    return DeploymentsApp(
        service,
        {ComputeTargetKind.LOCAL_PROCESS: local_surface(parts)},
        parts.storage.blobs(ARTIFACTS),
        HealthOverHttp(HttpReader(_gateway(settings))),
        LOCAL_RULES if is_local(settings) else Rules(),
    )


def _gateway(settings: Mapping[str, str]) -> str:
    """Return where all apps answer.

    Raises:
        Invalid: it is not given, and this is not one machine.
    """
    if given := settings.get(GATEWAY):
        return given
    if not is_local(settings):
        raise Invalid(f"{GATEWAY} is missing: expected the URL of the gateway", target=GATEWAY)
    return f"http://{settings.get('WEBSITE_HOSTNAME', '127.0.0.1:7071')}"


def bound(settings: Mapping[str, str]) -> df.Blueprint:
    """Return the triggers of the app that *settings* describe."""
    return blueprint(build(settings))
