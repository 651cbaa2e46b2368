"""A packaged app that has nothing of its host but triggers: all else by the official SDKs.

The local cloud is a process, the app's host is another.
"""

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cli.client import Client
from shared.composition.settings import Settings, read_settings
from shared.contracts.events import RUNTIME_EVENTS
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.ids import environment_id
from shared.messaging.broker import OutgoingMessage
from shared.messaging.service_bus import ServiceBusMessages
from shared.persistence.cosmos_account import CosmosAccount, string_parts
from shared.persistence.cosmos_store import CosmosStore
from shared.persistence.store import Document, Partition
from shared.telemetry.trace_context import w3c_trace_id
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.cloud_process import a_cloud
from tests.kit.environment_events import SITE, TENANT, provisioned
from tests.kit.host_processes import started
from tests.kit.otlp_receiver import otlp_receiver
from tests.kit.patience import PATIENCE_S
from tools.package import package

pytestmark = pytest.mark.real
HEX: Final = w3c_trace_id("trace-1")
PUBLICATION: Final = "cd" * 8


async def send(connection: str, message: OutgoingMessage) -> None:
    sender = ServiceBusMessages(connection_string=connection)
    await sender.send(RUNTIME_EVENTS, [message])
    await sender.close()


def published() -> OutgoingMessage:
    """Return the event that an environment is there, with the span of its publication."""
    message, parent = provisioned(), {"Diagnostic-Id": f"00-{HEX}-{PUBLICATION}-01"}
    return replace(message, application_properties={**message.application_properties, **parent})


@pytest.mark.long
def test_an_event_of_a_namespace_changes_the_account_in_the_trace_of_its_sender(
    tmp_path: Path,
) -> None:
    issuer = LocalIssuer(tmp_path / "issuer", DEV_ISSUER, AUDIENCE, SystemClock(), SystemEntropy())
    token = issuer.token(TENANT, "ann", ("Runtime.Admin",))
    folder = package("catalog", tmp_path / "catalog")
    with a_cloud(tmp_path / "cloud") as connections, otlp_receiver() as collector:
        environ = {
            **connections,
            "RUNTIME_PROFILE": "local",
            "RUNTIME_ISSUER_KEYS": str(tmp_path / "issuer" / "jwks.json"),
            "RUNTIME_AGENT_FOLDER": str(tmp_path / "agent"),
            "RUNTIME_TELEMETRY": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        with started(folder, "--port", "0", state=tmp_path / "state", **environ) as host:
            ready = host.read_until(r"functions ready on (http://127.0.0.1:\d+)")
            asyncio.run(send(connections["ServiceBus"], published()))

            document = asyncio.run(stored(read_settings(environ)))
            with closing(Client(ready[1], token)) as client:
                listed = client.get("/v1/runtime/services").body
            handled = collector.until("handle RuntimeEnvironmentProvisioned")

    assert document.body["environment_id"] == environment_id(SITE)
    assert (handled.service, handled.trace) == ("runtime-catalog", HEX)
    assert handled.parent == PUBLICATION
    assert listed == {"value": [], "nextLink": None}
    assert not (tmp_path / "state" / "databases").exists()


async def stored(settings: Settings) -> Document:
    """Return the catalog's document about the environment, once it is in the account."""
    assert settings.cosmos is not None
    endpoint, key = string_parts(settings.cosmos.get_secret_value())
    account = CosmosAccount(endpoint, key=key)
    store = CosmosStore(account, "runtime", "catalog")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await store.read(Partition(TENANT, SITE), "watch")) is None:
                await SystemClock().sleep(0.1)
        return found
    finally:
        await account.close()
