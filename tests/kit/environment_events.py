"""The event that tells the other services of an environment."""

import json
from typing import Final

from shared.contracts.environments import RuntimeEnvironmentProvisioned
from shared.kernel.clock import SystemClock, isoformat
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import ProjectId, TenantId, environment_id, environment_key
from shared.messaging.broker import OutgoingMessage
from shared.messaging.envelope import parse_envelope

TENANT: Final = TenantId("acme")
SITE: Final = environment_key(TENANT, ProjectId("proj-web"), "shop")


def provisioned() -> OutgoingMessage:
    """Return the event that an environment is there, as environments sends it."""
    clock, entropy = SystemClock(), SystemEntropy()
    environment = environment_id(SITE)
    event = RuntimeEnvironmentProvisioned.model_validate(
        {
            "aggregateId": environment,
            "revision": 1,
            "environmentId": environment,
            "ownerTenantId": TENANT,
            "name": "shop",
            "stage": "test",
            "region": "local",
            "isolationModel": "shared",
            "status": "Provisioned",
            "generation": 1,
            "computeTargets": [{"kind": "LocalProcess"}],
            "dataResources": [],
            "pulumiStackRef": "stack",
        }
    )
    body = {
        "eventId": f"evt-{entropy.uuid()}",
        "eventType": "RuntimeEnvironmentProvisioned",
        "tenantId": TENANT,
        "projectId": "proj-web",
        "moduleId": None,
        "traceId": "trace-1",
        "correlationId": "corr-1",
        "causationId": None,
        "occurredAt": isoformat(clock.now()),
        "payload": event.model_dump(mode="json", by_alias=True),
    }
    envelope = parse_envelope(json.dumps(body).encode())
    return OutgoingMessage(
        envelope.to_json(),
        envelope.event_id,
        subject=envelope.event_type,
        correlation_id=envelope.correlation_id,
        application_properties={**envelope.properties(), "cs-sender": "environments"},
    )
